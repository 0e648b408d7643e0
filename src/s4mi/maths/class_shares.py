"""Share of each class in the cells of a coarser grid than the mask's."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.records import IGNORE


def class_shares(masks: Tensor, classes: int, size: Sequence[int]) -> Tensor:
    """(B, H, W) int64 masks → (B, K, h, w) share of each class among all pixels of a cell of the grid (h, w).

    The shares of a cell sum to that of its annotated pixels: 1, or less where pixels are `IGNORE`.
    """
    known = masks != IGNORE
    one_hot = F.one_hot(torch.where(known, masks, 0), classes).movedim(-1, 1) * known[:, None]
    return F.adaptive_avg_pool2d(one_hot.float(), (int(size[0]), int(size[1])))
