"""Who trains, who chooses, who tests, and whose labels may be read. By group, stratified, nested, saved and hashed.

One idea serves all of it: an order of the groups in which every prefix looks like the whole. It is grown greedily: the
next group is the one that best brings the counts of every class, of unannotated images and of groups to their share
(as iterative stratification does, Sechidis et al. 2011, but by group and at every length at once), give or take what
chance adds. Training, validation and test are consecutive stretches of such an order; the labelled x % are the first
x % of an order of the annotated training images, so that a smaller fraction always lies inside a larger one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import PARTS, Manifest
from s4mi.errors import S4miError
from s4mi.records import Part, TaskKind, write_text_atomically

SIZE_BINS = 4
"""Images with masks and no labels are kept in proportion by foreground share, in this many equally filled bins."""


@dataclass(frozen=True)
class Split:
    """Manifest rows by part, in ascending order; `labelled` are the training rows whose annotation may be read."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    labelled: tuple[int, ...]
    hash: str

    def rows(self, part: Part) -> tuple[int, ...]:
        """Rows of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]


def make_split(
    manifest: Manifest,
    kind: TaskKind,
    *,
    label_fraction: float,
    ratios: tuple[float, float, float] | None,
    split_seed: int,
    fraction_seed: int,
    foreground: Sequence[float] | None = None,
) -> Split:
    """Split a data set for one task.

    Args:
        label_fraction: percent in (0, 100] of the annotated training images whose annotation may be used.
        ratios: shares of training, validation and test summing to 1, or None to take the manifest's official split.
        split_seed: draws the parts. fraction_seed: draws the labelled images among the training part.
        foreground: foreground share of each row's mask, used to stratify where there are no labels.

    Raises:
        S4miError: a part would be without annotated images, or an official split is asked for and incomplete.
    """
    traits = _traits(manifest, kind, foreground)
    parts = _official(manifest) if ratios is None else _random(manifest, traits, ratios=ratios, seed=split_seed)
    for part in PARTS:
        # The official test part may lack what this task needs; then the run says it has no test score.
        if ratios is None and part == "test":
            continue
        if not any(manifest.rows[number].annotated(kind) for number in parts[part]):
            cure = "pass split.kind=random" if ratios is None else "choose other split.ratios or smaller groups"
            raise S4miError(
                f"{manifest.folder}: the {part} part of the split holds no image annotated for {kind}; "
                f"annotate more, or {cure}"
            )
    annotated = [number for number in parts["train"] if manifest.rows[number].annotated(kind)]
    target = max(1, round(len(annotated) * label_fraction / 100))
    order = _spread(_groups(manifest, annotated), traits, np.random.default_rng([fraction_seed, 1]))
    labelled = tuple(sorted(_prefix(order, target)))
    return Split(
        train=parts["train"], val=parts["val"], test=parts["test"], labelled=labelled,
        hash=_hash(manifest, parts, labelled),
    )  # fmt: skip


def save_split(split: Split, manifest: Manifest, path: Path) -> None:
    """Write a split as ids, so that a person can read it and another run can be held against it."""
    names = {part: [manifest.rows[number].id for number in split.rows(part)] for part in PARTS}
    names["labelled"] = [manifest.rows[number].id for number in split.labelled]  # type: ignore[index]
    write_text_atomically(path, json.dumps({"hash": split.hash, **names}, indent=1) + "\n")


def read_split_hash(path: Path) -> str:
    """The hash of a saved split.

    Raises:
        S4miError: the file is missing or damaged.
    """
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: is no saved split ({error}); train the run again") from error


def _traits(manifest: Manifest, kind: TaskKind, foreground: Sequence[float] | None) -> NDArray[np.float64]:
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


def _random(
    manifest: Manifest, traits: NDArray[np.float64], *, ratios: tuple[float, float, float], seed: int
) -> dict[Part, tuple[int, ...]]:
    """Shares of the images of annotated groups; a group without any annotation can only teach, so it goes to train."""
    groups = _groups(manifest, range(len(manifest.rows)))
    bare = [group for group in groups if traits[group, -1].all()]
    order = _spread(
        [group for group in groups if not traits[group, -1].all()], traits, np.random.default_rng([seed, 0])
    )
    total = sum(map(len, order))
    train = _prefix(order, round(total * ratios[0]))
    rest = order[_groups_in(order, len(train)) :]
    val = _prefix(rest, round(total * ratios[1]))
    test = [number for group in rest[_groups_in(rest, len(val)) :] for number in group]
    train += [number for group in bare for number in group]
    return {"train": tuple(sorted(train)), "val": tuple(sorted(val)), "test": tuple(sorted(test))}


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


def _hash(manifest: Manifest, parts: Mapping[Part, Sequence[int]], labelled: Sequence[int]) -> str:
    names = [sorted(manifest.rows[number].id for number in rows) for rows in (*parts.values(), labelled)]
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=8).hexdigest()
