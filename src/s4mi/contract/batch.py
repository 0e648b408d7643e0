"""Data exchanged between the training loop and a method: task, batches, named losses, training state."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images and their annotations, on the training device.

    Attributes:
        images: (V·B, 3, H, W) float in [0, 1]: V views of each of B images, view-major; V is 1 unless the method
            requests more. Networks apply their own normalisation.
        rows: (B + U,) int64 on the CPU: rows of the manifest, to name images in messages.
        labels: (B,) int64 class indices, or (B, K) float 0/1 for multi-label tasks, NaN where unknown, or None.
        masks: (V·B, H, W) int64 class indices, `records.IGNORE` where not annotated, or None.
        local: (L·B, 3, h, h) smaller crops of the same images, crop-major, or None.
        affine: (V·B, 2, 3) float: affine matrix of each view, from its coordinates to those of the stored image, as
            for `torch.nn.functional.affine_grid`; None if images are not transformed.
        unlabelled: (W·U, 3, H, W) W views of each of U other images that have no annotation, or whose annotation must
            not be used; view-major, all views of an image with the same geometry; or None.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None
    local: Tensor | None = None
    unlabelled: Tensor | None = None
    affine: Tensor | None = None

    @property
    def known_labels(self) -> Tensor:
        """`labels`, for methods that require them."""
        assert self.labels is not None, "this method requires labels; the batch has none"
        return self.labels

    @property
    def known_masks(self) -> Tensor:
        """`masks`, for methods that require them."""
        assert self.masks is not None, "this method requires masks; the batch has none"
        return self.masks

    @property
    def known_unlabelled(self) -> Tensor:
        """`unlabelled`, for methods that require it."""
        assert self.unlabelled is not None, "this method requires unlabelled images; the batch has none"
        return self.unlabelled

    @property
    def known_affine(self) -> Tensor:
        """`affine`, for methods that require it."""
        assert self.affine is not None, "this method requires the affine matrices of the views; the batch has none"
        return self.affine


Batches = Iterable[Batch]


class Losses(Mapping[str, Tensor]):
    """Named scalar terms of a loss; the loop minimises their sum, `total`."""

    def __init__(self, **terms: Tensor) -> None:
        if not terms:
            raise ValueError("a loss needs at least one term")
        self._terms = terms

    def __getitem__(self, name: str) -> Tensor:
        return self._terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    @property
    def total(self) -> Tensor:
        """Sum of all terms, a scalar."""
        return torch.stack(tuple(self._terms.values())).sum()


@dataclass(frozen=True)
class TrainState:
    """Progress of training.

    Attributes:
        step: optimiser steps completed since the start of the run.
        per_epoch: steps per epoch.
        total: steps of the whole run.
    """

    step: int
    per_epoch: int
    total: int

    @property
    def progress(self) -> float:
        """Completed share of training, 0 to 1."""
        return self.step / self.total

    @property
    def epoch(self) -> float:
        """Completed epochs, including the fraction of the current one."""
        return self.step / self.per_epoch


class TrainLoader(Protocol):
    """Source of training batches; an epoch always yields the same batches."""

    steps: int

    def epoch(self, epoch: int, /) -> Iterator[Batch]:
        """Yield the batches of an epoch in order, each prepared on demand; epochs count from 1."""
