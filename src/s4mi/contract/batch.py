"""What the loop and a method give each other: the task, batches, named losses, and where training stands."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from s4mi.records import TaskKind


@dataclass(frozen=True)
class Task:
    """What is to be learnt, as far as a network needs to know.

    Attributes:
        kind: multiclass (one class an image), multilabel (any number) or segmentation (one class a pixel).
        classes: names, in the order of the outputs; for segmentation the first is the background. None where nothing is
            annotated, which only pre-training can do with.
        image_size: height and width of the network's input, in pixels.
        counts: labelled training images per class (classification) or labelled training pixels per class
            (segmentation); what class weights are made of. Validation and test are never counted.
        labelled: labelled training images.
    """

    kind: TaskKind
    classes: tuple[str, ...]
    image_size: int
    counts: tuple[int, ...]
    labelled: int


@dataclass(frozen=True)
class Batch:
    """Images with what is known of them, on the training device.

    Attributes:
        images: (V·B, 3, H, W) float in [0, 1]: V views of each of B images, view after view; V is 1 unless the method
            asks for more. Networks normalise for themselves.
        rows: (B + U,) int64 on the CPU: positions in the manifest, for naming an image in a message.
        labels: (B,) int64 class indices, or (B, K) float 0/1 for multi-label tasks, or None.
        masks: (V·B, H, W) int64 class indices with `records.IGNORE`, or None.
        local: (L·B, 3, h, h) smaller crops of the same images, crop after crop, or None.
        affine: (V·B, 2, 3) float: each view's geometry, from its coordinates to those of the image as it is stored, as
            `torch.nn.functional.affine_grid` takes it; or None where images are shown as they are stored.
        unlabelled: (W·U, 3, H, W) U other images, whose annotation is not there or must not be read: W views of each,
            view after view, all with one geometry; or None.
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
        """`labels`, for a method that cannot do without them."""
        assert self.labels is not None, "this method was given a batch without labels"
        return self.labels

    @property
    def known_masks(self) -> Tensor:
        """`masks`, for a method that cannot do without them."""
        assert self.masks is not None, "this method was given a batch without masks"
        return self.masks

    @property
    def known_unlabelled(self) -> Tensor:
        """`unlabelled`, for a method that cannot do without them."""
        assert self.unlabelled is not None, "this method was given a batch without unlabelled images"
        return self.unlabelled

    @property
    def known_affine(self) -> Tensor:
        """`affine`, for a method that cannot do without it."""
        assert self.affine is not None, "this method was given a batch without the geometry of its views"
        return self.affine


Batches = Iterable[Batch]


class Losses(Mapping[str, Tensor]):
    """The named scalar terms of a method's loss; the loop minimises `total`, their sum."""

    def __init__(self, **terms: Tensor) -> None:
        if not terms:
            raise ValueError("a loss has at least one term")
        self._terms = terms

    def __getitem__(self, name: str) -> Tensor:
        return self._terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    @property
    def total(self) -> Tensor:
        """Sum of the terms, scalar."""
        return torch.stack(tuple(self._terms.values())).sum()


@dataclass(frozen=True)
class TrainState:
    """Where training stands.

    Attributes:
        step: optimiser steps taken since the run began. per_epoch: steps an epoch. total: steps of the whole run.
    """

    step: int
    per_epoch: int
    total: int

    @property
    def progress(self) -> float:
        """From 0 to 1 over training."""
        return self.step / self.total

    @property
    def epoch(self) -> float:
        """Epochs that lie behind, in whole and in part."""
        return self.step / self.per_epoch


class TrainLoader(Protocol):
    """A supply of training batches: the same batches for the same epoch, always."""

    steps: int

    def epoch(self, epoch: int, /) -> Iterator[Batch]:
        """The batches of an epoch, in order; epochs count from 1. None is made before it is asked for."""
