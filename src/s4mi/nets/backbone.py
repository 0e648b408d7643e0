"""Backbones: any timm name, three tiny networks for demonstrations, and where their weights come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGENET = "imagenet"
NONE = "none"


def tiny_resnet(**_: Any) -> nn.Module:
    """ResNet-10 a quarter as wide as usual (0.3 M parameters): four stages of one basic block."""
    net: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1], channels=(16, 32, 64, 128), stem_width=16, num_classes=0)
    return net


def tiny_vit(*, image_size: int) -> nn.Module:
    """A ViT of 4 blocks, 96 wide, with patches of 8 pixels (0.5 M parameters)."""
    net: nn.Module = VisionTransformer(
        img_size=image_size, patch_size=8, embed_dim=96, depth=4, num_heads=4, num_classes=0
    )
    return net


def tiny_swin(*, image_size: int) -> nn.Module:
    """A Swin transformer of 1-1-2-1 blocks, 32 wide, with windows of 4 patches (0.6 M parameters)."""
    net: nn.Module = SwinTransformer(
        img_size=image_size,
        patch_size=2,
        embed_dim=32,
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 4, 8),
        window_size=4,
        num_classes=0,
    )
    return net


TINY: dict[str, Callable[..., nn.Module]] = {
    "tiny_resnet": tiny_resnet,
    "tiny_vit": tiny_vit,
    "tiny_swin": tiny_swin,
}


class Normalise(nn.Module):
    """(B, 3, H, W) in [0, 1] → what a backbone was trained on: (x - mean) / std per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[None, :, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Backbone(nn.Module):
    """A timm network without its head: (B, 3, H, W) in [0, 1] → (B, `features`)."""

    def __init__(self, name: str, *, image_size: int, weights: str = NONE) -> None:
        """Build the network `name` with `weights`: "imagenet" (downloaded by timm), "none", or the path of a file.

        Raises:
            S4miError: unknown name, a size the network cannot take, or weights that cannot be had or do not fit.
        """
        super().__init__()
        check_backbone(name)
        check_weights(weights)
        self.net = _build(name, image_size=image_size, weights=weights)
        config = getattr(self.net, "pretrained_cfg", {}) or {}
        self.normalise = Normalise(config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD))
        width: Any = getattr(self.net, "head_hidden_size", None) or self.net.num_features
        self.features = int(width)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(self.normalise(images))
        return features


def check_backbone(name: str) -> None:
    """Raise `S4miError` naming the nearest known backbones if neither timm nor this package has `name`."""
    if name not in TINY and not timm.is_model(name):
        raise S4miError(f"backbone {name!r} is unknown{nearest(name, [*TINY, *timm.list_models()])}")


def check_weights(weights: str) -> None:
    """Raise `S4miError` if `weights` is neither "imagenet", "none" nor a file that is there."""
    if weights not in (IMAGENET, NONE) and not Path(weights).is_file():
        raise S4miError(f"weights {weights!r} is no file; pass 'imagenet', 'none' or the path of a weight file")


def no_download(name: str, *, reason: object) -> S4miError:
    """What to say when ImageNet weights cannot be fetched."""
    line = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
    return S4miError(
        f"ImageNet weights of {name!r} cannot be downloaded ({line}); "
        "pass method.weights=none to start from random weights, or method.weights=FILE"
    )


def _build(name: str, *, image_size: int, weights: str) -> nn.Module:
    try:
        if name in TINY:
            return _tiny(name, image_size=image_size, weights=weights)
        overlay = {} if weights in (IMAGENET, NONE) else {"pretrained_cfg_overlay": {"file": weights}}
        if overlay:
            _check_file(name, Path(weights))
        return _timm(name, image_size=image_size, pretrained=weights != NONE, **overlay)
    except (AssertionError, ValueError) as error:
        raise S4miError(
            f"backbone {name!r} cannot take images of {image_size} pixels ({error}); change data.image_size"
        ) from error


def _tiny(name: str, *, image_size: int, weights: str) -> nn.Module:
    if weights == IMAGENET:
        raise S4miError(f"{name!r} has no ImageNet weights; pass method.weights=none or choose a timm backbone")
    if name != "tiny_resnet" and image_size % 16:
        raise ValueError("the size must be a multiple of 16")
    net = TINY[name](image_size=image_size)
    if weights != NONE:
        net.load_state_dict(timm.models.load_state_dict(weights))
    return net


def _timm(name: str, *, image_size: int, pretrained: bool, **overlay: Any) -> nn.Module:
    def create(**size: int) -> nn.Module:
        try:
            net: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **overlay, **size)
        except (OSError, ConnectionError) as error:
            raise no_download(name, reason=error) from error
        return net

    try:
        return create(img_size=image_size)  # transformers build their position embedding for it
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return create()  # a CNN takes any size


def _check_file(name: str, path: Path) -> None:
    """All tensors of the encoder must be in the file; a head there is left alone."""
    try:
        given = timm.models.load_state_dict(str(path))
    except Exception as error:  # pickle, zip and safetensors each raise their own
        raise S4miError(f"{path}: is no weight file ({error}); pass a .safetensors or .pth of {name!r}") from error
    with torch.device("meta"):
        wanted = timm.create_model(name, num_classes=0).state_dict()
    missing = [key for key in wanted if key not in given]
    if missing:
        share = 1 - len(missing) / len(wanted)
        raise S4miError(
            f"{path}: holds {share:.0%} of the tensors of {name!r}, {missing[0]!r} is missing; "
            "pass weights of this backbone"
        )
