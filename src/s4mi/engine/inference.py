"""From a trained method to answers: batched logits, and tiles put together to a page."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch, Classifier, Segmenter

ONLY = ""
"""Name of the member of a method that gives one answer only."""


def infer(fabric: Fabric, method: Classifier | Segmenter, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch with its float32 logits; the method is left in evaluation mode."""
    return infer_with(fabric, method, method.logits, batches)


@torch.inference_mode()
def infer_with(
    fabric: Fabric, method: Classifier | Segmenter, give: Callable[[Tensor], Tensor], batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch with what one of the method's functions gives for its images; it is left in evaluation mode."""
    method.eval()
    for batch in batches:
        with fabric.autocast():
            given = give(batch.images)
        yield batch, given.float()


@torch.inference_mode()
def infer_members(
    fabric: Fabric, method: Segmenter, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    """Each batch with the float32 logits of every member by its name; `ONLY` is that of a method with one alone."""
    method.eval()
    for batch in batches:
        with fabric.autocast():
            several = method.members
            members = {ONLY: method.logits(batch.images)} if several is None else several.member_logits(batch.images)
        yield batch, {name: logits.float() for name, logits in members.items()}


def probabilities(logits: Tensor, *, multilabel: bool) -> Tensor:
    """(B, K) logits → (B, K) probabilities, which sum to 1 unless `multilabel`."""
    return logits.sigmoid() if multilabel else logits.softmax(dim=1)


def resize_probabilities(logits: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """(N, K, S, S) logits → (N, K, height, width) softmax probabilities, bilinear."""
    resized = F.interpolate(logits.softmax(dim=1), size=size, mode="bilinear", align_corners=False)
    return np.asarray(resized.cpu().numpy(), dtype=np.float32)
