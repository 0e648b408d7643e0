"""Prepare the data of a run: manifest, decoded images, split and task, checked against each other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.contract import Task
from s4mi.data.known_version import known_version
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.leakage import Leak, refuse_leaks
from s4mi.data.splits.official import NO_VAL, lacks_val
from s4mi.data.splits.split import make_split
from s4mi.data.splits.split_file import Split, hash_of, read_parts
from s4mi.data.splits.split_version import base_version, merged_later
from s4mi.errors import S4miError
from s4mi.records import LabelCounts, Part, TaskKind
from s4mi.training.known_leaks import known_leaks
from s4mi.training.row_labels import first_row_of_patient, label_targets, shows_labels, shows_pixels, unknown_labels
from s4mi.training.run_task import budget_of, division_of, task_kind

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class Prepared:
    """The data of a run, ready for training and evaluation.

    Attributes:
        labels: (N,) int64 class of each cache entry (-1: none) or (N, K) 0/1 (NaN: none, or unknown); None for
            segmentation.
        shows: (R, K) bool, which classes each manifest row shows.
        unknown: (R, K) bool, of which classes it is not known whether an annotated row shows them; None: of none.
        unscored: rows excluded from validation and test, as their annotation was merged in after the split was drawn.
        leaks: pairs of duplicates or of the same group across parts, which the settings allow.
        counted: whether the labels that the run is chosen with are among those of its label fraction.
    """

    manifest: Manifest
    cache: Cache
    split: Split
    task: Task
    labels: Tensor | None
    shows: NDArray[np.bool_]
    leaks: tuple[Leak, ...]
    unscored: frozenset[int] = frozenset()
    unknown: NDArray[np.bool_] | None = None
    counted: bool = False

    def source(self, device: torch.device) -> CachedTargets:
        """Return the images and targets, for batches on `device`."""
        return CachedTargets(cache=self.cache, labels=self.labels, device=device)

    def truth(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """(N, K) 1 where a row shows a class, 0 where it does not, -1 where it is unknown."""
        shows = self.shows[list(rows)].astype(np.int64)
        return shows if self.unknown is None else np.where(self.unknown[list(rows)], -1, shows)

    def annotated(self, part: Part) -> list[int]:
        """Return the annotated manifest rows of a part, without `unscored` ones."""
        excluded: frozenset[int] = frozenset() if part == "train" else self.unscored
        rows = self.split.rows(part)
        return [row for row in rows if row not in excluded and self.manifest.rows[row].annotated(self.task.kind)]

    def label_percent(self, amount: LabelAmount) -> float:
        """Return the percentage of annotated training images whose labels are used: nominal if set, else actual."""
        if amount.unit == "percent":
            return amount.value
        chosen_with = len(self.annotated("val")) if self.counted else 0
        return 100 * (len(self.split.labelled) + chosen_with) / (len(self.annotated("train")) + chosen_with)

    def labels_asked(self, config: RunConfig) -> str:
        """Return the requested amount of labels as text, such as `10 %` or `50 images`."""
        if config.method.unlabelled:
            return "0 %"
        return f"{len(self.split.labelled)} images" if config.amount.unit == "saved" else str(config.amount)

    def label_counts(self, *, validation: int) -> LabelCounts:
        """Return the number of images of each part, and of labelled images of each class.

        Args:
            validation: number of images outside training whose annotations the run reads.
        """
        per_class = self.shows[list(self.split.labelled)].sum(axis=0)
        return LabelCounts(
            train_images=len(self.split.train),
            train_labelled=len(self.split.labelled),
            val=len(self.split.val),
            test=len(self.split.test),
            per_class={name: int(count) for name, count in zip(self.task.classes, per_class, strict=True)},
            validation=validation,
            counted=self.counted,
        )


def prepare(config: RunConfig, *, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Read, decode and split the data set of a run.

    Raises:
        S4miError: the data set is invalid, does not fit the method, or has a class without labelled images.
    """
    manifest = known_version(config.data.path, config.data.version)
    if config.method.unlabelled and not config.method.tasks & {*manifest.spec.tasks}:
        return _without_annotation(config, manifest, progress)
    kind = task_kind(config, manifest.spec)
    segmentation = kind == "segmentation"
    cache = open_cache(
        manifest, config.data.preprocessing, folder=config.data.cache, with_masks=segmentation, progress=progress
    )
    shows, foreground = shows_pixels(cache, manifest) if segmentation else (shows_labels(manifest), None)
    division = division_of(config.split, manifest, seed=config.seed)
    basis = base_version(manifest, kind, division, foreground=foreground)
    budget = budget_of(config, shows=shows, foreground=foreground)
    split = make_split(
        manifest,
        kind,
        method=division,
        amount=config.amount,
        fraction_seed=config.seed,
        foreground=foreground,
        unlabelled=config.method.unlabelled and not config.method.pretrains,
        base=basis,
        budget=budget,
    )
    if division.kind == "official" and lacks_val(manifest.rows) and budget is None:
        log.warning("%s", NO_VAL)
    leaks = known_leaks(manifest, split, cache, folder=config.data.cache)
    _check_leaks(config, manifest, leaks)
    if not config.method.unlabelled:
        _check_classes(config, manifest, split, shows=shows, kind=kind)
    unknown = unknown_labels(manifest) if kind == "multilabel" else None
    task = _task(config, manifest, cache, split, kind=kind, shows=shows, unknown=unknown)
    labels = None if segmentation else label_targets(manifest, kind, shows, unknown)[cache.row]
    unscored = frozenset() if basis is None else merged_later(manifest, basis, kind)
    return Prepared(
        manifest=manifest, cache=cache, split=split, task=task, labels=labels, shows=shows, leaks=leaks,
        unscored=unscored if budget is None else unscored & {*split.test}, unknown=unknown,
        counted=config.labels.count_validation,
    )  # fmt: skip


def _task(
    config: RunConfig,
    manifest: Manifest,
    cache: Cache,
    split: Split,
    *,
    kind: TaskKind,
    shows: NDArray[np.bool_],
    unknown: NDArray[np.bool_] | None,
) -> Task:
    """Return what the method has to know of the task; only the labels of the run are counted."""
    labelled, train = list(split.labelled), list(split.train)
    pixels = kind == "segmentation"
    counts = cache.pixels[cache.entries_of(labelled)].sum(axis=0) if pixels else shows[labelled].sum(axis=0)
    known = () if unknown is None else (~unknown[labelled]).sum(axis=0)
    return Task(
        kind=kind,
        classes=manifest.spec.classes_of(kind),
        image_size=config.data.image_size,
        counts=tuple(int(count) for count in counts),
        labelled=len(labelled),
        train_rows=tuple(train),
        known=tuple(int(count) for count in known),
        patients=tuple(first_row_of_patient(manifest)[train].tolist()),
    )


def _without_annotation(config: RunConfig, manifest: Manifest, progress: Callable[[int, int], None] | None) -> Prepared:
    """Prepare unannotated data: every image is for training, except where there is an official or saved split."""
    cache = open_cache(
        manifest, config.data.preprocessing, folder=config.data.cache, with_masks=False, progress=progress
    )
    parts: dict[Part, tuple[int, ...]] = {
        part: tuple(row for row, one in enumerate(manifest.rows) if (one.split or "train") == part) for part in PARTS
    }
    if config.split.kind == "file" and config.split.file is not None:
        parts = read_parts(config.split.file, manifest)
    split = Split(**parts, labelled=(), hash=hash_of(manifest, parts, ()))
    leaks = known_leaks(manifest, split, cache, folder=config.data.cache)
    _check_leaks(config, manifest, leaks)
    classes = config.method.own_classes
    kind: TaskKind = "segmentation" if classes else "multiclass"
    task = Task(
        kind=kind,
        classes=classes,
        image_size=config.data.image_size,
        counts=(0,) * len(classes),
        labelled=0,
        train_rows=tuple(split.train),
    )
    shows = np.zeros((len(manifest.rows), len(classes)), dtype=bool)
    return Prepared(manifest=manifest, cache=cache, split=split, task=task, labels=None, shows=shows, leaks=leaks)


def _check_leaks(config: RunConfig, manifest: Manifest, leaks: Sequence[Leak]) -> None:
    refuse_leaks(leaks, manifest, allowed=config.data.allow_leakage, option="data.allow_leakage=true")


def _check_classes(
    config: RunConfig, manifest: Manifest, split: Split, *, shows: NDArray[np.bool_], kind: TaskKind
) -> None:
    available = shows[list(split.train)].sum(axis=0)
    labelled = shows[list(split.labelled)].sum(axis=0)
    for k, name in enumerate(manifest.spec.classes_of(kind)):
        if labelled[k]:
            continue
        problem = f"class {name!r} has no labelled training image at label_fraction={config.label_fraction}"
        if config.amount.unit == "percent" and config.amount.value <= 1:  # as shares of 1 are written elsewhere
            problem += f", which is {config.amount.value:g} percent, not {100 * config.amount.value:g}"
        if kind == "multiclass" and available[k] and config.amount.unit != "saved":
            raise S4miError(
                f"{problem} ({available[k]} at 100 %); raise label_fraction, change seed, or import without the class "
                "(--drop-class)"
            )
        log.warning("%s; it cannot be learnt", problem)
