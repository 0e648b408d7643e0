"""Leakage between the parts of a split, which inflates test scores: the same image or patient in two parts.

There are three kinds: files with identical bytes, near-duplicates (`duplicates`), and images of one group. Images
without annotation count too, because pre-training uses every training image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.detail import different_pairs, same_detail
from s4mi.data.duplicates import near_duplicates
from s4mi.data.images import read_image
from s4mi.data.manifest import PARTS, Manifest
from s4mi.data.splits.split_file import Split
from s4mi.records import Part

Kind = Literal["exact", "near", "group"]
RELATIONS: dict[Kind, str] = {
    "exact": "is identical to",
    "near": "is a near-duplicate of",
    "group": "is of the same group as",
}


@dataclass(frozen=True)
class Leak:
    """Two images in different parts; `second` is in the contaminated part: test before val before train.

    Attributes:
        first, second: rows of the manifest.
        parts: their parts.
        similarity: 1 for identical bytes, the correlation of near-duplicates, 0 for a shared group.
    """

    kind: Kind
    first: int
    second: int
    parts: tuple[Part, Part]
    similarity: float


def find_leaks(
    manifest: Manifest, split: Split, *, digests: Sequence[str] | NDArray[np.str_], thumbnails: NDArray[np.uint8]
) -> tuple[Leak, ...]:
    """Find all leaks between the parts of a split, those into the test set first.

    Args:
        digests: (R,) hashes of the image files.
        thumbnails: (R, 32, 32, 3) uint8.
    """
    part_of: dict[int, Part] = {row: part for part in PARTS for row in split.rows(part)}
    rows = sorted(part_of)
    leaks: dict[tuple[int, int], Leak] = {}

    def add(kind: Kind, one: int, other: int, similarity: float) -> None:
        first, second = sorted((one, other), key=lambda row: (PARTS.index(part_of[row]), row))
        leaks.setdefault((first, second), Leak(kind, first, second, (part_of[first], part_of[second]), similarity))

    for one, other in _shared_pairs({row: str(digests[row]) for row in rows}, part_of):
        add("exact", one, other, 1.0)
    different = different_pairs(manifest.spec.different)
    ids = [manifest.rows[row].id for row in rows]
    look = same_detail(lambda number: read_image(manifest.rows[rows[number]].image, manifest.spec.rule))

    def same(one: int, other: int) -> bool:
        return frozenset((ids[one], ids[other])) not in different and look(one, other)

    for pair in near_duplicates(thumbnails[rows], parts=[part_of[row] for row in rows], same=same):
        add("near", rows[pair.first], rows[pair.second], pair.similarity)
    for one, other in _shared_pairs({row: group for row in rows if (group := manifest.rows[row].group)}, part_of):
        add("group", one, other, 0.0)
    order = sorted(leaks.values(), key=lambda leak: (-PARTS.index(leak.parts[1]), leak.kind, leak.first, leak.second))
    return tuple(order)


def describe(leak: Leak, manifest: Manifest) -> str:
    """Describe a leak, with file and lines."""
    first, second = (manifest.rows[row] for row in (leak.first, leak.second))
    return (
        f"{manifest.folder / second.location}: image {second.id!r} ({leak.parts[1]}) {RELATIONS[leak.kind]} "
        f"{first.id!r} in line {first.line} ({leak.parts[0]})"
    )


def _shared_pairs(value_of: dict[int, str], part_of: dict[int, Part]) -> list[tuple[int, int]]:
    """Return pairs of rows in two parts that share a value: for each value, the first row of each part."""
    by_value: dict[str, dict[Part, int]] = {}
    for row, value in value_of.items():
        by_value.setdefault(value, {}).setdefault(part_of[row], row)
    return [
        (a, b) for firsts in by_value.values() if len(firsts) > 1
        for i, a in enumerate(firsts.values()) for b in list(firsts.values())[i + 1 :]
    ]  # fmt: skip
