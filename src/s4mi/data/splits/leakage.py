"""Leakage between the parts of a split, which inflates test scores: the same image or patient in two parts.

There are three kinds: files with identical bytes, near-duplicates (`duplicates`), and images of one group. Images
without annotation count too, because pre-training uses every training image.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.copies import ManyThumbnails, find_copies
from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.data.splits.split_file import Split
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import Part

log = logging.getLogger("s4mi")

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
    manifest: Manifest,
    split: Split,
    *,
    digests: Sequence[str] | NDArray[np.str_],
    thumbnails: ManyThumbnails,
    cache: Path | None = None,
) -> tuple[Leak, ...]:
    """Find all leaks between the parts of a split, those into the test set first.

    Args:
        digests: (R,) hashes of the image files.
        thumbnails: of every row; also as an (R, 32, 32, 3) array, or as a function that is called if they are needed.
        cache: folder of caches, where the pairs that were compared are kept; None: nowhere.
    """
    part_of: dict[int, Part] = {row: part for part in PARTS for row in split.rows(part)}
    rows = sorted(part_of)
    leaks: dict[tuple[int, int], Leak] = {}

    def add(kind: Kind, one: int, other: int, similarity: float) -> None:
        first, second = sorted((one, other), key=lambda row: (PARTS.index(part_of[row]), row))
        leaks.setdefault((first, second), Leak(kind, first, second, (part_of[first], part_of[second]), similarity))

    copies = find_copies(
        manifest.rows, digests=[str(digest) for digest in digests], thumbnails=thumbnails,
        intensity=manifest.spec.rule, different=manifest.spec.different,
        parts=[part_of.get(row) for row in range(len(manifest.rows))], cache=cache,
    )  # fmt: skip
    for copy in copies:
        add("exact" if copy.exact else "near", copy.first, copy.second, copy.similarity)
    for one, other in _shared_pairs({row: group for row in rows if (group := manifest.rows[row].group)}, part_of):
        add("group", one, other, 0.0)
    order = sorted(leaks.values(), key=lambda leak: (-PARTS.index(leak.parts[1]), leak.kind, leak.first, leak.second))
    return tuple(order)


def refuse_leaks(leaks: Sequence[Leak], manifest: Manifest, *, allowed: bool, option: str) -> None:
    """Refuse a split with the same image in two parts, or warn if that is allowed.

    Args:
        option: what allows it, for the message.

    Raises:
        S4miError: there are leaks, and they are not allowed.
    """
    if not leaks:
        return
    more = f", and {plural(len(leaks) - 1, 'more pair')}" if len(leaks) > 1 else ""
    leak = f"{describe(leaks[0], manifest)}{more}"
    if not allowed:
        raise S4miError(
            f"{leak}; remove one of each pair or put both in the same group (listed by s4mi data check "
            f"{manifest.folder}), or go on with {option}"
        )
    log.warning("the split leaks, as %s permits: %s; scores will be too optimistic", option, leak)


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
