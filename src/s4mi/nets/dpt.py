"""DPT: a plain ViT with a decoder that fuses the tokens of four depths (Ranftl et al. 2021).

    reassemble   tokens of four blocks as maps (B, C, h, w), 1×1 to 48, 96, 192 and 384 channels, resampled to 4, 2, 1
                 and ½ times the grid, 3×3 to 64 channels
    fuse         from the deepest up: residual unit of the skip, sum, residual unit, bilinear upsampling by 2, 1×1
    head         3×3, ReLU, 1×1 to the classes at 8 times the grid, bilinear to the image

The widths are those of UniMatch V2 for a ViT-S (Yang et al. 2025), which trains DINOv2 with weak-to-strong consistency
and a learning rate of the encoder that is a fortieth of the decoder's.
"""

from collections.abc import Sequence
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import patch_size_of
from s4mi.nets.initial_weights import NONE
from s4mi.nets.multi_level import MultiLevelEncoder
from s4mi.nets.segmentation import SegmentationNet, freeze_unused

LEVELS = 4
WIDTHS = (48, 96, 192, 384)
FUSED = 64
ENCODER_RATE = 1 / 40
"""Learning rate of the encoder as a share of that of the decoder."""


@final
class DPT(SegmentationNet):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits, for a plain ViT, whose patch is the stride."""

    def __init__(self, encoder: str, *, classes: int, image_size: int, weights: str = NONE) -> None:
        """Build the network with `weights` as for a backbone in its encoder.

        Raises:
            S4miError: an encoder that is unknown or no plain ViT, or weights that are missing or do not fit.
        """
        super().__init__()
        self.stride = patch_size_of(encoder)
        self.encoder = MultiLevelEncoder(encoder, image_size=image_size + -image_size % self.stride, weights=weights)
        if not _plain(self.encoder):
            raise S4miError(f"dpt/{encoder}: {encoder!r} is no plain ViT; choose one, or a U-Net on tu-{encoder}")
        self.reassemble = nn.ModuleList(
            _reassemble(width, between, level)
            for level, (width, between) in enumerate(zip(self.encoder.widths, WIDTHS, strict=True))
        )
        self.fuse = nn.ModuleList(_Fusion(deepest=level == LEVELS - 1) for level in range(LEVELS))
        self.head = nn.Sequential(
            nn.Conv2d(FUSED, FUSED, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(FUSED, classes, 1)
        )
        for weight in self.encoder.parameters():
            weight.lr_scale = ENCODER_RATE  # type: ignore[attr-defined]
        freeze_unused(self, image_size=image_size, name=f"dpt/{encoder}")

    def _features(self, images: Tensor) -> list[Tensor]:
        return list(self.encoder(images))

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        height, width = (side * self.stride for side in features[-1].shape[-2:])
        levels = [layer(x) for layer, x in zip(self.reassemble, features, strict=True)]
        x: Tensor | None = None
        for level in reversed(range(LEVELS)):
            finer = levels[level - 1].shape[-2:] if level else [2 * side for side in levels[0].shape[-2:]]
            x = self.fuse[level](levels[level], x, size=finer)
        return F.interpolate(self.head(x), (height, width), mode="bilinear", align_corners=True)


def _plain(encoder: MultiLevelEncoder) -> bool:
    """Whether all maps have one grid, as in a ViT, and are as many as DPT joins."""
    strides = {level["reduction"] for level in encoder.backbone.net.feature_info}  # type: ignore[union-attr]
    return len(strides) == 1 and len(encoder.widths) == LEVELS


class _Fusion(nn.Module):
    """A level (B, F, h, w) and what is fused so far, of the same size → (B, F, *`size`)."""

    def __init__(self, *, deepest: bool) -> None:
        super().__init__()
        self.skip = None if deepest else _Residual()
        self.merged = _Residual()
        self.out = nn.Conv2d(FUSED, FUSED, 1)

    def forward(self, level: Tensor, fused: Tensor | None, *, size: Sequence[int]) -> Tensor:
        x = level if self.skip is None or fused is None else fused + self.skip(level)
        x = F.interpolate(self.merged(x), tuple(size), mode="bilinear", align_corners=True)
        out: Tensor = self.out(x)
        return out


class _Residual(nn.Module):
    """Pre-activated residual unit of two 3×3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(FUSED, FUSED, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(F.relu(self.first(F.relu(x))))
        return x + residual


def _reassemble(width: int, between: int, level: int) -> nn.Sequential:
    """1×1 to `between` channels, resampling by 4, 2, 1 or ½ for levels 0 to 3, 3×3 without bias to `FUSED`."""
    resample: list[nn.Module] = []
    if level < 2:
        times = 4 // 2**level
        resample = [nn.ConvTranspose2d(between, between, times, stride=times)]
    elif level == LEVELS - 1:
        resample = [nn.Conv2d(between, between, 3, stride=2, padding=1)]
    return nn.Sequential(nn.Conv2d(width, between, 1), *resample, nn.Conv2d(between, FUSED, 3, padding=1, bias=False))
