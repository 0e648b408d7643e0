"""Backbones: any timm name, three tiny networks for demonstrations, and where their weights come from."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed
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
    """A Swin transformer of 1-1-2-1 blocks, 32 wide, with windows of 4 patches (1.4 M parameters)."""
    net: nn.Module = SwinTransformer(
        img_size=image_size,
        patch_size=4,
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
        self.features = _width(self.net, name=name, image_size=image_size)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(self.normalise(images))
        return features


def check_backbone(name: str) -> None:
    """Raise `S4miError` naming the nearest known backbone if neither timm nor this package has `name`."""
    if name not in TINY and not timm.is_model(name):
        raise S4miError(f"backbone {name!r} is unknown{nearest(name, [*TINY, *timm.list_models()])}")
    network, tag = timm.models.split_model_name_tag(name)
    tagged = timm.list_models(f"{network}.*", pretrained=True) if tag else []
    if tag and name not in tagged:
        raise S4miError(f"{network!r} has no weights {tag!r}; it has {', '.join(tagged) or 'none'}")


def check_weights(weights: str) -> None:
    """Raise `S4miError` if `weights` is neither "imagenet", "none" nor a file that is there."""
    if weights not in (IMAGENET, NONE) and not Path(weights).is_file():
        raise S4miError(f"weights {weights!r} is no file; pass 'imagenet', 'none' or the path of a weight file")


def no_imagenet(name: str) -> S4miError:
    """What to say of a network that nobody offers ImageNet weights for."""
    return S4miError(f"{name!r} has no ImageNet weights; pass method.weights=none or FILE, or choose another network")


def bad_size(name: str, image_size: int, reason: BaseException) -> S4miError:
    """What to say of a network that cannot take images of this size."""
    line = str(reason).strip().partition("\n")[0]
    return S4miError(f"{name!r} cannot take images of {image_size} pixels ({line}); change data.image_size")


@contextmanager
def fetching(name: str, weights: str) -> Iterator[None]:
    """Say in one line that weights cannot be downloaded, whatever it is that timm, the hub and its http client raise.

    Their errors have no class in common. Those of the network's own arguments go through.
    """
    try:
        yield
    except Exception as error:
        own = isinstance(error, AssertionError | TypeError | ValueError) and not isinstance(error, OSError)
        if weights != IMAGENET or own:
            raise
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise S4miError(
            f"ImageNet weights of {name!r} cannot be downloaded ({line}); "
            "pass method.weights=none to start from random weights, or method.weights=FILE"
        ) from error


def read_weights(path: str, wanted: Mapping[str, Tensor], *, name: str) -> dict[str, Tensor]:
    """The `wanted` tensors of a weight file; what else is there, such as a head, is left alone.

    Raises:
        S4miError: it is no weight file, or some of the tensors are not in it.
    """
    try:
        given: dict[str, Tensor] = timm.models.load_state_dict(path)
    except Exception as error:  # pickle, zip and safetensors each raise their own
        line = str(error).strip().partition("\n")[0]
        raise S4miError(f"{path}: is no weight file ({line}); pass a .safetensors or .pth of {name!r}") from error
    # The counter of batches is no weight: old files do not have it, and torch does without it.
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in given]
    if missing:
        share = 1 - len(missing) / len(needed)
        raise S4miError(
            f"{path}: holds {share:.0%} of the tensors of {name!r}, {missing[0]!r} is missing; "
            "pass weights of this network"
        )
    return {key: given[key] for key in wanted if key in given}


def load_file(net: nn.Module, path: str, *, name: str) -> None:
    """Load the weights of all of `net` from a file.

    Raises:
        S4miError: it is no weight file, or does not fit.
    """
    with fitting(path, name):
        net.load_state_dict(read_weights(path, net.state_dict(), name=name))


@contextmanager
def fitting(path: str, name: str) -> Iterator[None]:
    """Say in one line that tensors of a file have other shapes than the network's."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).strip().splitlines()[:2][-1].strip()  # under torch's heading, the first of the tensors
        raise S4miError(f"{path}: does not fit {name!r} ({line}); pass weights of this network") from error


def check_file(name: str, path: str) -> None:
    """Raise `S4miError` unless all tensors of the timm network `name`, but for its head, are in the file."""
    with torch.device("meta"):
        wanted = timm.create_model(name, num_classes=0).state_dict()
    read_weights(path, wanted, name=name)


def _build(name: str, *, image_size: int, weights: str) -> nn.Module:
    if name in TINY:
        return _tiny(name, image_size=image_size, weights=weights)
    if weights == IMAGENET and not timm.models.is_model_pretrained(name):
        raise no_imagenet(name)
    try:
        if weights in (IMAGENET, NONE):
            return _timm(name, image_size=image_size, weights=weights)
        check_file(name, weights)
        with fitting(weights, name):
            return _timm(name, image_size=image_size, weights=weights, pretrained_cfg_overlay={"file": weights})
    except (AssertionError, ValueError) as error:
        raise bad_size(name, image_size, error) from error


def _tiny(name: str, *, image_size: int, weights: str) -> nn.Module:
    if weights == IMAGENET:
        raise no_imagenet(name)
    net = TINY[name](image_size=image_size)
    if weights != NONE:
        load_file(net, weights, name=name)
    return net


def _timm(name: str, *, image_size: int, weights: str, **overlay: Any) -> nn.Module:
    def create(**size: int) -> nn.Module:
        with fetching(name, weights):
            net: nn.Module = timm.create_model(name, pretrained=weights != NONE, num_classes=0, **overlay, **size)
        return net

    try:
        return create(img_size=image_size)  # transformers build their position embedding for it
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return create()  # a CNN takes any size


def _width(net: nn.Module, *, name: str, image_size: int) -> int:
    """How many features the network gives, found with an image of the size, which it may not be able to take."""
    embed = getattr(net, "patch_embed", None)
    patch = embed.patch_size[0] if isinstance(embed, PatchEmbed) and not embed.dynamic_img_pad else 1
    if image_size % patch:  # timm leaves the pixels beyond the last whole patch out and says nothing
        near = max(1, round(image_size / patch)) * patch
        raise S4miError(f"data.image_size {image_size} is no multiple of the patches of {name!r}, {patch}; take {near}")
    try:
        with torch.no_grad():
            features: Tensor = net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise bad_size(name, image_size, error) from error
    net.train()
    return features.shape[1]
