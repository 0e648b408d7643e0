"""Who trains, who chooses, who tests, and whose labels may be read. By group, stratified, nested, saved and hashed.

One idea serves all of it: an order of the groups in which every prefix looks like the whole. It is grown greedily: the
next group is the one that best brings the counts of every class, of unannotated images and of groups to their share
(as iterative stratification does, Sechidis et al. 2011, but by group and at every length at once), give or take what
chance adds. Training, validation and test are consecutive stretches of such an order, and so are the folds of a cross
validation; the labelled x % are the first x % of an order of the annotated training images, so that a smaller fraction
always lies inside a larger one.

Annotation that is merged into a data set later must not move anybody: parts are drawn from the first version that has
any (`BaseVersion`), and what came later trains. The labelled x % are of all there is.

The tolerance, which `TOLERANCE` states and the tests hold: in each part, fold and fraction the count of a class is off
its share by at most that many times what one group holds of it at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import PARTS, Manifest
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.split_file import Split, hash_of, read_labelled, read_parts
from s4mi.errors import S4miError
from s4mi.records import Part, TaskKind

SIZE_BINS = 4
"""Images with masks and no labels are kept in proportion by foreground share, in this many equally filled bins."""
TOLERANCE = 3.0
"""Times the most images of a class that one group holds (1 where images have no groups)."""
ALL = LabelAmount(100)


@dataclass(frozen=True)
class SplitMethod:
    """How a data set is divided into training, validation and test.

    Attributes:
        kind: random: by `ratios`. kfold: `folds` equal stretches, of which `fold` tests, the next one validates and the
            rest trains. official: the manifest's column `split`. file: the parts of a saved split.
        seed: draws the order that random and kfold cut up.
    """

    kind: Literal["random", "kfold", "official", "file"] = "random"
    ratios: tuple[float, float, float] = (0.7, 0.1, 0.2)
    folds: int = 5
    fold: int = 0
    seed: int = 0
    file: Path | None = None


@dataclass(frozen=True)
class BaseVersion:
    """The version of a data set that its parts are drawn from where annotation was merged in later.

    Attributes:
        foreground: foreground share of each of its rows' masks.
    """

    manifest: Manifest
    foreground: Sequence[float] | None = None


def make_split(
    manifest: Manifest,
    kind: TaskKind,
    *,
    division: SplitMethod,
    amount: LabelAmount = ALL,
    fraction_seed: int,
    foreground: Sequence[float] | None = None,
    unlabelled: bool = False,
    basis: BaseVersion | None = None,
) -> Split:
    """Split a data set for one task.

    Args:
        amount: how many of the annotated training images may be used with their annotation.
        fraction_seed: draws which those are.
        foreground: foreground share of each row's mask, used to stratify where there are no labels.
        unlabelled: training needs no annotated image.
        basis: what the parts are drawn from; None: the manifest itself.

    Raises:
        S4miError: a part would be without annotated images, there are fewer images or patients than asked for, or an
            official or saved split does not fit the manifest.
    """
    traits = traits_of(manifest, kind, foreground)
    parts = _divide(manifest, traits, division, kind=kind, basis=basis)
    for part in PARTS:
        # The official test part may lack what this task needs; then the run says it has no test score.
        if division.kind in ("official", "file") and part == "test":
            continue
        if unlabelled and part == "train":
            continue
        if not any(manifest.rows[number].annotated(kind) for number in parts[part]):
            cure = {"official": "pass split.kind=random", "file": "take another split.file"}.get(
                division.kind, "choose other split.ratios or smaller groups"
            )
            raise S4miError(
                f"{manifest.folder}: the {part} part of the split holds no image annotated for {kind}; "
                f"annotate more, or {cure}"
            )
    if amount.unit == "saved":
        labelled = _saved(manifest, kind, division, parts["train"])
    else:
        order = label_order(manifest, kind, traits, train=parts["train"], seed=fraction_seed)
        labelled = tuple(sorted(first_labels(manifest, order, amount))) if order else ()
    return Split(
        train=parts["train"], val=parts["val"], test=parts["test"], labelled=labelled,
        hash=hash_of(manifest, parts, labelled),
    )  # fmt: skip


def label_order(
    manifest: Manifest, kind: TaskKind, traits: NDArray[np.float64], *, train: Sequence[int], seed: int
) -> list[list[int]]:
    """The annotated training images by group, in the order in which growing fractions take them."""
    annotated = [number for number in train if manifest.rows[number].annotated(kind)]
    return _spread(_groups(manifest, annotated), traits, np.random.default_rng([seed, 1]))


def first_labels(manifest: Manifest, order: Sequence[list[int]], amount: LabelAmount) -> list[int]:
    """The rows whose labels may be read: the first groups of `order` that make up `amount`, as near as groups allow.

    Raises:
        S4miError: there are fewer images or patients than asked for.
    """
    if amount.unit == "saved":
        raise S4miError("saved: is no amount of labels here; write 10 (percent), '50 images' or '5 patients'")
    images = sum(map(len, order))
    there = len(order) if amount.unit == "patients" else images
    if amount.unit != "percent" and amount.value > there:
        raise S4miError(
            f"{manifest.folder}: label_fraction asks for {amount}, but the training part has {there} with annotation; "
            "ask for fewer"
        )
    if amount.unit == "patients":
        return [number for group in order[: int(amount.value)] for number in group]
    target = amount.value if amount.unit == "images" else max(1, round(images * amount.value / 100))
    return _prefix(order, int(target))


def traits_of(manifest: Manifest, kind: TaskKind, foreground: Sequence[float] | None) -> NDArray[np.float64]:
    """(R, D) what to keep in proportion: a column per class, or per foreground bin, and one for unannotated images."""
    annotated = np.array([row.annotated(kind) for row in manifest.rows])
    by_label = all(row.labels is not None for row in manifest.rows if row.annotated(kind)) and manifest.spec.classes
    if by_label:
        shows = [[name in (row.labels or ()) for name in manifest.spec.classes] for row in manifest.rows]
        columns = np.array(shows, dtype=np.float64)
    elif foreground is not None and annotated.any():
        shares = np.asarray(foreground)
        edges = np.quantile(shares[annotated], np.linspace(0, 1, SIZE_BINS + 1)[1:-1])
        columns = np.eye(SIZE_BINS)[np.searchsorted(edges, shares, side="right")]
    else:
        columns = np.zeros((len(manifest.rows), 0))
    return np.column_stack([columns * annotated[:, None], ~annotated])


def _official(manifest: Manifest) -> dict[Part, tuple[int, ...]]:
    missing = next((row for row in manifest.rows if row.split is None), None)
    if missing is not None:
        raise S4miError(
            f"{manifest.folder / missing.place}: has no split, but split.kind=official wants one in every row; "
            "fill the column `split` or pass split.kind=random"
        )
    return {
        part: tuple(number for number, row in enumerate(manifest.rows) if row.split == part) for part in PARTS
    }  # fmt: skip


def _divide(
    manifest: Manifest, traits: NDArray[np.float64], division: SplitMethod, *, kind: TaskKind, basis: BaseVersion | None
) -> dict[Part, tuple[int, ...]]:
    if division.kind == "official":
        return _official(manifest)
    if division.kind == "file":
        assert division.file is not None
        return read_parts(division.file, manifest)
    if basis is None:
        return _drawn(manifest, traits, division)
    drawn = _drawn(basis.manifest, traits_of(basis.manifest, kind, basis.foreground), division)
    return _carried_over(drawn, basis.manifest, manifest)


def _carried_over(parts: Mapping[Part, Sequence[int]], old: Manifest, new: Manifest) -> dict[Part, tuple[int, ...]]:
    """The same parts in another version; images that the old one lacks go with their patient, or else to train."""
    part_of = {old.rows[row].id: part for part in PARTS for row in parts[part]}
    groups = {group: part for part in PARTS for row in parts[part] if (group := old.rows[row].group)}
    places = [part_of.get(row.id) or groups.get(row.group or "", "train") for row in new.rows]
    return {part: tuple(number for number, place in enumerate(places) if place == part) for part in PARTS}


def _saved(manifest: Manifest, kind: TaskKind, division: SplitMethod, train: Sequence[int]) -> tuple[int, ...]:
    """The rows that a saved split says to be labelled."""
    if division.kind != "file" or division.file is None:
        raise S4miError("label_fraction=saved: takes the labelled images of a saved split; pass split.kind=file too")
    labelled = read_labelled(division.file, manifest)
    trains = {*train}
    for row in labelled:
        if row not in trains or not manifest.rows[row].annotated(kind):
            why = "is not annotated" if row in trains else "does not train"
            raise S4miError(
                f"{division.file}: labelled: image {manifest.rows[row].id!r} {why} in {manifest.folder}; take it out"
            )
    return labelled


def _drawn(manifest: Manifest, traits: NDArray[np.float64], division: SplitMethod) -> dict[Part, tuple[int, ...]]:
    """Stretches of the annotated groups; a group without any annotation can only teach, so it goes to train."""
    groups = _groups(manifest, range(len(manifest.rows)))
    bare = [group for group in groups if traits[group, -1].all()]
    order = _spread(
        [group for group in groups if not traits[group, -1].all()], traits, np.random.default_rng([division.seed, 0])
    )
    total = sum(map(len, order))
    if division.kind == "kfold":
        folds = _folds(order, division.folds)
        test, val = folds[division.fold], folds[(division.fold + 1) % division.folds]
        train = [number for fold in folds if fold is not test and fold is not val for number in fold]
    else:
        train = _prefix(order, round(total * division.ratios[0]))
        rest = order[_groups_in(order, len(train)) :]
        val = _prefix(rest, round(total * division.ratios[1]))
        test = [number for group in rest[_groups_in(rest, len(val)) :] for number in group]
    train = train + [number for group in bare for number in group]
    return {"train": tuple(sorted(train)), "val": tuple(sorted(val)), "test": tuple(sorted(test))}


def _folds(order: Sequence[list[int]], count: int) -> list[list[int]]:
    """`count` stretches of `order`, each ending where the rows so far come nearest to their share."""
    total, taken, rest = sum(map(len, order)), 0, list(order)
    folds = []
    for number in range(1, count):
        fold = _prefix(rest, max(1, round(total * number / count) - taken))
        rest = rest[_groups_in(rest, len(fold)) :]
        taken += len(fold)
        folds.append(fold)
    return [*folds, [number for group in rest for number in group]]


def _groups(manifest: Manifest, rows: Sequence[int] | range) -> list[list[int]]:
    """Rows that must stay together. Sorted by id, so that the order of lines in the manifest does not matter."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number in sorted(rows, key=lambda number: manifest.rows[number].id):
        row = manifest.rows[number]
        groups.setdefault(("group", row.group) if row.group else ("id", row.id), []).append(number)
    return list(groups.values())


def _spread(
    groups: Sequence[list[int]], traits: NDArray[np.float64], generator: np.random.Generator
) -> list[list[int]]:
    """The groups in an order whose every prefix holds each trait, and groups at all, in proportion to its images."""
    if not groups:
        return []
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    counts = np.array([[*traits[group].sum(axis=0), 1.0] for group in groups])
    kinds, kind_of = np.unique(np.column_stack([sizes, counts]), axis=0, return_inverse=True)
    waiting = _shuffled(kind_of.ravel(), len(kinds), generator)
    share = counts.sum(axis=0) / sizes.sum()
    # How far a group of each kind would push every count from its share; rare traits weigh more.
    push = (kinds[:, 1:] - kinds[:, :1] * share) / np.sqrt(np.maximum(share, 1e-12))
    length = np.square(push).sum(axis=1)
    # Chance says how far off the counts must be before the next group of a kind is taken, so that the few of a kind
    # stand anywhere in the order; the one group of a make-up of its own would otherwise always stand at its middle.
    reluctance = 2 * length * generator.random(len(kinds))
    off = np.zeros(push.shape[1])
    order: list[list[int]] = []
    for _ in groups:
        chosen = int((reluctance + 2 * (push @ off)).argmin())
        order.append(groups[waiting[chosen].pop()])
        off += push[chosen]
        reluctance[chosen] = 2 * length[chosen] * generator.random() if waiting[chosen] else np.inf
    return order


def _shuffled(kind_of: NDArray[np.intp], kinds: int, generator: np.random.Generator) -> list[list[int]]:
    """Per kind the positions of its groups, in random order."""
    waiting: list[list[int]] = [[] for _ in range(kinds)]
    for position in generator.permutation(len(kind_of)):
        waiting[kind_of[position]].append(int(position))
    return waiting


def _prefix(order: Sequence[list[int]], target: int) -> list[int]:
    """The rows of the first groups, whose number comes nearest to `target`; at least one group."""
    taken: list[int] = []
    for group in order:
        if taken and len(taken) + len(group) / 2 > target:
            break
        taken.extend(group)
    return taken


def _groups_in(order: Sequence[list[int]], rows: int) -> int:
    """How many groups of `order` make up its first `rows` rows."""
    return int(np.searchsorted(np.cumsum([len(group) for group in order]), rows, side="left")) + 1 if rows else 0
