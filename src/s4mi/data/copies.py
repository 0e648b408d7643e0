"""Which images of a data set are the same: identical files, and near-duplicates.

`data check`, `data split` and runs all ask here, so that they agree.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import read_for
from s4mi.data.detail import SIDE
from s4mi.data.duplicates import near_duplicates
from s4mi.data.formats.intensity import Intensity
from s4mi.data.row import Row
from s4mi.data.second_look import SecondLook, different_pairs
from s4mi.data.thumbnails import Thumbnails, in_memory


@dataclass(frozen=True)
class Copy:
    """Two rows of which the images are the same, the first before the second.

    Attributes:
        exact: whether the files are identical; if not, `similarity` is the correlation of their thumbnails.
    """

    first: int
    second: int
    exact: bool
    similarity: float = 1.0


def find_copies(
    rows: Sequence[Row],
    *,
    digests: Sequence[Hashable],
    thumbnails: Thumbnails | NDArray[np.uint8],
    intensity: Intensity,
    different: Sequence[tuple[str, str]],
    parts: Sequence[Hashable] | None = None,
) -> list[Copy]:
    """Find all pairs of the same image, identical files first.

    Of several identical files, the first stands for the others.

    Args:
        digests: hash of the image file of each row, None if it cannot be read; such rows are left out.
        thumbnails: of every row; also as an (R, 32, 32, 3) array.
        intensity: rule by which images are read again.
        different: pairs of ids that a person has declared different.
        parts: part of the split of each row, None if it is in none, to find only pairs across parts; None: all pairs.
    """
    used = [n for n, digest in enumerate(digests) if digest is not None and (parts is None or parts[n] is not None)]
    side_of = {n: None if parts is None else parts[n] for n in used}
    first: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    copies = []
    for n in used:
        sides = first[digests[n]]
        if side_of[n] not in sides:
            copies += [Copy(other, n, exact=True) for other in sides.values()]
            sides[side_of[n]] = n
        elif parts is None:
            copies.append(Copy(sides[None], n, exact=True))
    unique = [n for n in used if first[digests[n]][side_of[n]] == n]
    declared = different_pairs(different)
    look = SecondLook(lambda n: read_for(rows[n].image, intensity, (SIDE, SIDE)), len(rows))

    def same(one: int, other: int) -> bool:
        pair = unique[one], unique[other]
        if digests[pair[0]] == digests[pair[1]] or frozenset(rows[n].id for n in pair) in declared:
            return False
        return look.same(*pair)

    if not isinstance(thumbnails, Thumbnails):
        thumbnails = in_memory(thumbnails)
    chosen = thumbnails if len(unique) == len(rows) else thumbnails.take(unique)
    sides_of_unique = None if parts is None else [side_of[n] for n in unique]
    near = near_duplicates(chosen, parts=sides_of_unique, same=same)
    return copies + [Copy(unique[p.first], unique[p.second], exact=False, similarity=p.similarity) for p in near]
