"""A sample of a segmenter's answers to single pixels, taken while it answers; all would be too many to keep."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch
from s4mi.records import IGNORE

Given = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(N, K) probabilities and (N,) classes, or of several labels (N, K) 0 and 1."""

PIXELS = 400_000
"""At most about so many of one part."""
LEAST_PIXELS = 64
"""At least so many of an image, however many images there are."""
GOLDEN = (np.sqrt(5) - 1) / 2
"""Multiples of it fill [0, 1) evenly, and in step with no row or column."""


class PixelSample:
    """Collects the same number of pixels of each input, as large as the network sees it; ignored ones are left out."""

    def __init__(self, inputs: int) -> None:
        """`inputs`: of the part, in all processes together."""
        self._wanted = max(LEAST_PIXELS, PIXELS // max(1, inputs))
        self._given: list[NDArray[np.float32]] = []
        self._truth: list[NDArray[np.int64]] = []

    def add(self, batch: Batch, logits: Tensor) -> None:
        """Take from a batch with masks and its (B, K, S, S) logits."""
        masks = batch.known_masks.flatten(1)
        places = torch.from_numpy(spread_places(masks.shape[1], self._wanted)).to(masks.device)
        chosen = masks[:, places]
        seen = logits.flatten(2)[:, :, places].softmax(dim=1).movedim(1, 2)  # (B, P, K)
        known = chosen != IGNORE
        self._given.append(seen[known].cpu().numpy().astype(np.float32))
        self._truth.append(chosen[known].cpu().numpy().astype(np.int64))

    def taken(self) -> Given | None:
        """What was collected; None without any pixel."""
        return joined(list(zip(self._given, self._truth, strict=True)))


def joined(parts: Sequence[Given | None]) -> Given | None:
    """One sample of several, those of all processes for one; None without any pixel."""
    there = [part for part in parts if part is not None and len(part[1])]
    if not there:
        return None
    return np.concatenate([given for given, _ in there]), np.concatenate([truth for _, truth in there])


def spread_places(size: int, wanted: int) -> NDArray[np.int64]:
    """Positions of about `wanted` of `size` pixels, spread evenly, ascending, each once."""
    if wanted >= size:
        return np.arange(size)
    return np.unique((np.arange(1, wanted + 1) * GOLDEN % 1 * size).astype(np.int64))
