"""Choices by predicted classes: their probabilities, turns and limits."""

import numpy as np
import pytest

from s4mi.maths.acquisition import GroupLimit
from s4mi.maths.class_acquisition import by_foreground, in_turns, noised

FREE = 1000
"""Candidates of a draw that is repeated often."""


def none(n: int) -> GroupLimit:
    return GroupLimit([None] * n)


def test_noised_scores_are_a_draw_in_proportion_to_a_power() -> None:
    """The Gumbel-max trick: the probability of being first is u^β / Σ u^β."""
    u, beta, generator = np.array([0.1, 0.2, 0.4]), 2.0, np.random.default_rng(0)
    first = [int(noised(u, generator=generator, beta=beta).argmax()) for _ in range(20_000)]
    assert np.bincount(first) / len(first) == pytest.approx(u**beta / (u**beta).sum(), abs=0.01)


def test_noise_keeps_what_is_certain_last() -> None:
    u = np.array([0.0, 0.5, 0.6])
    assert all(noised(u, generator=np.random.default_rng(seed)).argmin() == 0 for seed in range(50))


def test_classes_take_turns_the_rarest_first() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]])
    assert [pick.position for pick in in_turns(shares, count=4, cap=none(4))] == [3, 0, 2, 1]


def test_uncertainty_decides_within_a_class() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7]])
    weights = np.array([0.1, 1.0, 0.1, 1.0])
    assert [pick.position for pick in in_turns(shares, count=2, cap=none(4), weights=weights)] == [3, 1]


def test_a_class_that_no_remaining_image_shows_has_no_turn() -> None:
    """Of masks, most shares are 0. What shows no class comes last, by weight and not by id."""
    shares = np.zeros((8, 3))
    shares[4:, 0], shares[7, 1] = [0.1, 0.2, 0.3, 0.4], 0.2
    weights = np.linspace(0.1, 0.8, 8)
    assert [pick.position for pick in in_turns(shares, count=8, cap=none(8))] == [7, 6, 5, 4, 0, 1, 2, 3]
    picks = in_turns(shares, count=8, cap=none(8), weights=weights)
    assert [pick.position for pick in picks] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert [pick.worth for pick in picks[4:]] == [0] * 4


def test_patients_are_limited_and_no_image_comes_twice() -> None:
    shares = np.random.default_rng(0).random((12, 3))
    groups = [f"p{n // 4}" for n in range(12)]
    for picks in (
        in_turns(shares, count=9, cap=GroupLimit(groups, 2)),
        by_foreground(shares[:, 0], count=9, cap=GroupLimit(groups, 2), generator=np.random.default_rng(1)),
    ):
        positions = [pick.position for pick in picks]
        assert len(set(positions)) == len(positions) <= 6
        assert max(np.bincount([position // 4 for position in positions])) <= 2


def test_two_of_three_have_foreground_and_the_third_may_not() -> None:
    foreground = np.r_[np.full(10, 0.5), np.zeros(FREE)]
    picks = by_foreground(foreground, count=9, cap=none(len(foreground)), generator=np.random.default_rng(0))
    assert [pick.position < 10 for pick in picks[:6]] == [True] * 6
    assert sum(pick.position >= 10 for pick in picks[6:]) >= 2


def test_everything_is_chosen_where_as_many_are_asked_for() -> None:
    picks = by_foreground(np.linspace(0, 1, 7), count=7, cap=none(7), generator=np.random.default_rng(0))
    assert sorted(pick.position for pick in picks) == list(range(7))
