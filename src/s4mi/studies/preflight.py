"""A study held against its data sets before anything trains: are they there, and do techniques and fractions fit?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s4mi.config import PlannedRun, RunConfig
from s4mi.data.manifest import Manifest
from s4mi.data.spec import SPEC_NAME
from s4mi.data.splits.label_amount import LabelAmount, Unit
from s4mi.data.splits.split import first_labels, label_order, make_split
from s4mi.data.splits.split_version import base_version
from s4mi.data.splits.stratification import strata_of
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.training.prepare import division_of, task_kind


def check_plan(plan: Sequence[PlannedRun]) -> None:
    """Look at the data sets of these runs without opening an image.

    Raises:
        S4miError: a data set is missing or wrong, a technique does not fit it, or a fraction leaves a class empty.
    """
    manifests: dict[object, Manifest] = {}
    orders: dict[object, _Order] = {}
    wrong: list[_Empty] = []
    for planned in plan:
        config = planned.config
        manifest = _once(manifests, (config.data.path, config.data.version), config)
        if config.method.unlabelled:
            if config.method.tasks & {*manifest.spec.tasks}:
                _task(planned, manifest)
            continue
        if _task(planned, manifest) != "multiclass" or config.amount.unit == "saved":
            continue
        key = (config.data.path, config.data.version, config.split.model_dump_json(), config.seed)
        if key not in orders:
            orders[key] = _order(planned, manifest)
        if missing := orders[key].missing(planned):
            wrong.append(_Empty(planned, orders[key], missing))
    if wrong:
        raise S4miError(_say(wrong))


def missing_datasets(plan: Sequence[PlannedRun]) -> dict[Path, str]:
    """The data sets that are not there at all, each with a line that says so."""
    missing = {}
    for path in dict.fromkeys(planned.config.data.path for planned in plan):
        if not (path / SPEC_NAME).exists():
            try:
                load_version(path)
            except S4miError as error:
                missing[path] = str(error)
    return missing


@dataclass(frozen=True)
class _Order:
    """The annotated training images in the order in which growing fractions take them."""

    manifest: Manifest
    groups: list[list[int]]

    def missing(self, planned: PlannedRun) -> str:
        """A class that the run would see no label of, or nothing; S4miError where it asks for more than there is."""
        try:
            shown = self._classes(first_labels(self.manifest, self.groups, planned.config.amount))
        except S4miError as error:
            raise S4miError(f"{planned.name}: {error}") from error
        return next((name for name in self.manifest.spec.classes if name in self._all - shown), "")

    def smallest(self, unit: Unit) -> float:
        """The least amount that holds every class, in this unit."""
        return next(amount for amount in self._amounts(unit) if self._all == self._shown(LabelAmount(amount, unit)))

    def _amounts(self, unit: Unit) -> Iterator[float]:
        images = sum(map(len, self.groups))
        if unit == "patients":
            yield from range(1, len(self.groups) + 1)
        elif unit == "images":
            yield from range(1, images + 1)
        else:
            yield from range(max(1, math.floor(100 / images)), 101)

    def _shown(self, amount: LabelAmount) -> set[str]:
        return self._classes(first_labels(self.manifest, self.groups, amount))

    @property
    def _all(self) -> set[str]:
        return self._classes([row for group in self.groups for row in group])

    def _classes(self, rows: Sequence[int]) -> set[str]:
        return {name for row in rows for name in self.manifest.rows[row].labels or ()}


@dataclass(frozen=True)
class _Empty:
    """A run whose fraction leaves a class without a label."""

    planned: PlannedRun
    order: _Order
    missing: str


def _say(wrong: Sequence[_Empty]) -> str:
    """The first, and the amount that would do for all those of its data set and unit."""
    first = wrong[0]
    config, unit = first.planned.config, first.planned.config.amount.unit
    alike = [
        one for one in wrong
        if one.planned.config.data.path == config.data.path and one.planned.config.amount.unit == unit
    ]  # fmt: skip
    amount = LabelAmount(max(one.order.smallest(unit) for one in alike), unit)
    seeds = len({one.planned.config.seed for one in alike})
    more = f", and {len(wrong) - 1} more runs lack one" if len(wrong) > 1 else ""
    return (
        f"{first.planned.name}: class {first.missing!r} of {config.data.path} has no labelled training image at "
        f"{config.amount}{more}; the smallest that would do{' for these seeds' if seeds > 1 else ''} is {amount}"
    )


def _once(manifests: dict[object, Manifest], key: object, config: RunConfig) -> Manifest:
    if key not in manifests:
        manifests[key] = load_version(config.data.path, config.data.version)
    return manifests[key]


def _task(planned: PlannedRun, manifest: Manifest) -> Any:
    try:
        return task_kind(planned.config, manifest.spec)
    except S4miError as error:
        raise S4miError(f"{planned.name}: {error}") from error


def _order(planned: PlannedRun, manifest: Manifest) -> _Order:
    config = planned.config
    try:
        division = division_of(config.split, manifest, seed=config.seed)
        basis = base_version(manifest, "multiclass", division, foreground=None)
        split = make_split(manifest, "multiclass", method=division, fraction_seed=config.seed, base=basis)
    except S4miError as error:
        raise S4miError(f"{planned.name}: {error}") from error
    strata = strata_of(manifest, "multiclass", None)
    return _Order(manifest, label_order(manifest, "multiclass", strata, train=split.train, seed=config.seed))
