"""Scores of saliency maps: values by hand, and general properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import rankdata

from s4mi.maths.saliency import area_share, energy_inside, mean_rank_correlation, pointing_game, rank_correlation

SALIENCY = np.array([[0.0, 1.0, 0.0], [2.0, 4.0, 1.0], [0.0, 2.0, 0.0]])
"""Sums to 10, with the maximum in the middle."""

maps = arrays(np.float64, (4, 5), elements=st.integers(0, 9).map(float))
regions = arrays(np.bool_, (4, 5))


def region(*cells: tuple[int, int], shape: tuple[int, int] = (3, 3)) -> NDArray[np.bool_]:
    inside = np.zeros(shape, dtype=bool)
    for cell in cells:
        inside[cell] = True
    return inside


def test_the_pointing_game_depends_on_the_maximum_alone() -> None:
    assert pointing_game(SALIENCY, region((1, 1))) == 1
    assert pointing_game(SALIENCY, ~region((1, 1))) == 0


def test_a_hit_may_miss_by_the_tolerance() -> None:
    inside = region((1, 2))  # one pixel from the maximum
    assert pointing_game(SALIENCY, inside) == 0
    assert pointing_game(SALIENCY, inside, tolerance=1) == 1
    corner = region((0, 0))  # √2 away
    assert pointing_game(SALIENCY, corner, tolerance=1.4) == 0
    assert pointing_game(SALIENCY, corner, tolerance=1.5) == 1


def test_of_several_maxima_the_share_inside_counts() -> None:
    twice = np.array([[3.0, 0.0], [3.0, 3.0]])
    assert pointing_game(twice, region((0, 0), shape=(2, 2))) == pytest.approx(1 / 3)


def test_energy_is_the_share_of_the_sum() -> None:
    assert energy_inside(SALIENCY, region((1, 1), (1, 0))) == pytest.approx(0.6)


def test_pixels_without_annotation_are_ignored() -> None:
    known = ~region((1, 1), (2, 2))
    inside = region((1, 0), (1, 1))
    assert energy_inside(SALIENCY, inside, known=known) == pytest.approx(2 / 6)
    assert pointing_game(SALIENCY, inside, known=known) == pytest.approx(1 / 2)  # both pixels with 2.0 are maxima
    assert area_share(inside, known=known) == pytest.approx(1 / 7)


def test_a_map_of_zeros_and_an_empty_mask_have_no_scores() -> None:
    nothing, inside = np.zeros((3, 3)), region((1, 1))
    for score in (pointing_game, energy_inside):
        assert score(nothing, inside) is None
        assert score(SALIENCY, region()) is None
        assert score(SALIENCY, inside, known=~inside) is None
    assert area_share(region()) is None


def test_an_uninformative_map_scores_the_area() -> None:
    flat, inside = np.full((3, 3), 0.7), region((0, 0), (2, 1))
    assert area_share(inside) == pytest.approx(2 / 9)
    assert energy_inside(flat, inside) == pytest.approx(2 / 9)
    assert pointing_game(flat, inside) == pytest.approx(2 / 9)


@given(maps, regions)
def test_inside_and_outside_sum_to_one(saliency: NDArray[np.float64], inside: NDArray[np.bool_]) -> None:
    for score in (pointing_game, energy_inside):
        one, other = score(saliency, inside), score(saliency, ~inside)
        if one is not None and other is not None:
            assert one + other == pytest.approx(1)
        if one is not None:
            assert 0 <= one <= 1


@given(maps, regions, st.floats(0.1, 100))
def test_the_scale_of_a_map_does_not_matter(
    saliency: NDArray[np.float64], inside: NDArray[np.bool_], factor: float
) -> None:
    for score in (pointing_game, energy_inside):
        assert score(saliency * factor, inside) == pytest.approx(score(saliency, inside))


@given(maps, maps)
def test_rank_correlation_is_pearsons_of_the_ranks(left: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    given = rank_correlation(left, right)
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        assert given is None
    else:
        ranks = np.corrcoef(rankdata(left), rankdata(right))[0, 1]
        assert given == pytest.approx(ranks, abs=1e-9)


def test_rank_correlation_depends_on_the_order_alone() -> None:
    left = np.arange(6.0).reshape(2, 3)
    assert rank_correlation(left, np.exp(left)) == pytest.approx(1)
    assert rank_correlation(left, -left) == pytest.approx(-1)
    assert rank_correlation(left, np.ones((2, 3))) is None


@pytest.mark.parametrize("score", [pointing_game, energy_inside])
def test_different_shapes_and_negative_maps_are_refused(score: type) -> None:
    with pytest.raises(ValueError, match="map and mask must have the same shape"):
        score(SALIENCY, region(shape=(2, 2)))
    with pytest.raises(ValueError, match="must not be negative"):
        score(-SALIENCY, region((1, 1)))


@given(st.lists(maps, min_size=2, max_size=5))
def test_the_mean_rank_correlation_is_that_of_all_pairs(given: list[NDArray[np.float64]]) -> None:
    pairs = [
        one
        for n, first in enumerate(given)
        for second in given[:n]
        if (one := rank_correlation(first, second)) is not None
    ]
    found = mean_rank_correlation(given)
    assert found == (pytest.approx(np.mean(pairs), abs=1e-9) if pairs else None)
