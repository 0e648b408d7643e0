"""Shared by the tests of semi-supervised segmentation: a task, images with and without masks, and an oracle."""

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

from s4mi.contract import Batch, Task
from s4mi.records import IGNORE

TASK = Task(kind="segmentation", classes=("background", "a", "b"), image_size=32, counts=(60, 30, 10), labelled=8)
MONAI = DiceLoss(squared_pred=True, batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5)


def batch_of(labelled: int, unlabelled: int, *, views: int = 1) -> Batch:
    """Images with masks, a fifth of whose pixels is ignored, and images without, in `views` views."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(labelled + views * unlabelled, 3, 32, 32, generator=generator)
    masks = torch.randint(3, (labelled, 32, 32), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = IGNORE
    rows = torch.arange(labelled + unlabelled)
    return Batch(images[:labelled], rows, masks=masks, unlabelled=images[labelled:])


def known(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The N pixels that are not ignored, as one image: logits (1, K, N, 1), classes (1, 1, N, 1)."""
    annotated = y != IGNORE
    return z.movedim(1, -1)[annotated].T[None, :, :, None], y[annotated][None, None, :, None]


def half_dice_half_cross_entropy(z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """½ [Dice + CE] by MONAI and torch, of the pixels that are not ignored."""
    scores, classes = known(z, y)
    value: Tensor = 0.5 * MONAI(scores, classes) + 0.5 * F.cross_entropy(scores, classes[:, 0], weight=weight)
    return value
