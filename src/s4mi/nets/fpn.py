"""Feature pyramid network of PiCIE on a CNN (Cho et al. 2021, section 4.1; Lin et al. 2017 without the 3×3 layers).

    p_32 = W_32 c_32,   p_s = W_s c_s + upsample(p_2s)   for s = 16, 8, 4

c_s is the CNN's last feature map at stride s, W_s a 1×1 convolution to 128 channels, and the upsampling is bilinear.
The output is p_4, not normalised.
"""

from collections.abc import Sequence
from typing import Any, final

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import TINY, Backbone, check_backbone
from s4mi.nets.initial_weights import NONE
from s4mi.nets.pixel_features import PixelFeatures, freeze_unreached
from s4mi.nets.segmentation import pad

STRIDES = (4, 8, 16, 32)
_ATTENTION = frozenset({"qkv", "qkv_proj", "kv", "q", "query", "attention"})
"""Names in timm of the first layers of self-attention."""


@final
class FPN(PixelFeatures):
    """(B, 3, H, W) in [0, 1] → (B, `width`, ⌈H/4⌉, ⌈W/4⌉) features, for any H and W.

    Images whose sides are not multiples of `stride` are padded by repeating their last rows and columns, and the
    features are cropped to the image.
    """

    stride = STRIDES[-1]
    cell = STRIDES[0]

    def __init__(self, backbone: str, *, width: int = 128, image_size: int, weights: str = NONE) -> None:
        """Build the pyramid on a CNN with `weights` as for a `Backbone`: "imagenet", "none", or the path of a file.

        Args:
            width: number of channels of the features.
            image_size: H = W in pixels of the images to expect; other sizes work too.

        Raises:
            S4miError: a network that is unknown, not a CNN or without feature maps at strides 4, 8, 16 and 32, or
                weights that are missing, cannot be downloaded or do not fit.
        """
        super().__init__()
        check_pyramid(backbone)
        # The complete network, because timm's `features_only` renames the tensors, which must match those in files.
        complete = Backbone(backbone, image_size=image_size + -image_size % self.stride, weights=weights)
        self.backbone, self.width = backbone, width
        self.normalise = complete.normalise
        self.encoder: Any = complete.net
        self.levels, channels = _prune(self.encoder, name=backbone)
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, kernel_size=1) for count in channels)
        _freeze_unused(self)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        features: Tensor = self._pyramid(self.encode(images))
        return features[:, :, : -(-height // STRIDES[0]), : -(-width // STRIDES[0])]

    def encode(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] → feature maps of the padded images at strides 4, 8, 16 and 32."""
        images = pad(images, self.stride)
        maps: list[Tensor] = self.encoder.forward_intermediates(
            self.normalise(images), indices=self.levels, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def _pyramid(self, maps: Sequence[Tensor]) -> Tensor:
        """Feature maps, finest first → their projections, upsampled and summed at the size of the finest."""
        *finer, coarsest = (lateral(map_) for lateral, map_ in zip(self.laterals, maps, strict=True))
        total: Tensor = coarsest
        for level in reversed(finer):
            total = level + F.interpolate(total, size=level.shape[-2:], mode="bilinear", align_corners=False)
        return total


def check_pyramid(name: str) -> None:
    """Raise `S4miError` if the backbone is unknown, not a CNN, or lacks feature maps at strides 4, 8, 16 and 32."""
    check_backbone(name)
    with torch.device("meta"):
        net = TINY[name](image_size=64) if name in TINY else timm.create_model(name, num_classes=0)
    _prune(net, name=name)


def _prune(net: Any, *, name: str) -> tuple[list[int], list[int]]:
    """Remove the layers after the last feature map; return indices and widths of the feature maps, finest first.

    Raises:
        S4miError: not a CNN, or some of the maps are missing.
    """
    info = getattr(net, "feature_info", None) or []
    last = {level["reduction"]: (index, level["num_chs"]) for index, level in enumerate(getattr(info, "info", info))}
    if not set(STRIDES) <= last.keys() or not hasattr(net, "forward_intermediates"):
        found = ", ".join(map(str, sorted(last))) or "none"
        raise S4miError(
            f"{name!r} has no feature maps at strides 4, 8, 16 and 32 (found {found}); set method.backbone to a CNN "
            "that has, such as resnet34"
        )
    levels, channels = zip(*(last[stride] for stride in STRIDES), strict=True)
    levels = net.prune_intermediate_layers(list(levels), prune_norm=True, prune_head=True)
    if any(_ATTENTION & module._modules.keys() for module in net.modules()):
        raise S4miError(f"{name!r} contains attention layers; set method.backbone to a CNN, such as resnet34")
    return list(levels), list(channels)


def _freeze_unused(net: FPN) -> None:
    """Freeze parameters that no gradient reaches: distributed training waits for the gradient of every other one.

    Raises:
        S4miError: the network fails on images of other sizes, or its feature maps have other strides than it reports.
    """
    height, width = 2 * net.stride, 3 * net.stride
    try:
        with torch.enable_grad():
            maps = net.eval().encode(torch.zeros(1, 3, height, width))
            output = net._pyramid(maps).sum()
    except (AssertionError, RuntimeError, ValueError) as error:
        line = str(error).strip().partition("\n")[0]
        raise S4miError(
            f"{net.backbone!r} cannot serve as a feature pyramid ({line}); set method.backbone to another CNN, such as "
            "resnet34"
        ) from error
    sides = [tuple(map_.shape[-2:]) for map_ in maps]
    if sides != [(height // stride, width // stride) for stride in STRIDES]:
        raise S4miError(
            f"{net.backbone!r} has feature maps of {sides} for an image of {height}×{width} pixels, not at strides "
            "4, 8, 16 and 32; set method.backbone to another CNN, such as resnet34"
        )
    freeze_unreached(net, output)
    net.train()
