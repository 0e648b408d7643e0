"""Pairs of similar hashes found by blocks are those that comparing every pair finds, each once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s4mi.data import similar_hashes
from s4mi.data.similar_hashes import similar_pairs


def some_hashes(count: int, *, kinds: int, flips: int, seed: int) -> NDArray[np.uint64]:
    """Hashes around `kinds` centres, each with up to `flips` bits turned."""
    generator = np.random.default_rng(seed)
    centres = generator.integers(0, 1 << 64, size=kinds, dtype=np.uint64, endpoint=False)
    hashes = centres[generator.integers(0, kinds, count)]
    for _ in range(flips):
        turned = np.uint64(1) << generator.integers(0, 64, count).astype(np.uint64)
        hashes ^= turned * generator.integers(0, 2, count).astype(np.uint64)
    return hashes


def naive(hashes: NDArray[np.uint64], most: int) -> list[tuple[int, int]]:
    values = hashes.tolist()
    return [(i, j) for i, j in itertools.combinations(range(len(values)), 2)
            if (values[i] ^ values[j]).bit_count() <= most]  # fmt: skip


def found(hashes: NDArray[np.uint64], most: int) -> list[tuple[int, int]]:
    return sorted((int(i), int(j)) for pairs in similar_pairs(hashes, most) for i, j in pairs)


@pytest.mark.parametrize("cheap", [0.0, 1e30])
@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 60), st.integers(1, 20), st.integers(0, 14), st.sampled_from((0, 1, 5, 10, 12)), st.integers(0, 99)
)
def test_both_searches_find_what_comparing_every_pair_finds(
    cheap: float, count: int, kinds: int, flips: int, most: int, seed: int
) -> None:
    hashes = some_hashes(count, kinds=kinds, flips=flips, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar_hashes, "COMPARED", cheap)
        assert found(hashes, most) == naive(hashes, most)


def test_portions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = some_hashes(300, kinds=4, flips=8, seed=1)
    monkeypatch.setattr(similar_hashes, "COMPARED", 1e30)
    expected = naive(hashes, 10)
    assert len(expected) > 1000
    for size in (1, 7, 1 << 20):
        monkeypatch.setattr(similar_hashes, "PAIRS_AT_A_TIME", size)
        assert found(hashes, 10) == expected


def test_many_scattered_hashes_are_searched_by_blocks_and_alike_ones_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    for name in ("_by_blocks", "_all_pairs"):
        monkeypatch.setattr(similar_hashes, name, lambda *_, name=name: asked.append(name) or iter(()))
    list(similar_pairs(some_hashes(100_000, kinds=100_000, flips=0, seed=2), 10))
    list(similar_pairs(some_hashes(100_000, kinds=1, flips=20, seed=2), 10))
    list(similar_pairs(some_hashes(1000, kinds=1000, flips=0, seed=2), 10))
    assert asked == ["_by_blocks", "_all_pairs", "_all_pairs"]
