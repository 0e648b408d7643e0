"""Judge the pairs of a set of images once: what is kept of it, or of most of it, is not compared again.

Of the sets that are kept, the one with most of these images is taken over; only pairs with another image are searched
for. The verdicts of the second look depend a little on the whole set, so that of another set only its similar pairs are
looked at again.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from s4mi.data.duplicates import DuplicatePair, Judged, judged_pairs
from s4mi.data.loading.judged_store import ImageSet, JudgedSet, JudgedStore, as_values
from s4mi.data.parallel import in_threads
from s4mi.data.thumbnails import Thumbnails

KEPT_AFTER = 60.0
"""Seconds after which the verdicts so far are kept, in case that the process is killed."""
FEWEST_SHARED = 0.1
"""Share of the images that a kept set must hold to be taken over."""

Same = Callable[[int, int], bool]


def judge(images: ImageSet, thumbnails: Callable[[], Thumbnails], same: Same, *, store: JudgedStore) -> JudgedSet:
    """Return the similar pairs of images with the verdicts of the second look, from the store if they are there.

    Args:
        thumbnails: of these images; called unless all is known.
        same: second look at a pair of them.
    """
    kept = store.get(images)
    if kept is not None and kept.complete:
        return kept
    known = {} if kept is None else _verdicts(kept)
    covered, taken = _taken_over(images, store)
    relations, notes = images.relations, list[str]()
    found: list[Judged] = []
    since = time.monotonic()

    def wanted(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        apart = (relations[first] != relations[second]) | (relations[first] < 0)
        return np.asarray(apart & ~(covered[first] & covered[second]))

    def look(first: int, second: int) -> bool:
        verdict = known.get((first, second))
        return same(first, second) if verdict is None else verdict

    if taken is not None:
        rows = _rows(taken)
        again = taken.images.about != images.about
        verdicts = in_threads(lambda n: look(*rows[n][:2]), len(rows)) if again else (row[3] for row in rows)
        found += [Judged(DuplicatePair(*row[:3]), verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    if not covered.all():
        for one in judged_pairs(thumbnails(), wanted=wanted, same=look, limited=notes.append):
            found.append(one)
            if time.monotonic() - since > KEPT_AFTER:
                store.put(_as_set(images, found, complete=False))
                since = time.monotonic()
    judged = _as_set(images, found, note="; ".join(notes))
    store.put(judged)
    return judged


def _as_set(images: ImageSet, found: list[Judged], *, complete: bool = True, note: str = "") -> JudgedSet:
    ordered = sorted(found, key=lambda one: (one.pair.first, one.pair.second))
    return JudgedSet(
        images,
        np.array([one.pair.first for one in ordered], dtype=np.int32),
        np.array([one.pair.second for one in ordered], dtype=np.int32),
        np.array([one.pair.similarity for one in ordered], dtype=np.float64),
        np.array([one.same for one in ordered], dtype=np.bool_),
        complete=complete,
        note=note,
    )


def _rows(judged: JudgedSet) -> list[tuple[int, int, float, bool]]:
    columns = (judged.first, judged.second, judged.similarity, judged.same)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _verdicts(judged: JudgedSet) -> dict[tuple[int, int], bool]:
    return {(first, second): verdict for first, second, _, verdict in _rows(judged)}


def _taken_over(images: ImageSet, store: JudgedStore) -> tuple[NDArray[np.bool_], JudgedSet | None]:
    """Return which images the best kept set compared with one another, and its pairs by the numbers of these images."""
    count = len(images.digests)
    values = as_values(images.digests)
    order = np.argsort(values)
    best, chosen = np.zeros(count, dtype=np.bool_), None
    for other in store.others(images):
        if not other.complete or other.note or not len(other.images.digests):
            continue
        place = np.searchsorted(values, as_values(other.images.digests), sorter=order)
        number = order[np.minimum(place, count - 1)].astype(np.int64)
        number[values[number] != as_values(other.images.digests)] = -1
        number[_compared_less(other.images.relations, images.relations, number)] = -1
        if (number >= 0).sum() > max(best.sum(), FEWEST_SHARED * count - 1):
            best = np.zeros(count, dtype=np.bool_)
            best[number[number >= 0]] = True
            chosen = _renumbered(other, images, number)
    return best, chosen


def _compared_less(old: NDArray[np.int32], new: NDArray[np.int32], number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images of a kept set have a relation there of which the images are not all of one relation now."""
    related = (old >= 0) & (number >= 0)
    if not related.any():
        return np.zeros(len(old), dtype=np.bool_)
    now = new[number[related]]
    pairs = np.unique(np.column_stack([old[related], now]), axis=0)
    kinds, times = np.unique(pairs[:, 0], return_counts=True)
    members, sizes = np.unique(old[related], return_counts=True)
    several = sizes[np.searchsorted(members, kinds)] > 1
    unrelated = np.isin(kinds, pairs[pairs[:, 1] < 0, 0]) & several
    return np.asarray(related & np.isin(old, kinds[(times > 1) | unrelated]))


def _renumbered(judged: JudgedSet, images: ImageSet, number: NDArray[np.int64]) -> JudgedSet:
    first, second = number[judged.first], number[judged.second]
    held = (first >= 0) & (second >= 0)
    low, high = np.minimum(first, second)[held], np.maximum(first, second)[held]
    related = (images.relations[low] == images.relations[high]) & (images.relations[low] >= 0)
    about = ImageSet(images.digests, images.relations, images.kind, judged.images.about)
    return JudgedSet(
        about, low[~related].astype(np.int32), high[~related].astype(np.int32), judged.similarity[held][~related],
        judged.same[held][~related],
    )  # fmt: skip
