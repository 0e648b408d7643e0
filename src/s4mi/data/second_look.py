"""Whether two images of a set that are alike at 32 pixels are the same image: a second look at their structure.

    quick     correlation at 64 pixels, without what the images of the set share: far apart is different
    aligned   correlation of the structures after alignment: at least `SURE` is the same, below `MIN_DETAIL` different
    own       between them, the correlation without what the images of the set share decides

Of true and false rates, measured by modality, `docs/explanation/leakage.md` has the table.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from threading import Lock

import cv2
import numpy as np

from s4mi.data.detail import SIDE, Detail, Structure, detail, detail_correlation, without
from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError

MIN_DETAIL = 0.72
"""Least correlation of the same image; see docs/explanation/leakage.md."""
SURE = 0.94
"""Correlation of aligned images from which no set of look-alikes was found to have different ones."""
QUICK = 0.2
SMALL = SIDE // 2
SAMPLE = 64
"""Number of images, evenly spaced in the set, whose mean structure is what the set shares."""
FEWEST = 10
"""With fewer images the mean is not that of a kind but of these images."""
MIN_OWN = 0.8
"""Least correlation of the same image without what the set shares, where it shares something."""
LEFT, NOTHING_SHARED = 0.08, 0.8
"""Shares of an image's structure that are left without the mean: with less, nothing but noise would be compared, and
with more the set shares nothing."""
KEPT = 4096
"""Number of images whose structure is kept in memory, at 64 KiB each."""


class SecondLook:
    """Compares images of a set by number; a pair of which one cannot be read stays a pair."""

    def __init__(self, read: Callable[[int], Pixels], count: int) -> None:
        """Prepare for a set of `count` images.

        Args:
            read: returns the (H, W, 3) pixels of an image; called in several threads.
        """
        self._detail = lru_cache(KEPT)(lambda number: detail(read(number)))
        self._vectors = lru_cache(KEPT)(self._quick_vectors)
        self._sample = sample_of(count)
        self._lock = Lock()
        self._total: Structure | None = None
        self._members: frozenset[int] = frozenset()

    def same(self, first: int, second: int) -> bool:
        """Whether two images are the same."""
        try:
            one, other = self._detail(first), self._detail(second)
        except S4miError:
            return True
        if self._quick(first, second) < QUICK:
            return False
        alike = detail_correlation(one, other)
        if alike < MIN_DETAIL or alike >= SURE:
            return alike >= MIN_DETAIL
        shared = self._shared({first, second})
        if shared is None or not all(LEFT <= _left(each, shared) <= NOTHING_SHARED for each in (one, other)):
            return True
        return detail_correlation(one, other, shared=shared) >= MIN_OWN

    def _quick(self, first: int, second: int) -> float:
        """Correlation at 64 pixels, of what the images do not share with the set where that can be told."""
        (raw, own), (other_raw, other_own) = self._vectors(first), self._vectors(second)
        if own is None or other_own is None:
            return float(raw @ other_raw) if raw.any() and other_raw.any() else 1.0
        return float(own @ other_own)

    def _quick_vectors(self, number: int) -> tuple[Structure, Structure | None]:
        """Structure at 64 pixels as a vector of length 1, and what is left of it without the mean of the set."""
        one, shared = self._detail(number), self._shared(set())
        raw = _small_vector(np.where(one.inside, one.structure.astype(np.float32), 0).astype(np.float32))
        if shared is None or not LEFT <= _left(one, shared) <= NOTHING_SHARED:
            return _normalised(raw), None
        return _normalised(raw), _normalised(without(raw, _small_vector(shared)))

    def _shared(self, pair: set[int]) -> Structure | None:
        """Mean structure of the sample without a pair; None if there are too few images."""
        with self._lock:
            if self._total is None:
                self._total, self._members = self._sum_of_sample()
        inside = pair & self._members
        count = len(self._members) - len(inside)
        if count < FEWEST:
            return None
        rest = self._total - sum(self._detail(number).structure.astype(np.float32) for number in inside)
        return np.asarray(rest / count, dtype=np.float32)

    def _sum_of_sample(self) -> tuple[Structure, frozenset[int]]:
        total, members = np.zeros((SIDE, SIDE), dtype=np.float32), set()
        for number in self._sample:
            try:
                total += self._detail(number).structure
            except S4miError:  # reported by the scan, or by the decoding of a run
                continue
            members.add(number)
        return total, frozenset(members)


def sample_of(count: int) -> tuple[int, ...]:
    """Return the numbers of the images whose mean is what a set of `count` images shares."""
    return tuple(np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)).tolist())


def different_pairs(pairs: Iterable[tuple[str, str]]) -> frozenset[frozenset[str]]:
    """Return pairs of ids that a person has declared different, in either order."""
    return frozenset(map(frozenset, pairs))


def _left(one: Detail, shared: Structure) -> float:
    """Share of the structure of an image that is left without what the set shares."""
    x = one.structure.astype(np.float32)[one.inside]
    x -= x.mean()
    rest = without(x, shared[one.inside])
    return float(rest @ rest) / max(float(x @ x), 1.0)


def _small_vector(structure: Structure) -> Structure:
    small = cv2.resize(structure, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    vector = np.asarray(small, dtype=np.float32).ravel()
    return np.asarray(vector - vector.mean(), dtype=np.float32)


def _normalised(vector: Structure) -> Structure:
    length = float(np.sqrt(vector @ vector))
    return np.asarray(vector / length, dtype=np.float32) if length > 0.5 else np.zeros_like(vector)
