import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from s4mi.maths.label_efficiency import labels_reached, monotone

LABELS = (14.0, 35.0, 70.0, 140.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=8))
def test_the_fit_is_the_isotonic_regression_of_scipy(rows: list[tuple[float, int]]) -> None:
    means, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ours = monotone(np.stack([means, 1 - means]), weights)
    assert ours[0] == pytest.approx(isotonic_regression(means, weights=weights).x, abs=1e-9)
    assert ours[1] == pytest.approx(isotonic_regression(1 - means, weights=weights).x, abs=1e-9)


def test_the_labels_needed_are_interpolated_in_the_logarithm_by_hand() -> None:
    # The target is halfway between 0.6 at 10 and 0.8 at 90 labels, and √(10 · 90) = 30.
    fits = np.array([[0.6, 0.8], [0.75, 0.8], [0.5, 0.6]])
    assert labels_reached([10, 90], fits, np.full(3, 0.7)).tolist() == [pytest.approx(30), 10, math.inf]


def test_a_target_met_at_a_point_is_that_number_of_labels_exactly() -> None:
    assert labels_reached([15, 70, 140], np.array([[0.5, 0.7, 0.7]]), np.array([0.7])).tolist() == [70.0]


def test_between_no_labels_and_the_next_nothing_is_known() -> None:
    fits = np.array([[0.5, 0.8], [0.7, 0.8]])
    assert labels_reached([0, 20], fits, np.full(2, 0.7)).tolist() == [20.0, 0.0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 1))
@example([0.0, 1.0, 0.0, 0.0], 0.0, 1e-59)  # where rounding gave fewer labels than for a lower target
def test_a_higher_target_never_takes_fewer_labels(means: list[float], one: float, other: float) -> None:
    fit = monotone(np.array([means, means]), np.ones(4))
    low, high = labels_reached(LABELS, fit, np.array(sorted([one, other])))
    assert low <= high
