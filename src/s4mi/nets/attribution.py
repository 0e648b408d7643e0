"""Saliency maps: how much the score of a class depends on each pixel of an image, computed by MONAI.

    input gradient   max_c |∂s/∂x_c|                                  Simonyan et al. 2014; S4MI section 4.1.1
    SmoothGrad       max_c |1/n Σ_i ∂s/∂x_c (x + ε_i)|                Smilkov et al. 2017, ε_i ~ N(0, σ²)
    Grad-CAM         ReLU(Σ_k a_k A_k),  a_k = mean_ij ∂s/∂A_kij      Selvaraju et al. 2017

s is the logit of the class, x the network's input with channels c, and A the last feature map with channels k and
spatial positions ij, or of a CNN or Swin, whose last one has fewer than 7 × 7, that of the last stage with enough:

    CNN              output of the last stage before pooling
    Swin and alike   the same, with channels last
    ViT              normalised input of the last block, as in pytorch-grad-cam: after the last block, patch tokens no
                     longer influence the class token; prefix tokens, which have no spatial position, are left out

Every map is (B, H, W) at the size of the images, finite and not negative. The network must be in evaluation mode. Its
parameters should not require gradients, or each map is added to their gradients.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from s4mi.contract import Classifier
from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone

Logits = Callable[[Tensor], Tensor]
"""(B, 3, H, W) in [0, 1] → (B, K)."""

SAMPLES = 25
"""Number of noisy copies of SmoothGrad; its authors saw little change beyond 50."""
MIN_POSITIONS = 49
"""Spatial positions of a feature map, 7 × 7, below which Grad-CAM is too coarse: that of a ResNet at 224 pixels."""
STEM = 4
"""Pixels per position from which on a stage is no longer the stem, whose features are edges and colours."""
NOISE_LEVEL = 0.15
"""σ of its noise as a share of the image's value range; its authors recommend 0.1 to 0.2."""


@dataclass(frozen=True)
class MapLayer:
    """The layer of a network whose output is its last feature map.

    Attributes:
        net: the network. name: the submodule whose output is used.
        layout: NCHW or NHWC for feature maps, tokens for (B, prefix + h·w, C).
        prefix: number of leading tokens without a spatial position.
        positions: number of spatial positions.
        finer: whether it is an earlier stage than the last, as that has too few positions.
    """

    net: nn.Module
    name: str
    layout: Literal["NCHW", "NHWC", "tokens"]
    prefix: int = 0
    positions: int = 0
    finer: bool = False


def input_gradient(logits: Logits, images: Tensor, classes: Sequence[int]) -> Tensor:
    """Magnitude of the gradient of each image's class score: (B, 3, H, W), B classes → (B, H, W)."""
    from monai.visualize import VanillaGrad  # here as below: importing MONAI takes seconds, which other commands save

    gradient = partial(VanillaGrad(_LogitsModule(logits)), retain_graph=False)
    return _per_image(images, classes, lambda image, k: _max_magnitude(gradient(image, index=k)))


def smooth_grad(
    logits: Logits,
    images: Tensor,
    classes: Sequence[int],
    *,
    seed: int,
    samples: int = SAMPLES,
    noise_level: float = NOISE_LEVEL,
) -> Tensor:
    """SmoothGrad, the magnitude of the mean gradient over noisy copies: (B, 3, H, W), B classes → (B, H, W).

    Args:
        seed: seed of the noise, which is the same for every image.
        samples: number of noisy copies.
        noise_level: standard deviation of the noise as a share of the image's value range.
    """
    from monai.visualize import SmoothGrad

    smooth = SmoothGrad(
        _LogitsModule(logits), stdev_spread=noise_level, n_samples=samples, magnitude=False, verbose=False
    )

    def one(image: Tensor, k: int) -> Tensor:
        with torch.random.fork_rng(devices=[image.device] if image.device.type == "cuda" else []):
            torch.manual_seed(seed)  # MONAI draws from the global generator
            return _max_magnitude(smooth(image, index=k, retain_graph=False))

    return _per_image(images, classes, one)


def grad_cam(logits: Logits, images: Tensor, classes: Sequence[int], *, layer: MapLayer) -> Tensor:
    """Grad-CAM of `logits` at `layer`, upsampled bilinearly: (B, 3, H, W), B classes → (B, H, W)."""
    from monai.networks.utils import replace_modules_temp
    from monai.visualize import GradCAM

    tap = _Tap(layer)
    cam = GradCAM(_LogitsModule(logits, tapped=tap.map), target_layers="tapped", postprocessing=lambda maps: maps)
    with replace_modules_temp(layer.net, layer.name, tap):
        return _per_image(images, classes, lambda image, k: cam(image, class_idx=k)[:, 0])


def find_layer(method: Classifier) -> MapLayer:
    """Return the layer of a classifier for Grad-CAM: the last one, or the last stage with `MIN_POSITIONS`.

    Raises:
        S4miError: the network has none, or its feature map has a single spatial position.
    """
    backbones = [module for module in method.modules() if isinstance(module, Backbone)]
    if len(backbones) != 1:
        raise S4miError(f"Grad-CAM needs a method with one network (found {len(backbones)}); leave grad_cam out")
    net: Any = backbones[0].net
    like, side = next(net.parameters()), backbones[0].image_size
    name, shape, shapes = _last_features(net, torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device))
    if len(shape) == 4:
        layout: Literal["NCHW", "NHWC"] = "NHWC" if getattr(net, "output_fmt", "NCHW") == "NHWC" else "NCHW"
        rows = 1 if layout == "NHWC" else 2
        layer, positions = MapLayer(net, name, layout), math.prod(shape[rows : rows + 2])
        finer = [
            stage
            for stage in _stages(net)
            if stage in shapes and math.prod(shapes[stage][rows : rows + 2]) >= MIN_POSITIONS
        ]
        if positions < MIN_POSITIONS and finer:
            layer, positions = (
                MapLayer(net, finer[-1], layout, finer=True),
                math.prod(shapes[finer[-1]][rows : rows + 2]),
            )
    else:
        layer, positions = _token_layer(net, shape)
    if positions < 2:
        raise S4miError(
            f"the feature map of {type(net).__name__} has a single spatial position at {side} pixels; "
            "leave grad_cam out, or train with a larger data.image_size"
        )
    return replace(layer, positions=positions)


def _stages(net: Any) -> list[str]:
    """Names of the submodules that end a stage after the stem, in order; empty if the network does not tell."""
    described = getattr(net, "feature_info", ())
    stages = described.get_dicts() if hasattr(described, "get_dicts") else described
    return [str(stage["module"]) for stage in stages if stage["reduction"] >= STEM]


def _last_features(net: Any, images: Tensor) -> tuple[str, tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Name of the submodule whose output is the network's features, their shape, and that of every feature map."""
    outputs: list[tuple[str, Any]] = []

    def record(name: str, _: nn.Module, __: Any, output: Any) -> None:
        outputs.append((name, output))

    hooks = [module.register_forward_hook(partial(record, name)) for name, module in net.named_modules()]
    try:
        with torch.no_grad():
            features = net.forward_features(images)
    except AttributeError as error:
        raise _no_map(net) from error
    finally:
        for hook in hooks:
            hook.remove()
    name, output = outputs[-1]
    if output is not features:
        raise _no_map(net)
    shapes = {one: tuple(map_.shape) for one, map_ in outputs if isinstance(map_, Tensor) and map_.dim() == 4}
    return name, tuple(features.shape), shapes


def _token_layer(net: Any, shape: tuple[int, ...]) -> tuple[MapLayer, int]:
    """Layer of a transformer whose features are tokens of `shape` (1, N, C), and its number of spatial positions."""
    prefix = getattr(net, "num_prefix_tokens", None)
    blocks = getattr(net, "blocks", None)
    if prefix is None or blocks is None or not hasattr(blocks[-1], "norm1"):
        raise _no_map(net)
    positions = shape[1] - prefix
    if math.isqrt(positions) ** 2 != positions:
        raise _no_map(net)
    return MapLayer(net, f"blocks.{len(blocks) - 1}.norm1", "tokens", prefix), positions


def _no_map(net: nn.Module) -> S4miError:
    return S4miError(f"Grad-CAM finds no feature map in {type(net).__name__}; leave grad_cam out")


class _LogitsModule(nn.Module):
    """A logits function as the module that MONAI expects, with the module it listens to under `tapped`."""

    def __init__(self, logits: Logits, *, tapped: nn.Module | None = None) -> None:
        super().__init__()
        self.logits = logits
        self.tapped = tapped
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images)


class _Tap(nn.Module):
    """A layer whose output passes through `map` as a (B, C, h, w) feature map, and is returned in its own layout."""

    def __init__(self, layer: MapLayer) -> None:
        super().__init__()
        self.layer = layer.net.get_submodule(layer.name)
        self.layout, self.prefix = layer.layout, layer.prefix
        self.map = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.layer(features)
        if self.layout == "NCHW":
            channels_first: Tensor = self.map(output)
            return channels_first
        if self.layout == "NHWC":
            permuted: Tensor = self.map(output.permute(0, 3, 1, 2))
            return permuted.permute(0, 2, 3, 1)
        prefix, tokens = output[:, : self.prefix], output[:, self.prefix :]
        side = math.isqrt(tokens.shape[1])
        grid: Tensor = self.map(tokens.transpose(1, 2).reshape(len(tokens), -1, side, side))
        return torch.cat([prefix, grid.flatten(2).transpose(1, 2)], dim=1)


def _max_magnitude(gradient: Tensor) -> Tensor:
    """(1, C, H, W) → (1, H, W), the maximum over channels of the magnitude."""
    return gradient.abs().amax(dim=1)


def _per_image(images: Tensor, classes: Sequence[int], one: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Concatenate the (1, H, W) maps of single images, as MONAI takes one image at a time.

    Raises:
        S4miError: a map is not finite.
    """
    maps = [one(image.detach().clone()[None].requires_grad_(), k) for image, k in zip(images, classes, strict=True)]
    batch = torch.cat(maps).detach()
    if not batch.isfinite().all():
        raise S4miError("the gradient of the class score is not finite; the weights are corrupt, train the run again")
    return batch
