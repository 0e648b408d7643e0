"""Candidates are those that comparing every pair finds; of too many look-alikes only the nearest, and it is said."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data import candidates
from s4mi.data.candidates import LEVELS, candidate_pairs
from s4mi.data.formats.intensity import Pixels
from s4mi.data.thumbnails import Thumbnails


def nothing(_: int) -> Pixels:
    raise AssertionError("candidates are found without pixels")


def drawn(count: int, *, kinds: int, flips: int, seed: int) -> Thumbnails:
    """Descriptions around `kinds` images, each with up to `flips` bits of hash, and twice that of signature, turned."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, kinds, count)
    hashes = generator.integers(0, 1 << 64, size=kinds, dtype=np.uint64, endpoint=False)[kind]
    bits = generator.integers(0, 2, (kinds, 128), dtype=np.uint8)[kind]
    for _ in range(flips):
        hashes ^= (np.uint64(1) << generator.integers(0, 64, count).astype(np.uint64)) * (generator.random(count) < 0.5)
        for _ in range(2):
            bits[np.arange(count), generator.integers(0, 128, count)] ^= generator.integers(0, 2, count, dtype=np.uint8)
    signatures = np.packbits(bits, axis=1)
    signatures[generator.random(count) < 0.05] = 0
    colours = (generator.uniform(0, 255, (kinds, 3))[kind] + generator.normal(0, 15, (count, 3))).astype(np.float32)
    return Thumbnails(hashes, colours, signatures, nothing)


def naive(thumbnails: Thumbnails, distance: int, most: int, part: np.ndarray) -> list[tuple[int, int]]:
    found = []
    for i, j in itertools.combinations(range(len(thumbnails)), 2):
        bits = int(np.bitwise_count(thumbnails.signatures[i] ^ thumbnails.signatures[j]).sum())
        empty = not (thumbnails.signatures[i].any() and thumbnails.signatures[j].any())
        if (
            part[i] != part[j]
            and int(thumbnails.hashes[i] ^ thumbnails.hashes[j]).bit_count() <= distance
            and np.abs(thumbnails.colours[i] - thumbnails.colours[j]).max() <= candidates.MAX_COLOUR_DIFFERENCE
            and (bits <= most or empty)
        ):
            found.append((i, j))
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(1, 10), st.integers(0, 20), st.integers(1, 3), st.integers(0, 999))
def test_candidates_are_those_of_all_pairs(count: int, kinds: int, flips: int, parts: int, seed: int) -> None:
    thumbnails = drawn(count, kinds=kinds, flips=flips, seed=seed)
    part = np.random.default_rng(seed).integers(0, parts, count)
    said: list[str] = []
    found = candidate_pairs(thumbnails, lambda i, j: part[i] != part[j], said.append)
    assert list(map(tuple, found.tolist())) == naive(thumbnails, *LEVELS[0], part)
    assert said == []


@pytest.mark.long
def test_of_too_many_look_alikes_the_nearest_are_compared_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pairs is then bounded by that of images, and exactly those of one level."""
    thumbnails = drawn(600, kinds=3, flips=12, seed=1)
    everything = naive(thumbnails, *LEVELS[0], np.arange(600))
    monkeypatch.setattr(candidates, "ALWAYS_COMPARED", 1000)
    monkeypatch.setattr(candidates, "COMPARED_PER_IMAGE", 5)
    said: list[str] = []
    found = candidate_pairs(thumbnails, None, said.append).tolist()
    assert len(found) < 2 * 5 * 600 < len(everything) / 2
    assert "so many look alike that only pairs with signatures within" in "".join(said)
    levels = [naive(thumbnails, *level, np.arange(600)) for level in LEVELS[1:]]
    assert list(map(tuple, found)) in levels


def test_a_search_of_hashes_that_would_take_too_long_is_reduced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbnails = drawn(3000, kinds=3000, flips=0, seed=1)
    monkeypatch.setattr(candidates, "ALWAYS_COMPARED", 0)
    monkeypatch.setattr(candidates, "search_cost", lambda _, distance: 1e6 if distance <= 4 else 1e12)
    said: list[str] = []
    candidate_pairs(thumbnails, None, said.append)
    assert "signatures within 8 of 128 bits" in said[0]


@pytest.mark.long
def test_images_that_all_look_the_same_are_compared_with_those_of_the_nearest_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blank images have one hash and no signature: every pair would be a candidate."""
    count = 3000
    colours = np.repeat(np.random.default_rng(0).uniform(0, 255, (count, 1)), 3, axis=1).astype(np.float32)
    colours[10] = colours[2000]
    blank = Thumbnails(np.zeros(count, np.uint64), colours, np.zeros((count, 16), np.uint8), nothing)
    monkeypatch.setattr(candidates, "ALWAYS_COMPARED", 1000)
    said: list[str] = []
    found = candidate_pairs(blank, None, said.append)
    assert len(found) <= candidates.NEIGHBOURS * count
    assert [10, 2000] in found.tolist()
    assert "near-duplicates may be missing" in said[0]
    assert {n for pair in found.tolist() for n in pair} == {*range(count)}
