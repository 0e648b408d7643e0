"""A sample of a segmenter's pixel predictions, collected batch by batch; all of them would not fit into memory."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch
from s4mi.records import IGNORE

LabelledProbabilities = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(N, K) probabilities with the ground truth: (N,) class indices, or (N, K) 0/1 for multi-label tasks."""

PIXELS = 400_000
"""Approximate maximum number of pixels of one part of the split."""
LEAST_PIXELS = 64
"""Minimum number of pixels of an image, however many images there are."""
GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
"""Its multiples modulo 1 fill [0, 1) evenly, and never align with rows or columns."""


class PixelSample:
    """Collects the same number of pixels from each input, at network resolution, without ignored pixels."""

    def __init__(self, inputs: int) -> None:
        """`inputs`: network inputs in this part of the split, over all processes."""
        self._per_input = max(LEAST_PIXELS, PIXELS // max(1, inputs))
        self._probabilities: list[NDArray[np.float32]] = []
        self._truth: list[NDArray[np.int64]] = []

    def add(self, batch: Batch, logits: Tensor) -> None:
        """Add pixels of a batch with masks, given its (B, K, S, S) logits."""
        masks = batch.known_masks.flatten(1)
        positions = torch.from_numpy(spread_positions(masks.shape[1], self._per_input)).to(masks.device)
        truth = masks[:, positions]
        probabilities = logits.flatten(2)[:, :, positions].softmax(dim=1).movedim(1, 2)  # (B, P, K)
        known = truth != IGNORE
        self._probabilities.append(probabilities[known].cpu().numpy().astype(np.float32))
        self._truth.append(truth[known].cpu().numpy().astype(np.int64))

    def collected(self) -> LabelledProbabilities | None:
        """Return the sample; None if it is empty."""
        return joined(list(zip(self._probabilities, self._truth, strict=True)))


def joined(samples: Sequence[LabelledProbabilities | None]) -> LabelledProbabilities | None:
    """Join several samples, such as those of all processes; None if all are empty."""
    filled = [sample for sample in samples if sample is not None and len(sample[1])]
    if not filled:
        return None
    probabilities, truth = zip(*filled, strict=True)
    return np.concatenate(probabilities), np.concatenate(truth)


def spread_positions(size: int, count: int) -> NDArray[np.int64]:
    """Return about `count` distinct positions out of `size`, evenly spread and ascending."""
    if count >= size:
        return np.arange(size)
    return np.unique((np.arange(1, count + 1) * GOLDEN_RATIO % 1 * size).astype(np.int64))
