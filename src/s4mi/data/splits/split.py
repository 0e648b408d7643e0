"""Dataset splits and label fractions: by group, stratified, nested, and reproducible.

Training, validation and test set are consecutive stretches of one stratified order of the groups (`stratification`), as
are the folds of a cross-validation. The labelled x % are the first x % of such an order of the annotated training
images, so that a smaller fraction is always contained in a larger one.

Annotations that are merged into a data set later must not move images between parts: the parts are drawn from the first
version with annotations (`BaseVersion`), and images annotated later are used for training. The labelled x % refer to
the current version. Nor must the erasure of a patient: their places are drawn too, and then left out (`erased_rows`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.cyclic_garbage import no_cyclic_garbage
from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.data.single_group import single_group, single_group_message
from s4mi.data.splits.erased_rows import budget_with_erased, present_rows, shares_with_erased, with_erased
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.label_budget import LabelBudget, held_out, pooled, without_patients
from s4mi.data.splits.official import draw_val, lacks_val, official_parts
from s4mi.data.splits.split_file import Split, hash_of, read_labelled, read_parts
from s4mi.data.splits.stratification import (
    first_rows,
    group_rows,
    groups_in,
    strata_of,
    stratified_order,
    sums_of,
)
from s4mi.errors import S4miError
from s4mi.records import Part, TaskKind

ALL = LabelAmount(100)


@dataclass(frozen=True)
class SplitMethod:
    """How a data set is divided into training, validation and test set.

    Attributes:
        kind: random: by `ratios`. kfold: `folds` parts of equal size, of which `fold` is the test set, the next one the
            validation set, and the others the training set. official: the column `split` of the manifest;
            without a validation part, one is drawn from the training part by `ratios`. file: a saved
            split.
        seed: seed of the order that random and kfold divide.
        test_seed: seed of the order whose end, or fold, is the test set; `seed` is then that of an order of the rest.
            None: one order for all three.
    """

    kind: Literal["random", "kfold", "official", "file"] = "random"
    ratios: tuple[float, float, float] = (0.7, 0.1, 0.2)
    folds: int = 5
    fold: int = 0
    seed: int = 0
    file: Path | None = None
    test_seed: int | None = None


@dataclass(frozen=True)
class BaseVersion:
    """The version of a data set that the parts are drawn from, if annotations were merged in later.

    Attributes:
        foreground: foreground share of the mask of each of its rows.
    """

    manifest: Manifest
    foreground: Sequence[float] | None = None


@no_cyclic_garbage()
def make_split(
    manifest: Manifest,
    kind: TaskKind,
    *,
    method: SplitMethod,
    amount: LabelAmount = ALL,
    fraction_seed: int,
    foreground: Sequence[float] | None = None,
    unlabelled: bool = False,
    base: BaseVersion | None = None,
    budget: LabelBudget | None = None,
) -> Split:
    """Split a data set for one task.

    Args:
        amount: amount of the annotated training images whose annotations may be used.
        fraction_seed: seed for the selection of these.
        foreground: foreground share of the mask of each row, to stratify by if there are no labels.
        unlabelled: whether training works without annotated images.
        base: version that the parts are drawn from; by default the manifest itself.
        budget: what is chosen with counts as labels: the amount is of all images outside the test part, and the
            validation part, which may be empty, is held out of it. None: the amount is of the training part.

    Raises:
        S4miError: a part would have no annotated image, there are fewer images or patients than requested, or an
            official or saved split does not match the manifest.
    """
    present, budget = manifest, budget_with_erased(manifest, kind, budget)
    manifest = with_erased(present)
    strata = strata_of(manifest, kind, shares_with_erased(present, foreground))
    if method.kind == "file":
        assert method.file is not None
        parts = read_parts(method.file, present)
    else:
        parts = _parts(manifest, strata, method, kind=kind, base=_base_with_erased(base))
    drawn = parts["val"] if amount.unit == "saved" else ()
    if budget is not None:
        parts = pooled(parts)
    # An official test set may lack annotations for this task; the run then reports that it has no test score.
    may_lack = {"test": method.kind in ("official", "file"), "train": unlabelled, "val": budget is not None}
    _check_annotated(present, kind, {part: parts[part] for part in PARTS if not may_lack[part]}, method)
    if amount.unit == "saved":
        labelled = _saved_labelled(present, kind, method, parts["train"])
    elif amount == ALL:  # in any order; of very many images, ordering takes a second
        labelled = tuple(row for row in sorted(parts["train"]) if manifest.rows[row].annotated(kind))
    else:
        order = label_order(manifest, kind, strata, train=parts["train"], seed=fraction_seed)
        labelled = tuple(sorted(first_labels(manifest, order, amount))) if order else ()
    if budget is not None and budget.hold_out:
        rows = drawn or held_out(manifest, kind, labelled, budget, seed=fraction_seed)
        train, val = without_patients(manifest, parts["train"], rows)
        parts, held = {**parts, "train": train, "val": val}, set(val)
        labelled = tuple(row for row in labelled if row not in held)
    left = {part: present_rows(present, rows) for part, rows in parts.items()}
    labelled = present_rows(present, labelled)
    return Split(
        train=left["train"], val=left["val"], test=left["test"], labelled=labelled,
        hash=hash_of(present, left, labelled), erased=tuple({*parts["train"]} - {*left["train"]}),
    )  # fmt: skip


def _check_annotated(
    manifest: Manifest, kind: TaskKind, parts: Mapping[Part, Sequence[int]], method: SplitMethod
) -> None:
    """Raise S4miError if a part has no annotated image; rows of erased images do not count."""
    for part, rows in parts.items():
        if any(manifest.rows[row].annotated(kind) for row in present_rows(manifest, rows)):
            continue
        problem = f"{manifest.folder}: the {part} part of the split has no image annotated for {kind}"
        group = single_group(manifest.rows)
        if group is not None and method.kind in ("random", "kfold"):
            raise S4miError(f"{problem}: {single_group_message(manifest.rows, group)}")
        others = {"official": "use split.kind=random", "file": "use another split.file"}
        hint = others.get(method.kind, "use other split.ratios or smaller groups")
        raise S4miError(f"{problem}; annotate more, or {hint}")


def fraction_order(
    manifest: Manifest, kind: TaskKind, split: Split, *, foreground: Sequence[float] | None, seed: int
) -> list[list[int]]:
    """Return the order in which growing label fractions of a split include its training images, by group.

    Places of erased images are among them, numbered on from the rows of `manifest`.
    """
    strata = strata_of(with_erased(manifest), kind, shares_with_erased(manifest, foreground))
    return label_order(with_erased(manifest), kind, strata, train=(*split.train, *split.erased), seed=seed)


def label_order(
    manifest: Manifest, kind: TaskKind, strata: NDArray[np.float64], *, train: Sequence[int], seed: int
) -> list[list[int]]:
    """Return the annotated training images by group, in the order in which growing label fractions include them."""
    annotated = [number for number in train if manifest.rows[number].annotated(kind)]
    return stratified_order(group_rows(manifest, annotated), strata, np.random.default_rng([seed, 1]))


def first_labels(manifest: Manifest, order: Sequence[list[int]], amount: LabelAmount) -> list[int]:
    """Return the rows whose labels may be used: the first groups of `order`, as close to `amount` as groups allow.

    Raises:
        S4miError: there are fewer images or patients than requested.
    """
    if amount.unit == "saved":
        raise S4miError("'saved' is not a valid amount of labels here; use 10 (percent), '50 images' or '5 patients'")
    images = sum(map(len, order))
    available = len(order) if amount.unit == "patients" else images
    if amount.unit != "percent" and amount.value > available:
        raise S4miError(
            f"{manifest.folder}: label_fraction is {amount}, but the training part has only {available} with "
            "annotations; use fewer"
        )
    if amount.unit == "patients":
        return [number for group in order[: int(amount.value)] for number in group]
    target = amount.value if amount.unit == "images" else max(1, round(images * amount.value / 100))
    return first_rows(order, int(target))


def _base_with_erased(base: BaseVersion | None) -> BaseVersion | None:
    if base is None:
        return None
    return BaseVersion(with_erased(base.manifest), shares_with_erased(base.manifest, base.foreground))


def _parts(
    manifest: Manifest, strata: NDArray[np.float64], method: SplitMethod, *, kind: TaskKind, base: BaseVersion | None
) -> dict[Part, tuple[int, ...]]:
    if method.kind == "official":
        parts = official_parts(manifest)
        return _with_val(parts, manifest, strata, method, kind=kind, base=base) if lacks_val(manifest.rows) else parts
    if base is None:
        return _draw(manifest, strata, method)
    parts = _draw(base.manifest, strata_of(base.manifest, kind, base.foreground), method)
    return _transfer(parts, base.manifest, manifest)


def _with_val(
    parts: Mapping[Part, Sequence[int]],
    manifest: Manifest,
    strata: NDArray[np.float64],
    method: SplitMethod,
    *,
    kind: TaskKind,
    base: BaseVersion | None,
) -> dict[Part, tuple[int, ...]]:
    """Return the official parts with validation drawn from training, in the first version with annotations."""
    old = manifest if base is None else base.manifest
    if base is not None:
        strata = strata_of(old, kind, base.foreground)
    share = method.ratios[1] / (method.ratios[0] + method.ratios[1])
    val = {old.rows[number].id for number in draw_val(old, strata, share=share, seed=method.seed)}
    groups = {row.group for row in old.rows if row.id in val and row.group is not None}
    drawn = {number for number in parts["train"]
             if manifest.rows[number].id in val or manifest.rows[number].group in groups}  # fmt: skip
    train = tuple(number for number in parts["train"] if number not in drawn)
    return {"train": train, "val": tuple(sorted(drawn)), "test": tuple(parts["test"])}


def _draw(manifest: Manifest, strata: NDArray[np.float64], method: SplitMethod) -> dict[Part, tuple[int, ...]]:
    """Divide the annotated groups; groups without any annotation go to train, as they cannot be scored."""
    groups = group_rows(manifest, range(len(manifest.rows)))
    missing = sums_of(groups, strata[:, -1:])[:, 0].tolist()
    unannotated = [group for group, count in zip(groups, missing, strict=True) if count == len(group)]
    annotated = [group for group, count in zip(groups, missing, strict=True) if count < len(group)]
    first = method.seed if method.test_seed is None else method.test_seed
    order = stratified_order(annotated, strata, np.random.default_rng([first, 0]))
    total = sum(map(len, order))
    if method.kind == "kfold":
        folds = _folds(order, method.folds)
        test, val = folds[method.fold], folds[(method.fold + 1) % method.folds]
        train = [number for fold in folds if fold is not test and fold is not val for number in fold]
    else:
        train = first_rows(order, round(total * method.ratios[0]))
        rest = order[groups_in(order, len(train)) :]
        val = first_rows(rest, round(total * method.ratios[1]))
        test = [number for group in rest[groups_in(rest, len(val)) :] for number in group]
    if method.test_seed is not None:
        tested = {*test}
        rest = [group for group in annotated if group[0] not in tested]
        order = stratified_order(rest, strata, np.random.default_rng([method.seed, 4]))
        val = first_rows(order, len(val))
        train = [number for group in order[groups_in(order, len(val)) :] for number in group]
    train = train + [number for group in unannotated for number in group]
    return {"train": tuple(sorted(train)), "val": tuple(sorted(val)), "test": tuple(sorted(test))}


def _folds(order: Sequence[list[int]], count: int) -> list[list[int]]:
    """Divide `order` into `count` folds, each ending where the number of rows so far is closest to its share."""
    total, assigned, rest = sum(map(len, order)), 0, list(order)
    if count > len(order):
        raise S4miError(f"split.folds is {count}, but only {len(order)} images or patients are annotated; use fewer")
    folds = []
    for number in range(1, count):
        fold = first_rows(rest, max(1, round(total * number / count) - assigned))
        rest = rest[groups_in(rest, len(fold)) :]
        assigned += len(fold)
        folds.append(fold)
    return [*folds, [number for group in rest for number in group]]


def _transfer(parts: Mapping[Part, Sequence[int]], old: Manifest, new: Manifest) -> dict[Part, tuple[int, ...]]:
    """Transfer parts to another version; images that are new there go to the part of their patient, or to train."""
    part_of = {old.rows[row].id: part for part in PARTS for row in parts[part]}
    part_of_group = {group: part for part in PARTS for row in parts[part] if (group := old.rows[row].group)}
    new_parts = [part_of.get(row.id) or part_of_group.get(row.group or "", "train") for row in new.rows]
    return {part: tuple(number for number, other in enumerate(new_parts) if other == part) for part in PARTS}


def _saved_labelled(manifest: Manifest, kind: TaskKind, method: SplitMethod, train: Sequence[int]) -> tuple[int, ...]:
    """Return the labelled rows of a saved split."""
    if method.kind != "file" or method.file is None:
        raise S4miError("label_fraction=saved requires a saved split; use split.kind=file too")
    labelled = read_labelled(method.file, manifest)
    in_train = {*train}
    for row in labelled:
        if row not in in_train or not manifest.rows[row].annotated(kind):
            reason = "is not annotated" if row in in_train else "is not in the training part"
            raise S4miError(
                f"{method.file}: labelled image {manifest.rows[row].id!r} {reason} of {manifest.folder}; remove it "
                "from `labelled`"
            )
    return labelled
