"""Baselines of saliency scores, against naive versions, hand values, and simulated maps that know nothing."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from s4mi.inference.mask_scores import score_map
from s4mi.inference.saliency_baselines import Placed, baselines, place
from s4mi.maths.saliency import energy_inside, pointing_game
from s4mi.maths.saliency_baselines import (
    SIDE,
    centre_blob,
    cross_scores,
    mean_of_others,
    permutation_p,
    reduce_map,
    reduce_mask,
    sign_flip_p,
)


def disc(y: float, x: float, radius: float, size: int = SIDE) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:size, :size]
    return (np.hypot(rows - y, columns - x) <= radius).astype(np.uint8)


def glow(y: float, x: float, width: float, size: int = SIDE) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).astype(np.float32)


def scored_place(saliency: NDArray[np.float32], mask: NDArray[np.uint8] | None) -> Placed | None:
    return place(saliency, mask, score_map(saliency, mask, tolerance=0), tolerance=0)


@pytest.mark.parametrize("shape", [(40, 40), (41, 61), (30, 90)])
@pytest.mark.parametrize("area", [0.02, 0.2, 0.7])
def test_a_centre_blob_has_the_area_of_the_mask_and_one_maximum_in_the_centre(
    shape: tuple[int, int], area: float
) -> None:
    blob = centre_blob(shape, area)
    assert (blob > 0).mean() == pytest.approx(area, abs=16 / blob.size)  # ties of one distance
    at = np.argwhere(blob == blob.max())
    assert np.abs(at - (np.array(shape) - 1) / 2).max() <= 0.5
    np.testing.assert_array_equal(blob, blob[::-1, ::-1])


def test_scores_of_other_maps_are_those_of_the_naive_loop() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((SIDE, SIDE)).astype(np.float32) for _ in range(4)]
    masks = [disc(*rng.uniform(20, 44, 2), rng.uniform(5, 12)) > 0 for _ in range(4)]
    known = rng.random((SIDE, SIDE)) > 0.1
    pointing, energy = cross_scores(
        [reduce_map(np.where(known, one, 0)) for one in maps], [reduce_mask(one, one, known) for one in masks]
    )
    for (i, mask), (j, saliency) in itertools.product(enumerate(masks), enumerate(maps)):
        assert energy[i, j] == pytest.approx(energy_inside(saliency, mask, known=known), rel=1e-5)
        assert pointing[i, j] == pytest.approx(pointing_game(saliency, mask, known=known))
    np.testing.assert_allclose(mean_of_others(energy)[1], energy[1, [0, 2, 3]].mean())
    assert np.isnan(mean_of_others(energy[:1, :1])).all()


def test_a_small_lesion_and_a_large_image_keep_their_place() -> None:
    """A mask of 6 of 1000 pixels is less than a cell; the maximum lies in it."""
    mask, saliency = disc(700, 200, 3, 1000) > 0, glow(700, 200, 9, 1000)
    pointing, energy = cross_scores([reduce_map(saliency)], [reduce_mask(mask, mask, np.ones_like(mask))])
    assert 0 < pointing[0, 0] <= 1
    full = energy_inside(saliency, mask)
    assert full is not None
    assert 0.1 * full < energy[0, 0] < full  # spread over its cell


def test_a_permutation_test_is_that_of_all_permutations() -> None:
    scores = np.random.default_rng(1).random((5, 5)) + 0.3 * np.eye(5)
    rows = np.arange(5)
    every = [scores[rows, list(order)].sum() for order in itertools.permutations(range(5))]
    exact = np.mean(np.array(every) >= np.trace(scores) - 1e-12)
    found = permutation_p(scores, np.random.default_rng(0))
    assert found is not None
    assert found == pytest.approx(exact, abs=0.02)
    assert permutation_p(scores[:2, :2], np.random.default_rng(0)) is None


def test_signs_are_flipped_as_in_an_enumeration() -> None:
    differences = np.array([0.3, 0.1, -0.05, 0.2, 0.15, np.nan])
    signs = np.array(list(itertools.product((-1, 1), repeat=5)))
    exact = np.mean((signs * differences[:5]).sum(axis=1) >= differences[:5].sum() - 1e-12)
    assert sign_flip_p(differences, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(differences[:2], np.random.default_rng(0)) is None


def lesions(count: int, seed: int, *, spread: float) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(seed)
    return [(32 + rng.normal(0, spread), 32 + rng.normal(0, spread), rng.uniform(6, 12)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_central_square_on_every_image_is_not_beyond_the_centre(seed: int) -> None:
    """Lesions in the centre: a map that never looks points at 9 of 10 of them, and is told."""
    square = np.zeros((SIDE, SIDE), np.float32)
    square[26:38, 26:38] = 1
    rng = np.random.default_rng(seed)
    placed = [
        scored_place(square + 0.01 * rng.random(square.shape).astype(np.float32), disc(*one))
        for one in lesions(16, seed, spread=5)
    ]
    found = baselines([one for one in placed if one is not None])
    assert found is not None
    pointing, energy = found
    assert np.mean([one.pointing for one in placed if one is not None]) > 0.6
    assert pointing.beyond_chance is False
    assert energy.beyond_chance is False
    assert "the maps of other images" in energy.verdict


@pytest.mark.parametrize("seed", range(3))
def test_a_map_that_follows_the_lesion_is_beyond_both(seed: int) -> None:
    placed = [
        scored_place(glow(y, x, 0.6 * radius), disc(y, x, radius)) for y, x, radius in lesions(16, seed, spread=9)
    ]
    found = baselines([one for one in placed if one is not None])
    assert found is not None
    _, energy = found
    assert energy.beyond_chance
    assert energy.verdict == "above both beyond chance"
    assert energy.others is not None
    assert energy.above_others is not None
    own = np.mean([one.energy for one in placed if one is not None])
    assert energy.above_centre.mean == pytest.approx(own - energy.centre.mean, abs=1e-6)
    assert energy.above_others.mean == pytest.approx(own - energy.others.mean, abs=0.01)


def test_maps_that_know_nothing_of_their_images_are_called_better_in_at_most_five_percent() -> None:
    claimed = 0
    for seed in range(60):
        masks = lesions(10, seed, spread=8)
        maps = lesions(10, seed + 1000, spread=8)
        placed = [scored_place(glow(*one), disc(*mask)) for one, mask in zip(maps, masks, strict=True)]
        found = baselines([one for one in placed if one is not None])
        assert found is not None
        claimed += found[1].p_others is not None and found[1].p_others < 0.05
    assert claimed <= 8  # 5 % of 60 is 3; more than 8 has a probability of 0.4 %


def test_few_images_and_no_masks_tell_nothing() -> None:
    placed = [scored_place(glow(*one), disc(*one)) for one in lesions(2, 0, spread=5)]
    found = baselines([one for one in placed if one is not None])
    assert found is not None
    assert found[0].beyond_chance is None
    assert "too few images" in found[0].verdict
    assert baselines([]) is None
    assert scored_place(glow(3, 3, 2), None) is None
    assert scored_place(glow(3, 3, 2), np.zeros((SIDE, SIDE), np.uint8)) is None
