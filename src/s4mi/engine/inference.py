"""Batched inference with a trained method."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch, Classifier, Segmenter
from s4mi.engine.fabric import Fabric

ONLY = ""
"""Name of the only member of a method that is not an ensemble."""


def infer(fabric: Fabric, method: Classifier | Segmenter, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch with its float32 logits; the method is left in evaluation mode."""
    return infer_with(fabric, method, method.logits, batches)


@torch.inference_mode()
def infer_with(
    fabric: Fabric, method: Classifier | Segmenter, forward: Callable[[Tensor], Tensor], batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch with the float32 output of `forward`, a function of the method, for its images.

    The method is left in evaluation mode.
    """
    method.eval()
    for batch in batches:
        with fabric.autocast():
            output = forward(batch.images)
        yield batch, output.float()


@torch.inference_mode()
def infer_members(
    fabric: Fabric, method: Segmenter, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    """Yield each batch with the float32 logits of all ensemble members by name; `ONLY` if there is no ensemble."""
    method.eval()
    for batch in batches:
        with fabric.autocast():
            members, x = method.members, batch.images
            outputs = {ONLY: method.logits(x)} if members is None else members.member_logits(x)
        yield batch, {name: logits.float() for name, logits in outputs.items()}


def probabilities(logits: Tensor, *, multilabel: bool) -> Tensor:
    """Convert (B, K) logits to (B, K) probabilities, which sum to 1 unless `multilabel`."""
    return logits.sigmoid() if multilabel else logits.softmax(dim=1)


def resize_probabilities(logits: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """Convert (N, K, S, S) logits to (N, K, height, width) softmax probabilities, resized bilinearly."""
    resized = F.interpolate(logits.softmax(dim=1), size=size, mode="bilinear", align_corners=False)
    return np.asarray(resized.cpu().numpy(), dtype=np.float32)
