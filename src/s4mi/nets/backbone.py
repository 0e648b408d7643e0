"""Backbones: any timm network, and three tiny networks for demonstrations."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.initial_weights import ELSEWHERE, IMAGENET, NONE, check_weights
from s4mi.nets.weights import downloading, load_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def tiny_resnet(**_: Any) -> nn.Module:
    """ResNet-10 at a quarter of the usual width (0.3 M parameters): four stages of one basic block."""
    net: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1], channels=(16, 32, 64, 128), stem_width=16, num_classes=0)
    return net


def tiny_vit(*, image_size: int, any_size: bool = False) -> nn.Module:
    """ViT with 4 blocks of width 96 and patches of 8 pixels (0.5 M parameters)."""
    net: nn.Module = VisionTransformer(
        img_size=image_size,
        patch_size=8,
        embed_dim=96,
        depth=4,
        num_heads=4,
        num_classes=0,
        dynamic_img_size=any_size,
    )
    return net


def tiny_swin(*, image_size: int, any_size: bool = False) -> nn.Module:
    """Swin transformer with 1-1-2-1 blocks of width 32 and windows of 4 patches (1.4 M parameters)."""
    net: nn.Module = SwinTransformer(
        img_size=image_size,
        patch_size=4,
        embed_dim=32,
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 4, 8),
        window_size=4,
        num_classes=0,
        strict_img_size=not any_size,
    )
    return net


TINY: dict[str, Callable[..., nn.Module]] = {
    "tiny_resnet": tiny_resnet,
    "tiny_vit": tiny_vit,
    "tiny_swin": tiny_swin,
}


class Normalise(nn.Module):
    """(B, 3, H, W) in [0, 1] → (x - mean) / std per channel, the input that a backbone expects."""

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

    def __init__(self, name: str, *, image_size: int, weights: str = NONE, any_size: bool = False) -> None:
        """Build the network `name` with `weights`: "imagenet" (downloaded by timm), "none", or the path of a file.

        Args:
            any_size: accept images of other sizes than `image_size` too, if the network can.

        Raises:
            S4miError: an unknown name, an unsupported image size, or weights that are missing, cannot be downloaded or
                do not fit.
        """
        super().__init__()
        check_backbone(name)
        check_weights(weights)
        self.name, self.image_size = name, image_size
        self.net = _build(name, image_size=image_size, weights=weights, any_size=any_size)
        config = getattr(self.net, "pretrained_cfg", {}) or {}
        self.normalise = Normalise(config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD))
        self.features = _width(self.net, name=name, image_size=image_size)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(self.normalise(images))
        return features

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], H = W → (B, C, h, w), the last feature map before pooling.

        Raises:
            S4miError: the network has no feature map in a known layout.
        """
        forward_features: Any = getattr(self.net, "forward_features", None)
        features = forward_features(self.normalise(images)) if forward_features is not None else torch.empty(0)
        if features.ndim == 3:  # tokens, prefix tokens such as the class token first
            tokens = features[:, getattr(self.net, "num_prefix_tokens", 0) :]
            side = math.isqrt(tokens.shape[1])
            return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
        if features.ndim != 4:
            raise S4miError(f"{self.name!r} has no feature map; choose another backbone")
        return features.permute(0, 3, 1, 2) if getattr(self.net, "output_fmt", "") == "NHWC" else features

    def check_size(self, size: int, *, setting: str) -> None:
        """Raise `S4miError` if this network cannot take images of `size` pixels, the value of `setting`."""
        _check_multiple(size, patch_size(self.net), name=self.name, setting=setting)
        was_training = self.training
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            line = str(error).strip().partition("\n")[0]
            raise S4miError(f"{self.name!r} cannot take images of {size} pixels ({line}); change {setting}") from error
        self.train(was_training)


def check_backbone(name: str) -> None:
    """Raise `S4miError` if neither timm nor this package has a backbone `name`."""
    if name not in TINY and not timm.is_model(name):
        raise S4miError(f"backbone {name!r} is unknown{nearest(name, [*TINY, *timm.list_models()])}")
    network, tag = timm.models.split_model_name_tag(name)
    tagged = timm.list_models(f"{network}.*", pretrained=True) if tag else []
    if tag and name not in tagged:
        raise S4miError(f"{network!r} has no weights {tag!r}; it has {', '.join(tagged) or 'none'}")


@cache
def takes_size(name: str, image_size: int) -> str:
    """Why a network cannot take images of this size, in words; empty if it can. Nothing is computed."""
    try:
        with torch.device("meta"):
            net = _build(name, image_size=image_size, weights=NONE, any_size=False)
            _check_multiple(image_size, patch_size(net), name=name, setting="data.image_size")
            net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (S4miError, AssertionError, RuntimeError, ValueError) as error:
        return str(error).strip().partition("\n")[0].partition(";")[0]
    return ""


@cache
def patch_size_of(name: str) -> int:
    """Side of the patches of a network, of which image sides must be multiples; 1 if any size will do.

    Raises:
        S4miError: an unknown name.
    """
    check_backbone(name)
    with torch.device("meta"):
        net = TINY[name](image_size=64) if name in TINY else timm.create_model(name, num_classes=0)
    return patch_size(net)


def fitting_size(name: str, image_size: int) -> int:
    """The size nearest to `image_size` that is a multiple of the patches of a network.

    Raises:
        S4miError: an unknown name.
    """
    patch = patch_size_of(name)
    return max(1, round(image_size / patch)) * patch


def no_imagenet(name: str) -> S4miError:
    """Error for a network for which there are no ImageNet weights."""
    return S4miError(
        f"{name!r} has no ImageNet weights; pass method.weights=none or FILE {ELSEWHERE}, or choose another network"
    )


def bad_size(name: str, image_size: int, reason: BaseException) -> S4miError:
    """Error for a network that cannot take images of this size."""
    line = str(reason).strip().partition("\n")[0]
    return S4miError(f"{name!r} cannot take images of {image_size} pixels ({line}); change data.image_size")


def _build(name: str, *, image_size: int, weights: str, any_size: bool) -> nn.Module:
    if name in TINY:
        return _tiny(name, image_size=image_size, weights=weights, any_size=any_size)
    if weights == IMAGENET and not timm.models.is_model_pretrained(name):
        raise no_imagenet(name)
    try:
        from_file = weights not in (IMAGENET, NONE)
        net = _timm(name, image_size=image_size, weights=NONE if from_file else weights, any_size=any_size)
        if from_file:
            load_file(net, weights, name=name, timm_model=True)
        return net
    except (AssertionError, ValueError) as error:
        raise bad_size(name, image_size, error) from error


def _tiny(name: str, *, image_size: int, weights: str, any_size: bool) -> nn.Module:
    if weights == IMAGENET:
        raise no_imagenet(name)
    net = TINY[name](image_size=image_size, any_size=any_size)
    if weights != NONE:
        load_file(net, weights, name=name)
    return net


def _timm(name: str, *, image_size: int, weights: str, any_size: bool) -> nn.Module:
    # Transformers build their position embedding for one size; ViTs can resample it, Swins can pad their windows. CNNs
    # accept none of these arguments and take any size.
    fixed: list[dict[str, Any]] = [{"img_size": image_size}, {}]
    dynamic = [{"img_size": image_size, "dynamic_img_size": True}, {"img_size": image_size, "strict_img_size": False}]
    for size in [*(dynamic if any_size else []), *fixed]:
        try:
            with downloading(name, weights):
                net: nn.Module = timm.create_model(name, pretrained=weights != NONE, num_classes=0, **size)
            return net
        except TypeError as error:
            if not any(argument in str(error) for argument in size):
                raise
    raise AssertionError("creating a network without size arguments failed because of a size argument")


def patch_size(net: nn.Module) -> int:
    """Side of a transformer's patches, of which image sides must be multiples; 1 if any size will do."""
    embed = getattr(net, "patch_embed", None)
    return embed.patch_size[0] if isinstance(embed, PatchEmbed) and not embed.dynamic_img_pad else 1


def _check_multiple(size: int, patch: int, *, name: str, setting: str) -> None:
    """Raise `S4miError` unless `size` is a multiple of the patches; timm would drop the remaining pixels silently."""
    if size % patch:
        near = max(1, round(size / patch)) * patch
        raise S4miError(f"{setting} {size} is not a multiple of the patch size {patch} of {name!r}; set it to {near}")


def _width(net: nn.Module, *, name: str, image_size: int) -> int:
    """Number of features of the network, measured on an image of this size.

    Raises:
        S4miError: the network cannot take images of this size.
    """
    _check_multiple(image_size, patch_size(net), name=name, setting="data.image_size")
    try:
        with torch.no_grad():
            features: Tensor = net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise bad_size(name, image_size, error) from error
    net.train()
    return features.shape[1]
