"""Which images of a data set are the same: identical files, and near-duplicates.

`data check`, `data split` and runs all ask here, so that they agree; what one has compared, the others take over.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data import candidates
from s4mi.data.banded_page import read_for
from s4mi.data.detail import SIDE
from s4mi.data.duplicates import MIN_CORRELATION, near_duplicates
from s4mi.data.files import decoding_revision, distinctly_decoded, suffix_of
from s4mi.data.formats.intensity import Intensity
from s4mi.data.judged_copies import judge
from s4mi.data.loading.judged_store import DIGEST_BYTES, ImageSet, JudgedStore
from s4mi.data.row import Row
from s4mi.data.second_look import SecondLook, different_pairs, sample_of
from s4mi.data.thumbnails import Thumbnails, in_memory

log = logging.getLogger("s4mi")

Digests = Sequence[str | bytes | None]
ManyThumbnails = Thumbnails | NDArray[np.uint8] | Callable[[], Thumbnails]


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
    digests: Digests,
    thumbnails: ManyThumbnails,
    intensity: Intensity,
    different: Sequence[tuple[str, str]],
    parts: Sequence[Hashable] | None = None,
    cache: Path | None = None,
    limited: Callable[[str], None] = lambda message: log.warning("%s", message),
) -> list[Copy]:
    """Find all pairs of the same image, identical files first.

    Of several identical files, the first stands for the others.

    Args:
        digests: hash of the image file of each row, None if it cannot be read; such rows are left out.
        thumbnails: of every row; also as an (R, 32, 32, 3) array, or as a function that is called if they are needed.
        intensity: rule by which images are read again.
        different: pairs of ids that a person has declared different.
        parts: part of the split of each row, None if it is in none, to find only pairs across parts; None: all pairs.
        cache: folder of caches, where all pairs of a data set are kept, except of one patient in one part of its
            official split; hashes are then hexadecimal or bytes. None: only what is asked is compared, and not kept.
        limited: told what was left out, if there are too many pairs for all of them.
    """
    used = [n for n, digest in enumerate(digests) if digest is not None and (parts is None or parts[n] is not None)]
    copies, firsts = _identical(used, digests, parts)
    declared = different_pairs(different)
    look = SecondLook(lambda n: read_for(rows[n].image, intensity, (SIDE, SIDE)), len(rows))
    found: Iterator[Copy]
    if cache is None:
        found = _near(rows, firsts, digests, look, thumbnails=_loaded(thumbnails), parts=parts, limited=limited)
    else:
        found = _kept(
            rows, firsts, digests, look, thumbnails=thumbnails, intensity=intensity, parts=parts, cache=cache,
            limited=limited,
        )  # fmt: skip
    near = [one for one in found if frozenset((rows[one.first].id, rows[one.second].id)) not in declared]
    return copies + sorted(near, key=lambda one: (one.first, one.second))


def _identical(
    used: Sequence[int], digests: Digests, parts: Sequence[Hashable] | None
) -> tuple[list[Copy], dict[str | bytes, dict[Hashable, int]]]:
    """Return the pairs of identical files, and for each hash the first row in each part."""
    first: dict[str | bytes, dict[Hashable, int]] = {}
    copies = []
    for n in used:
        digest, side = digests[n], None if parts is None else parts[n]
        assert digest is not None
        sides = first.get(digest)
        if sides is None:
            first[digest] = {side: n}
        elif side not in sides:
            copies += [Copy(other, n, exact=True) for other in sides.values()]
            sides[side] = n
        elif parts is None:
            copies.append(Copy(sides[None], n, exact=True))
    return copies, first


def _near(
    rows: Sequence[Row],
    firsts: dict[str | bytes, dict[Hashable, int]],
    digests: Digests,
    look: SecondLook,
    *,
    thumbnails: Thumbnails,
    parts: Sequence[Hashable] | None,
    limited: Callable[[str], None],
) -> Iterator[Copy]:
    """Compare the pairs that are asked for."""
    unique = sorted(n for sides in firsts.values() for n in sides.values())

    def same(one: int, other: int) -> bool:
        first, second = unique[one], unique[other]
        return digests[first] != digests[second] and look.same(first, second)

    chosen = thumbnails if len(unique) == len(rows) else thumbnails.take(unique)
    sides = None if parts is None else [parts[n] for n in unique]
    for pair in near_duplicates(chosen, parts=sides, same=same, limited=limited):
        yield Copy(unique[pair.first], unique[pair.second], exact=False, similarity=pair.similarity)


def _kept(
    rows: Sequence[Row],
    firsts: dict[str | bytes, dict[Hashable, int]],
    digests: Digests,
    look: SecondLook,
    *,
    thumbnails: ManyThumbnails,
    intensity: Intensity,
    parts: Sequence[Hashable] | None,
    cache: Path,
    limited: Callable[[str], None],
) -> Iterator[Copy]:
    """Judge all pairs of the data set, unless they are kept, and choose those that are asked for."""
    places: dict[str | bytes, int] = {}
    for n, digest in enumerate(digests):
        if digest is not None:
            places.setdefault(digest, n)
    unique = list(places.values())
    if len(unique) < 2:
        return

    def chosen() -> Thumbnails:
        loaded = _loaded(thumbnails)
        return loaded if len(unique) == len(rows) else loaded.take(unique)

    judged = judge(
        _image_set(rows, digests, unique, intensity),
        chosen,
        lambda one, other: look.same(unique[one], unique[other]),
        store=JudgedStore(cache),
    )
    if judged.note:
        limited(judged.note)
    columns = (judged.first[judged.same], judged.second[judged.same], judged.similarity[judged.same])
    for one, other, similarity in zip(*(column.tolist() for column in columns), strict=True):
        for side, first in firsts.get(_digest(digests, unique[one]), {}).items():
            for other_side, second in firsts.get(_digest(digests, unique[other]), {}).items():
                if parts is None or side != other_side:
                    yield Copy(min(first, second), max(first, second), exact=False, similarity=similarity)


def _digest(digests: Digests, number: int) -> str | bytes:
    digest = digests[number]
    assert digest is not None
    return digest


def _image_set(rows: Sequence[Row], digests: Digests, unique: Sequence[int], intensity: Intensity) -> ImageSet:
    """Describe the images that are compared; those of one patient in one part of the official split are related."""
    codes: dict[tuple[str, str | None], int] = {}
    related = [-1 if (group := rows[n].group) is None else codes.setdefault((group, rows[n].split), len(codes))
               for n in unique]  # fmt: skip
    if len(unique) < len(rows):  # an image of two patients is related to none
        several = _of_several(rows, digests)
        related = [-1 if digests[n] in several else code for n, code in zip(unique, related, strict=True)]
    files = distinctly_decoded(rows[n].image for n in unique)
    revisions = sorted({(suffix_of(file), revision) for file in files if (revision := decoding_revision(file))})
    kind = repr((candidates.LEVELS, candidates.MAX_COLOUR_DIFFERENCE, MIN_CORRELATION, str(intensity), revisions))
    about = repr([_hexadecimal(digests[n]) for n in sample_of(len(rows))])
    hashes = b"".join(bytes.fromhex(_hexadecimal(digests[n])) for n in unique)
    return ImageSet(
        digests=np.frombuffer(hashes, dtype=np.uint8).reshape(-1, DIGEST_BYTES),
        relations=np.array(related, dtype=np.int32),
        kind=blake2b(kind.encode(), digest_size=16).digest(),
        about=blake2b(about.encode(), digest_size=16).digest(),
    )


def _of_several(rows: Sequence[Row], digests: Digests) -> set[str | bytes]:
    """Return the hashes of images that belong to several patients or parts."""
    owner: dict[str | bytes, tuple[str | None, str | None]] = {}
    return {
        digest
        for row, digest in zip(rows, digests, strict=True)
        if digest is not None and owner.setdefault(digest, (row.group, row.split)) != (row.group, row.split)
    }


def _hexadecimal(digest: str | bytes | None) -> str:
    return digest.hex() if isinstance(digest, bytes) else str(digest or "")


def _loaded(thumbnails: ManyThumbnails) -> Thumbnails:
    if isinstance(thumbnails, Thumbnails):
        return thumbnails
    return in_memory(thumbnails) if isinstance(thumbnails, np.ndarray) else thumbnails()
