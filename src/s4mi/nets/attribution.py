"""Where a classifier looks: what the score of a class depends on, image by image, through MONAI.

    input gradient   max_c |∂s/∂x_c|                                      Simonyan et al. 2014; S4MI section 4.1.1
    SmoothGrad       max_c |1/n Σ_i ∂s/∂x_c (x + ε_i)|                    Smilkov et al. 2017, ε ~ N(0, σ²)
    Grad-CAM         ReLU(Σ_k a_k A_k),  a_k = mean over places ∂s/∂A_k   Selvaraju et al. 2017

s is the logit of the class, x the network's input with its channels c, and A the last feature map:

    CNN              what the last stage gives, before it is pooled
    Swin and alike   the same, with the channels last
    ViT              the normalised input of the last block, as pytorch-grad-cam takes it: behind that block, the tokens
                     of places no longer reach the class token; tokens that stand for no place are left out

Every map is (B, H, W) at the size of the images, finite and not negative; `to_unit` brings each to [0, 1]. The network
must be in evaluation mode. Its parameters had better not require gradients, or each map adds to theirs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from monai.networks.utils import replace_modules_temp
from monai.visualize import GradCAM, SmoothGrad, VanillaGrad
from torch import Tensor, nn

from s4mi.contract import Classifier
from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone

Logits = Callable[[Tensor], Tensor]
"""(B, 3, H, W) in [0, 1] → (B, K)."""

SAMPLES = 25
"""Noisy copies of SmoothGrad; beyond 50 its authors saw little change."""
SPREAD = 0.15
"""σ of its noise, share of the image's range; its authors advise 0.1 to 0.2."""


@dataclass(frozen=True)
class MapLayer:
    """Where a network still knows what is where.

    Attributes:
        net: the network. name: the module in it whose output is taken.
        layout: NCHW and NHWC for maps, tokens for (B, prefix + h·w, C).
        prefix: tokens in front that stand for no place.
    """

    net: nn.Module
    name: str
    layout: Literal["NCHW", "NHWC", "tokens"]
    prefix: int = 0


def input_gradient(logits: Logits, images: Tensor, classes: Sequence[int]) -> Tensor:
    """Strength of the gradient of each image's class score: (B, 3, H, W), B classes → (B, H, W)."""
    gradient = partial(VanillaGrad(_Scored(logits)), retain_graph=False)
    return _each(images, classes, lambda image, k: _strongest(gradient(image, index=k)))


def smooth_grad(
    logits: Logits,
    images: Tensor,
    classes: Sequence[int],
    *,
    seed: int,
    samples: int = SAMPLES,
    spread: float = SPREAD,
) -> Tensor:
    """`input_gradient` of the mean gradient over noisy copies: (B, 3, H, W) → (B, H, W).

    Args:
        seed: of the noise, which is the same for every image.
    """
    smooth = SmoothGrad(_Scored(logits), stdev_spread=spread, n_samples=samples, magnitude=False, verbose=False)

    def one(image: Tensor, k: int) -> Tensor:
        with torch.random.fork_rng(devices=[image.device] if image.device.type == "cuda" else []):
            torch.manual_seed(seed)  # MONAI draws from the global generator
            return _strongest(smooth(image, index=k, retain_graph=False))

    return _each(images, classes, one)


def grad_cam(logits: Logits, images: Tensor, classes: Sequence[int], *, layer: MapLayer) -> Tensor:
    """Grad-CAM at `layer` of the network that `logits` runs through: (B, 3, H, W) → (B, H, W), enlarged bilinearly."""
    tap = _Tap(layer)
    cam = GradCAM(_Scored(logits, tapped=tap.place), target_layers="tapped", postprocessing=lambda maps: maps)
    with replace_modules_temp(layer.net, layer.name, tap):
        return _each(images, classes, lambda image, k: cam(image, class_idx=k)[:, 0])


def to_unit(maps: Tensor) -> Tensor:
    """(B, H, W) → each divided by its greatest value; a map of zeros stays one."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def find_layer(method: Classifier, image_size: int) -> MapLayer:
    """The layer of a classifier that Grad-CAM is taken at.

    Raises:
        S4miError: the network has none, or its map has one place only.
    """
    backbones = [module for module in method.modules() if isinstance(module, Backbone)]
    if len(backbones) != 1:
        raise S4miError(f"Grad-CAM wants a method of one network, this one has {len(backbones)}; leave grad_cam out")
    net: Any = backbones[0].net
    like = next(net.parameters())
    name, shape = _last_features(net, torch.zeros(1, 3, image_size, image_size, dtype=like.dtype, device=like.device))
    if len(shape) == 4:
        layout: Literal["NCHW", "NHWC"] = "NHWC" if getattr(net, "output_fmt", "NCHW") == "NHWC" else "NCHW"
        layer, places = MapLayer(net, name, layout), math.prod(shape[1:3] if layout == "NHWC" else shape[2:])
    else:
        layer, places = _token_layer(net, shape)
    if places < 2:
        raise S4miError(
            f"{type(net).__name__} makes of {image_size} pixels a map of one place, which tells no place from another; "
            "leave grad_cam out, or train with a larger data.image_size"
        )
    return layer


def _last_features(net: Any, images: Tensor) -> tuple[str, tuple[int, ...]]:
    """The module whose output the network's features are, and their shape."""
    ran: list[tuple[str, Any]] = []

    def note(name: str, _: nn.Module, __: Any, output: Any) -> None:
        ran.append((name, output))

    hooks = [module.register_forward_hook(partial(note, name)) for name, module in net.named_modules()]
    try:
        with torch.no_grad():
            features = net.forward_features(images)
    except AttributeError as error:
        raise _no_map(net) from error
    finally:
        for hook in hooks:
            hook.remove()
    name, output = ran[-1]
    if output is not features:
        raise _no_map(net)
    return name, tuple(features.shape)


def _token_layer(net: Any, shape: tuple[int, ...]) -> tuple[MapLayer, int]:
    """Of a transformer whose features are tokens of `shape` (1, N, C), with the number of its places."""
    prefix = getattr(net, "num_prefix_tokens", None)
    blocks = getattr(net, "blocks", None)
    if prefix is None or blocks is None or not hasattr(blocks[-1], "norm1"):
        raise _no_map(net)
    places = shape[1] - prefix
    if math.isqrt(places) ** 2 != places:
        raise _no_map(net)
    return MapLayer(net, f"blocks.{len(blocks) - 1}.norm1", "tokens", prefix), places


def _no_map(net: nn.Module) -> S4miError:
    return S4miError(
        f"Grad-CAM knows no layer of {type(net).__name__} whose features have a place in the image; leave grad_cam out"
    )


class _Scored(nn.Module):
    """A logits function as MONAI wants it: a module, which may hold the one that is listened to under `tapped`."""

    def __init__(self, logits: Logits, *, tapped: nn.Module | None = None) -> None:
        super().__init__()
        self.logits = logits
        self.tapped = tapped
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images)


class _Tap(nn.Module):
    """A layer whose output goes through `place` as a map (B, C, h, w), and on as it was."""

    def __init__(self, layer: MapLayer) -> None:
        super().__init__()
        self.layer = layer.net.get_submodule(layer.name)
        self.layout, self.prefix = layer.layout, layer.prefix
        self.place = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.layer(features)
        if self.layout == "NCHW":
            same: Tensor = self.place(output)
            return same
        if self.layout == "NHWC":
            channels_first: Tensor = self.place(output.permute(0, 3, 1, 2))
            return channels_first.permute(0, 2, 3, 1)
        nowhere, tokens = output[:, : self.prefix], output[:, self.prefix :]
        side = math.isqrt(tokens.shape[1])
        grid: Tensor = self.place(tokens.transpose(1, 2).reshape(len(tokens), -1, side, side))
        return torch.cat([nowhere, grid.flatten(2).transpose(1, 2)], dim=1)


def _strongest(gradient: Tensor) -> Tensor:
    """(1, C, H, W) → (1, H, W)."""
    return gradient.abs().amax(dim=1)


def _each(images: Tensor, classes: Sequence[int], one: Callable[[Tensor, int], Tensor]) -> Tensor:
    """MONAI takes one image at a time: its maps (1, H, W) put together."""
    maps = [one(image.detach().clone()[None].requires_grad_(), k) for image, k in zip(images, classes, strict=True)]
    together = torch.cat(maps).detach()
    if not together.isfinite().all():
        raise S4miError("the gradient of the class score is not finite; the weights are unsound, train the run again")
    return together
