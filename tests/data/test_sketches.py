"""Sketches leave out only pairs whose thumbnails cannot correlate enough, and most of those."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s4mi.data import duplicates, sketch_table
from s4mi.data.duplicates import MIN_CORRELATION, correlation
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.sketches import sketch, sketches_of
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.thumbnails import describe, in_memory, normalised, thumbnail, thumbnails_of

LESIONS = [thumbnail(drawing.image) for drawing in draw_lesions(12, size=64, seed=5)]


def mixed(seed: int) -> list[Pixels]:
    """Images between two others, noise, and single colours, so that correlations are all over [-1, 1]."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    between = [
        (share * one.astype(float) + (1 - share) * other).astype(np.uint8)
        for one, other in (generator.choice(len(LESIONS), 2) for _ in range(5))
        for one, other in [(LESIONS[one], LESIONS[other])]
        for share in generator.uniform(0, 1, 2)
    ]
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in (0, 7, 7, 255)]
    return [*between, *flat, noise, 255 - noise]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.5, 1))
def test_no_pair_that_correlates_enough_is_left_out(seed: int, least: float) -> None:
    images = mixed(seed)
    found = sketches_of(in_memory(np.stack(images)), range(len(images)))
    pairs = np.array(list(itertools.combinations(range(len(images)), 2)))
    may = found.may_correlate(pairs, least)
    assert all(may[n] for n, (i, j) in enumerate(pairs.tolist()) if correlation(images[i], images[j]) >= least)


def test_pairs_that_correlate_clearly_less_are_left_out() -> None:
    images = [*LESIONS, *mixed(1)[:10]]
    found = sketches_of(in_memory(np.stack(images)), range(len(images)))
    pairs = np.array(list(itertools.combinations(range(len(images)), 2)))
    may = found.may_correlate(pairs, MIN_CORRELATION)
    less = [correlation(images[i], images[j]) < MIN_CORRELATION - 0.05 for i, j in pairs.tolist()]
    assert sum(less) > 100
    assert not may[np.array(less)].any()


def test_files_are_read_as_images_at_hand_and_what_cannot_be_read_stays(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(6)]
    for path, image in zip(paths, LESIONS, strict=False):
        Image.fromarray(image).save(path)
    images = np.stack(LESIONS[:6])
    thumbnails = thumbnails_of(
        [describe(one) for one in images], lambda n: images[n], lambda n: (paths[n], Intensity()) if n % 2 else None
    )
    expected = sketches_of(in_memory(images), [0, 1, 2, 5])
    found = sketches_of(thumbnails, [5, 2, 1, 0, 2])
    for name in ("places", "values", "scales", "errors", "squares"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    paths[1].write_bytes(b"no image")
    damaged = sketches_of(thumbnails, [0, 1, 2])
    assert damaged.may_correlate(np.array([[0, 1], [1, 2]]), 1.0).all()


def not_read(_: int) -> Pixels:
    raise AssertionError("sketches are at hand")


def test_sketches_at_hand_are_used_whatever_images_are_taken() -> None:
    images = np.stack(mixed(2))
    read = in_memory(images)
    made = replace(read, sketches=sketches_of(read, range(len(images))), pixels=not_read)
    chosen = [5, 1, 9, 3]
    pairs = np.array([[0, 1], [1, 2], [0, 3], [2, 3]])
    np.testing.assert_array_equal(
        sketches_of(made.take(chosen), range(4)).may_correlate(pairs, 0.3),
        sketches_of(read.take(chosen), range(4)).may_correlate(pairs, 0.3),
    )


def test_portions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    images = mixed(3)
    found = sketches_of(in_memory(np.stack(images)), range(len(images)))
    pairs = np.array(list(itertools.combinations(range(len(images)), 2)))
    expected = found.may_correlate(pairs, 0.5)
    monkeypatch.setattr(sketch_table, "PAIRS_AT_A_TIME", 7)
    np.testing.assert_array_equal(found.may_correlate(pairs, 0.5), expected)
    assert found.may_correlate(pairs[:0], 0.5).shape == (0,)


def test_the_error_of_a_sketch_is_that_of_its_rounding() -> None:
    values, scale, error, square = sketch(normalised(LESIONS[0]))
    unit = normalised(LESIONS[0]).ravel()
    assert np.isclose(square, unit @ unit)
    unit /= np.linalg.norm(unit)
    assert np.isclose(error, np.linalg.norm(unit - values / scale))
    assert error < 0.02


def test_released_sketches_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "NORMALISED_IMAGES", 1)
    images = in_memory(np.stack([*LESIONS, *LESIONS[:4]]))
    with_sketches = replace(images, sketches=sketches_of(images, range(len(images))))
    assert with_sketches.sketches is not None
    expected = duplicates.near_duplicates(images)
    assert len(expected) >= 4
    assert duplicates.near_duplicates(with_sketches) == expected
    assert not with_sketches.sketches.at_hand
    assert with_sketches.sketches.values.size == 0
    assert duplicates.near_duplicates(with_sketches) == expected
