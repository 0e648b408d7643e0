"""Find what makes a test score too good to be true: the same picture, or the same patient, on two sides of a split.

Three kinds: files with the same bytes, pictures that look the same (`duplicates`), images of one group. Images without
annotation count too: pre-training sees every training image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.duplicates import near_duplicates
from s4mi.data.manifest import PARTS, Manifest
from s4mi.data.splits.split_file import Split
from s4mi.records import Part

Kind = Literal["exact", "near", "group"]
WORDS: dict[Kind, str] = {"exact": "has the bytes of", "near": "looks the same as", "group": "is of the same group as"}


@dataclass(frozen=True)
class Leak:
    """Two images on different sides; `second` is on the side that is spoilt: test before val before train.

    Attributes:
        first, second: rows of the manifest. parts: where they are.
        similarity: 1 for the same bytes, the correlation of pictures that look the same, 0 for a group.
    """

    kind: Kind
    first: int
    second: int
    parts: tuple[Part, Part]
    similarity: float


def find_leaks(
    manifest: Manifest, split: Split, *, digests: Sequence[str] | NDArray[np.str_], thumbnails: NDArray[np.uint8]
) -> tuple[Leak, ...]:
    """Every pair of rows on two sides that are the same, those that spoil the test part first.

    Args:
        digests: (R,) hashes of the image files. thumbnails: (R, 32, 32, 3).
    """
    side: dict[int, Part] = {row: part for part in PARTS for row in split.rows(part)}
    rows = sorted(side)
    found: dict[tuple[int, int], Leak] = {}

    def note(kind: Kind, one: int, other: int, similarity: float) -> None:
        first, second = sorted((one, other), key=lambda row: (PARTS.index(side[row]), row))
        found.setdefault((first, second), Leak(kind, first, second, (side[first], side[second]), similarity))

    for one, other in _shared({row: str(digests[row]) for row in rows}, side):
        note("exact", one, other, 1.0)
    places = [side[row] for row in rows]
    for pair in near_duplicates(thumbnails[rows], sides=places):
        note("near", rows[pair.first], rows[pair.second], pair.similarity)
    for one, other in _shared({row: group for row in rows if (group := manifest.rows[row].group)}, side):
        note("group", one, other, 0.0)
    order = sorted(found.values(), key=lambda leak: (-PARTS.index(leak.parts[1]), leak.kind, leak.first, leak.second))
    return tuple(order)


def describe(leak: Leak, manifest: Manifest) -> str:
    """A leak in words, with file and lines."""
    first, second = (manifest.rows[row] for row in (leak.first, leak.second))
    return (
        f"{manifest.folder / second.place}: image {second.id!r} ({leak.parts[1]}) {WORDS[leak.kind]} "
        f"{first.id!r} in line {first.line} ({leak.parts[0]})"
    )


def _shared(value_of: dict[int, str], side: dict[int, Part]) -> list[tuple[int, int]]:
    """Pairs of rows of one value on two sides: for each value, the first row of each side with that of the others."""
    by_value: dict[str, dict[Part, int]] = {}
    for row, value in value_of.items():
        by_value.setdefault(value, {}).setdefault(side[row], row)
    return [
        (a, b) for firsts in by_value.values() if len(firsts) > 1
        for i, a in enumerate(firsts.values()) for b in list(firsts.values())[i + 1 :]
    ]  # fmt: skip
