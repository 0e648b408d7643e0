"""A frozen encoder: a pre-trained network whose weights never change, as an extractor of features.

    pooled       (B, D)          what the network gives its classifier, joined with the class token and the mean of the
                                 other tokens where it has tokens
    tokens_0 …   (B, C, h, w)    feature maps of the chosen blocks of a ViT, or stages of a Swin or CNN, by depth

Images whose side is no multiple of a ViT's patches are resized to the nearest one, 128 to 126 pixels for patches of 14.
The network is built when features are first computed, not before: where the store has all of them, it never is.
"""

import copy
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract.feature_names import POOLED
from s4mi.contract.features import Extractor
from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone, check_backbone, fitting_size
from s4mi.nets.initial_weights import IMAGENET, NONE, check_weights, file_hash

REVISION = 1
"""Raised when the features of the same weights change."""
TOKENS = "tokens_"
"""Prefix of the names of token maps."""


@final
class FrozenEncoder(Extractor):
    """A timm network that computes features and is never trained.

    Its weights are in no checkpoint: `state_dict` is empty, and loading needs the weight file again, whose content the
    `key` holds.
    """

    def __init__(self, name: str, *, weights: str, image_size: int, blocks: Sequence[int] = ()) -> None:
        """Describe the encoder; nothing is built yet.

        Args:
            name: as for `Backbone`.
            weights: "imagenet", "none" (random, the same for each encoder of this name) or the path of a file.
            image_size: side of the square images in pixels.
            blocks: blocks of a ViT or stages of a Swin or CNN whose token maps are wanted, counted from the end:
                -1 is the last. Empty: features of whole images alone.

        Raises:
            S4miError: an unknown name, or a weight file that does not exist.
        """
        super().__init__()
        check_backbone(name)
        check_weights(weights)
        self.name, self.weights, self.image_size = name, weights, fitting_size(name, image_size)
        self.blocks = tuple(sorted(set(blocks)))
        self.key = _key(name, weights, self.image_size, self.blocks)
        self._net: list[Backbone] = []  # in a list, so that it is no submodule: neither saved nor trained

    @property
    def net(self) -> Backbone:
        """The network, built on first use.

        Raises:
            S4miError: weights that do not fit or cannot be downloaded, or an image size that the network cannot take.
        """
        if not self._net:
            # Weights are ordinary tensors in full precision, whatever the context of the first forward pass.
            plain = (torch.inference_mode(False), torch.autocast("cpu", enabled=False))
            with torch.random.fork_rng(devices=[]), plain[0], plain[1]:
                torch.manual_seed(0)
                net = Backbone(self.name, image_size=self.image_size, weights=self.weights)
            self._net.append(net.eval().requires_grad_(False))
        return self._net[0]

    def materialise(self) -> None:
        self.add_module("materialised", self.net)

    @property
    def widths(self) -> dict[str, int]:  # type: ignore[override]
        """Number of channels of each output, measured on one image."""
        return dict(_widths(self.name, self.weights, self.image_size, self.blocks))

    @torch.no_grad()
    def _measured(self) -> tuple[tuple[str, int], ...]:
        image = torch.zeros(1, 3, self.image_size, self.image_size)
        return tuple((name, features.shape[1]) for name, features in self.compute(image).items())

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        backbone = self.net
        if not torch.compiler.is_exporting():  # a graph has its weights where the module has them
            backbone = backbone.to(images.device)
        if images.shape[-1] != self.image_size:
            smaller = self.image_size < images.shape[-1]
            images = F.interpolate(
                images, size=(self.image_size,) * 2, mode="bilinear", align_corners=False, antialias=smaller
            )
        x, net = backbone.normalise(images), backbone.net
        x = x.to(next((weight.dtype for weight in net.parameters()), x.dtype))  # `computing_with` may have another
        final_features, maps = _forward(net, x, self.blocks, name=self.name)
        outputs = {POOLED: _pooled(net, final_features).float()}
        outputs |= {f"{TOKENS}{index}": tokens.float() for index, tokens in enumerate(maps)}
        return outputs

    def computing_with(self, net: nn.Module) -> "FrozenEncoder":
        """Return this encoder with its timm network replaced by an equivalent, such as one in another precision."""
        backbone, other = copy.copy(self.net), copy.copy(self)
        backbone._modules = {**backbone._modules, "net": net}
        other._net = [backbone]
        return other

    def _apply(self, fn: Any, recurse: bool = True) -> "FrozenEncoder":
        for net in self._net if not self._modules else ():
            net._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _forward(net: Any, x: Tensor, blocks: Sequence[int], *, name: str) -> tuple[Tensor, list[Tensor]]:
    """Last feature map or tokens, and the (B, C, h, w) maps of the blocks.

    Raises:
        S4miError: the network has no such block, or its blocks cannot be reached.
    """
    if not blocks:
        return net.forward_features(x), []
    if not hasattr(net, "forward_intermediates"):
        raise S4miError(f"{name!r} does not give the feature maps of its blocks; choose another encoder")
    try:
        features, maps = net.forward_intermediates(x, indices=list(blocks), norm=True, output_fmt="NCHW")
    except (AssertionError, IndexError) as error:
        line = str(error).strip().partition("\n")[0]
        raise S4miError(f"{name!r} has no block {min(blocks)} ({line}); choose blocks nearer to the end") from error
    return features, maps


def _pooled(net: Any, features: Tensor) -> Tensor:
    """(B, D) features of whole images: for tokens with a class token, that and the mean of the others."""
    pooled: Tensor = net.forward_head(features, pre_logits=True)
    prefix = int(getattr(net, "num_prefix_tokens", 0))
    if features.ndim == 3 and prefix and getattr(net, "global_pool", "") == "token":
        pooled = torch.cat([pooled, features[:, prefix:].mean(dim=1)], dim=1)
    return pooled


@lru_cache(maxsize=64)
def _widths(name: str, weights: str, image_size: int, blocks: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    return FrozenEncoder(name, weights=weights, image_size=image_size, blocks=blocks)._measured()


def _key(name: str, weights: str, image_size: int, blocks: tuple[int, ...]) -> str:
    """Hash of everything that the features depend on, except the image."""
    content = weights
    if weights == IMAGENET:
        cfg = timm.get_pretrained_cfg(name)
        content = (
            f"{weights}: {getattr(cfg, 'hf_hub_id', None)} {getattr(cfg, 'tag', None)} {getattr(cfg, 'url', None)}"
        )
    elif weights == NONE:
        content = f"{weights}: torch {torch.__version__}"
    else:
        content = file_hash(Path(weights))
    text = f"encoder {REVISION}, {name}, {content}, {image_size}, {blocks}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
