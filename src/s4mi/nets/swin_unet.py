"""Swin-Unet: a U-Net of Swin transformer blocks (Cao et al. 2021; the blocks are timm's).

    encoder   patches of 4×4 pixels, then 4 stages of 2 blocks: widths d, 2d, 4d, 8d at strides 4, 8, 16, 32
    decoder   for each of the 3 finer stages: expand to twice the sides and half the width, concatenate with the
              encoder's map, linear layer back to the width, 2 blocks
    head      expand to four times the sides, linear layer to the classes

Maps are (B, h, w, C) for timm's blocks and (B, C, h, w) between `encode` and `decode`. Skip connections are taken after
the blocks of a stage, as in the paper's figure; the authors' code takes them before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import timm
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, window_partition, window_reverse
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.backbone import Normalise, no_imagenet
from s4mi.nets.initial_weights import IMAGENET, NONE, check_weights
from s4mi.nets.segmentation import SegmentationNet
from s4mi.nets.weights import downloading, loading, read_weights, without_head

PATCH = 4
STAGES = 4
BLOCKS = 2
"""Number of blocks per stage; of the 6 blocks in the third stage of Swin-tiny, the first 2 are used."""
DROP_PATH = 0.2
"""Stochastic depth rate of the encoder's last block; it rises linearly up to there, and the decoder mirrors it."""


@dataclass(frozen=True)
class SwinShape:
    """Widths, heads and window of a Swin-Unet."""

    width: int
    heads: tuple[int, int, int, int]
    window: int
    timm_name: str | None = None
    """The timm network whose stages begin with the blocks of this encoder, for its weights."""


SHAPES = {
    "swin_tiny": SwinShape(96, heads=(3, 6, 12, 24), window=7, timm_name="swin_tiny_patch4_window7_224"),
    "tiny_swin": SwinShape(32, heads=(1, 2, 4, 8), window=4),
}


@final
class SwinUNet(SegmentationNet):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits; 27 M parameters as "swin_tiny", 3 M as "tiny_swin".

    No weight depends on the image size: weights trained at one size can be loaded and used at any other.
    """

    stride = PATCH * 2 ** (STAGES - 1)

    def __init__(self, name: str = "swin_tiny", *, classes: int, image_size: int, weights: str = NONE) -> None:
        """Build the network `name` with initial encoder `weights`: "imagenet", "none", or the path of a file.

        Args:
            image_size: side of the images in pixels, which timm records; other sizes work too.
            weights: a file holds timm weights of Swin-tiny, or of this network's encoder. The decoder is random.

        Raises:
            S4miError: an unknown name, or weights that are missing, cannot be downloaded or do not fit.
        """
        super().__init__()
        if name not in SHAPES:
            raise S4miError(f"Swin-Unet {name!r} is unknown{nearest(name, SHAPES)}; choose {' or '.join(SHAPES)}")
        check_weights(weights)
        shape = SHAPES[name]
        self.normalise = Normalise()
        # `always_partition` keeps timm from shrinking windows to a small image; `swin_block` fits them to any size.
        self.encoder = SwinTransformer(
            img_size=image_size,
            patch_size=PATCH,
            embed_dim=shape.width,
            depths=(BLOCKS,) * STAGES,
            num_heads=shape.heads,
            window_size=shape.window,
            num_classes=0,
            drop_path_rate=DROP_PATH,
            always_partition=True,
            strict_img_size=False,
        )
        self.decoder = _Decoder(shape, classes=classes)
        if weights != NONE:
            _load_encoder(self.encoder, weights, name=name)

    def _features(self, images: Tensor) -> list[Tensor]:
        x, maps = self.encoder.patch_embed(self.normalise(images)), []
        for stage in self.encoder.layers:
            x = stage.downsample(x)
            for block in stage.blocks:
                x = swin_block(block, x)
            maps.append(x)
        maps[-1] = self.encoder.norm(x)
        return [x.permute(0, 3, 1, 2) for x in maps]

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.decoder([x.permute(0, 2, 3, 1) for x in features])
        return logits.permute(0, 3, 1, 2)


class _Decoder(nn.Module):
    """The encoder's maps (B, h, w, C), finest first → logits (B, H, W, `classes`)."""

    def __init__(self, shape: SwinShape, *, classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_Level(shape, stage) for stage in reversed(range(STAGES - 1)))
        self.norm = nn.LayerNorm(shape.width)
        self.expand = PatchExpanding(shape.width, shape.width, times=PATCH)
        self.head = nn.Linear(shape.width, classes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):  # timm's initialisation, as in the encoder
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *skips, x = maps
        for level, skip in zip(self.levels, reversed(skips), strict=True):
            x = level(x, skip)
        logits: Tensor = self.head(self.expand(self.norm(x)))
        return logits


class _Level(nn.Module):
    """A map (B, h, w, 2d) and the encoder's finer map (B, 2h, 2w, d) of this stage → (B, 2h, 2w, d)."""

    def __init__(self, shape: SwinShape, stage: int) -> None:
        super().__init__()
        width = shape.width * 2**stage
        self.expand = PatchExpanding(2 * width, width, times=2)
        self.join = nn.Linear(2 * width, width)
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                width,
                input_resolution=(1, 1),  # unused with a dynamic mask
                num_heads=shape.heads[stage],
                window_size=shape.window,
                shift_size=shape.window // 2 if index % 2 else 0,
                always_partition=True,
                dynamic_mask=True,
                drop_path=DROP_PATH * (BLOCKS * stage + index) / (BLOCKS * STAGES - 1),
            )
            for index in range(BLOCKS)
        )

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        x: Tensor = self.join(torch.cat([self.expand(coarse), skip], dim=-1))
        for block in self.blocks:
            x = swin_block(block, x)
        return x


class PatchExpanding(nn.Module):
    """(B, h, w, `width`) → (B, h · `times`, w · `times`, `out`): linear layer, `depth_to_space`, norm."""

    def __init__(self, width: int, out: int, *, times: int) -> None:
        super().__init__()
        self.times = times
        self.linear = nn.Linear(width, times**2 * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        expanded: Tensor = self.norm(depth_to_space(self.linear(x), self.times))
        return expanded


def depth_to_space(x: Tensor, times: int) -> Tensor:
    """(B, h, w, times² · C) → (B, h · times, w · times, C); with `times` 2 the inverse of Swin's patch merging."""
    batch, height, width, channels = x.shape
    parts = x.reshape(batch, height, width, times, times, channels // times**2)  # (B, h, w, column, row, C)
    return parts.permute(0, 1, 4, 2, 3, 5).flatten(3, 4).flatten(1, 2)


def swin_block(block: Any, x: Tensor) -> Tensor:
    """Forward pass of timm's `SwinTransformerBlock` for any h and w: (B, h, w, C) → the same shape.

    Attention never reaches padding, and a side that fits into one window is not shifted. The result equals timm's own
    forward pass in a block built for h and w that are multiples of the window. For other sizes timm rolls before it
    pads but builds its mask as if it had padded first, so that the first rows attend to the last ones and all attend to
    the padding.
    """
    attended = x + block.drop_path1(_window_attention(block, block.norm1(x)))
    output: Tensor = attended + block.drop_path2(block.mlp(block.norm2(attended)))
    return output


def _window_attention(block: Any, x: Tensor) -> Tensor:
    """Attention within windows of a map (B, h, w, C), shifted along sides with more than one window."""
    (height, width), window = x.shape[1:3], block.window_size
    down, right = (s if n > k else 0 for n, k, s in zip((height, width), window, block.shift_size, strict=True))
    below, beside = -height % window[0], -width % window[1]
    x = F.pad(x, (0, 0, 0, beside, 0, below)).roll((-down, -right), dims=(1, 2))
    mask = None
    if down or right or below or beside:
        rows = _regions(height, padding=below, shift=down, device=x.device)
        columns = _regions(width, padding=beside, shift=right, device=x.device)
        mask = _mask(3 * rows[:, None] + columns, window).to(x.dtype)
    windows = block.attn(window_partition(x, window).flatten(1, 2), mask=mask)
    merged: Tensor = window_reverse(windows.unflatten(1, window), window, height + below, width + beside)
    return merged.roll((down, right), dims=(1, 2))[:, :height, :width]


def _regions(length: int, *, padding: int, shift: int, device: torch.device) -> Tensor:
    """(length + padding,) rolled by -`shift`: 1 for positions that wrapped around, 2 for padding, 0 for others."""
    position = torch.arange(length + padding, device=device)
    return ((position < shift).long() + 2 * (position >= length).long()).roll(-shift)


def _mask(regions: Tensor, window: tuple[int, int]) -> Tensor:
    """(h, w) → (windows, area, area): 0 between positions of one region in a window, -inf between others."""
    flat = window_partition(regions[None, :, :, None], window).flatten(1)
    apart = flat[:, :, None] != flat[:, None, :]
    return torch.zeros(apart.shape, device=regions.device).masked_fill(apart, float("-inf"))


def _load_encoder(encoder: nn.Module, weights: str, *, name: str) -> None:
    """Load the encoder's tensors from ImageNet weights or from a file, which may hold more blocks."""
    expected, origin = encoder.state_dict(), SHAPES[name].timm_name
    if weights == IMAGENET:
        if origin is None:
            raise no_imagenet(name)
        with downloading(origin, weights):
            loaded = timm.create_model(origin, pretrained=True, num_classes=0).state_dict()
        encoder.load_state_dict({key: loaded[key] for key in expected})
        return
    with loading(weights, origin or name):
        model = None if origin is None else without_head(origin)
        # The window of this network is fixed: a table of another window does not fit, and is not interpolated.
        table = "relative_position_bias_table"
        tensors = read_weights(weights, expected, name=origin or name, model=model, as_stored=table)
        encoder.load_state_dict(tensors)
