"""Preflight: check planned runs against their data sets before anything is trained."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from s4mi.config import PlannedRun, RunConfig
from s4mi.data.manifest import Manifest
from s4mi.data.spec import SPEC_NAME
from s4mi.data.splits.erased_rows import present_rows
from s4mi.data.splits.label_amount import LabelAmount, Unit
from s4mi.data.splits.split import first_labels, fraction_order, make_split
from s4mi.data.splits.split_version import base_version
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.training.external_state import check_external_tests
from s4mi.training.run_task import budget_of, division_of, task_kind


def check_plan(plan: Sequence[PlannedRun]) -> None:
    """Check the data sets of these runs without opening an image.

    Raises:
        S4miError: a data set or an external test set is missing, invalid or does not fit, a technique does not support
            its task, or a label fraction leaves a class without labels.
    """
    if problems := list(_missing_classes(plan)):
        raise S4miError(_describe(problems))


def too_few_labels(plan: Sequence[PlannedRun]) -> dict[str, str]:
    """Return the runs whose label fraction leaves a class without labels, by name, each with the reason.

    Raises:
        S4miError: as `check_plan` for all other mistakes.
    """
    return {
        one.planned.name: f"class {one.name!r} has no labelled training image at {one.planned.config.amount}"
        for one in _missing_classes(plan)
    }


def _missing_classes(plan: Sequence[PlannedRun]) -> "Iterator[_MissingClass]":
    manifests: dict[object, Manifest] = {}
    orders: dict[object, _LabelOrder] = {}
    tested: set[object] = set()
    for planned in plan:
        config = planned.config
        manifest = _load_once(manifests, (config.data.path, config.data.version), config)
        tests = (config.data.path, config.data.version, config.task, config.method.name, str(config.tests))
        if config.tests and tests not in tested:
            tested.add(tests)
            _check_tests(planned, manifest)
        if config.method.unlabelled:
            if config.method.tasks & {*manifest.spec.tasks}:
                _task(planned, manifest)
            continue
        if _task(planned, manifest) != "multiclass" or config.amount.unit == "saved":
            continue
        counted = budget_of(config) is not None
        key = (config.data.path, config.data.version, config.split.model_dump_json(), config.seed, counted)
        if key not in orders:
            orders[key] = _label_order(planned, manifest)
        if missing := orders[key].missing_class(planned):
            yield _MissingClass(planned, orders[key], missing)


def missing_datasets(plan: Sequence[PlannedRun]) -> dict[Path, str]:
    """Return the data sets that do not exist, each with a message."""
    missing = {}
    for path in dict.fromkeys(planned.config.data.path for planned in plan):
        if not (path / SPEC_NAME).exists():
            try:
                load_version(path)
            except S4miError as error:
                missing[path] = str(error)
    return missing


@dataclass(frozen=True)
class _LabelOrder:
    """Annotated training images in the order in which growing label fractions use them; `groups` stay together."""

    manifest: Manifest
    groups: list[list[int]]

    def missing_class(self, planned: PlannedRun) -> str:
        """Return a class without a label in the run, or ''; raise S4miError if there are too few labels."""
        try:
            classes = self._classes(first_labels(self.manifest, self.groups, planned.config.amount))
        except S4miError as error:
            raise S4miError(f"{planned.name}: {error}") from error
        return next((name for name in self.manifest.spec.classes if name in self._all_classes - classes), "")

    def smallest(self, unit: Unit) -> float:
        """Return the smallest amount in this unit with a label of every class."""
        return next(
            amount
            for amount in self._amounts(unit)
            if self._all_classes == self._classes_within(LabelAmount(amount, unit))
        )

    def _amounts(self, unit: Unit) -> Iterator[float]:
        images = sum(map(len, self.groups))
        if unit == "patients":
            yield from range(1, len(self.groups) + 1)
        elif unit == "images":
            yield from range(1, images + 1)
        else:
            yield from range(max(1, math.floor(100 / images)), 101)

    def _classes_within(self, amount: LabelAmount) -> set[str]:
        return self._classes(first_labels(self.manifest, self.groups, amount))

    @cached_property
    def _all_classes(self) -> set[str]:
        return self._classes([row for group in self.groups for row in group])

    def _classes(self, rows: Sequence[int]) -> set[str]:
        left = present_rows(self.manifest, rows)
        return {name for row in left for name in self.manifest.rows[row].labels or ()}


@dataclass(frozen=True)
class _MissingClass:
    """A run whose label fraction leaves a class without labels."""

    planned: PlannedRun
    order: _LabelOrder
    name: str


def _describe(problems: Sequence[_MissingClass]) -> str:
    """Describe the first problem, with the smallest amount that solves all of the same data set and unit."""
    first = problems[0]
    config, unit = first.planned.config, first.planned.config.amount.unit
    alike = [
        one for one in problems
        if one.planned.config.data.path == config.data.path and one.planned.config.amount.unit == unit
    ]  # fmt: skip
    amount = LabelAmount(max(one.order.smallest(unit) for one in alike), unit)
    seeds = len({one.planned.config.seed for one in alike})
    others = len(problems) - 1
    more = f" (and {plural(others, 'more run')} with a missing class)" if others else ""
    return (
        f"{first.planned.name}: class {first.name!r} of {config.data.path} has no labelled training image at "
        f"{config.amount}{more}; import without the class (--drop-class), or use at least "
        f"{amount}{' for these seeds' if seeds > 1 else ''}"
    )


def _load_once(manifests: dict[object, Manifest], key: object, config: RunConfig) -> Manifest:
    if key not in manifests:
        manifests[key] = load_version(config.data.path, config.data.version)
    return manifests[key]


def _task(planned: PlannedRun, manifest: Manifest) -> Any:
    try:
        return task_kind(planned.config, manifest.spec)
    except S4miError as error:
        raise S4miError(f"{planned.name}: {error}") from error


def _check_tests(planned: PlannedRun, manifest: Manifest) -> None:
    try:
        check_external_tests(planned.config, manifest.spec)
    except S4miError as error:
        raise S4miError(f"{planned.name}: {error}") from error


def _label_order(planned: PlannedRun, manifest: Manifest) -> _LabelOrder:
    config = planned.config
    try:
        division = division_of(config.split, manifest, seed=config.seed)
        basis = base_version(manifest, "multiclass", division, foreground=None)
        split = make_split(
            manifest, "multiclass", method=division, fraction_seed=config.seed, base=basis, budget=budget_of(config)
        )
    except S4miError as error:
        raise S4miError(f"{planned.name}: {error}") from error
    return _LabelOrder(manifest, fraction_order(manifest, "multiclass", split, foreground=None, seed=config.seed))
