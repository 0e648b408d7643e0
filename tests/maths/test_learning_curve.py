import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from s4mi.maths.learning_curve import PowerCurves, fit_power_curves

LABELS = np.array([20.0, 40.0, 80.0, 200.0, 400.0])
ONES = np.ones(5)


def law(top: float, slope: float, exponent: float, labels: np.ndarray = LABELS) -> np.ndarray:
    return top - slope * labels**-exponent


@pytest.mark.parametrize(("top", "slope", "exponent"), [(0.9, 2.0, 0.7), (0.75, 0.5, 0.3), (0.95, 4.0, 1.1)])
def test_a_curve_without_noise_is_found_again(top: float, slope: float, exponent: float) -> None:
    fit = fit_power_curves(LABELS, law(top, slope, exponent)[None], ONES, ceiling=1.0)
    assert fit.asymptote[0] == pytest.approx(top, abs=0.01)
    for labels in (20.0, 100.0, 800.0):
        assert fit.at(labels)[0] == pytest.approx(law(top, slope, exponent, np.array(labels)), abs=0.003)


def test_the_fit_is_nearly_that_of_scipys_optimiser() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        means, weights = law(0.88, 1.5, 0.5) + rng.normal(0, 0.01, 5), rng.integers(1, 6, 5).astype(float)

        def residuals(p: np.ndarray, means: np.ndarray = means, weights: np.ndarray = weights) -> np.ndarray:
            return np.sqrt(weights) * (p[0] - p[1] * LABELS ** -p[2] - means)

        theirs = least_squares(residuals, (0.9, 1.0, 0.5), bounds=((0, 0, 0.05), (1, np.inf, 2)))
        ours = fit_power_curves(LABELS, means[None], weights, ceiling=1.0)
        error = residuals(np.array([ours.asymptote[0], ours.slope[0], ours.exponent[0]]))
        assert (error**2).sum() <= 2 * theirs.cost * 1.1 + 1e-5, "exponents are on a grid"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0, 1))
def test_curves_never_fall_and_stay_between_floor_and_ceiling(means: list[float], floor: float) -> None:
    fit = fit_power_curves(LABELS, np.array([means]), ONES, ceiling=1.0, floor=floor)
    scores = [fit.at(n)[0] for n in (1.0, 10.0, 100.0, 1e4, 1e8)]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(scores))
    assert floor <= scores[0]
    assert scores[-1] <= 1 + 1e-12


def test_many_curves_are_fitted_as_each_alone() -> None:
    means = law(0.9, 2.0, 0.7) + np.random.default_rng(1).normal(0, 0.02, (1203, 5))
    together = fit_power_curves(LABELS, means, ONES, ceiling=1.0)
    for row in (0, 499, 500, 1202):
        alone = fit_power_curves(LABELS, means[row : row + 1], ONES, ceiling=1.0)
        assert together.at(300.0)[row] == pytest.approx(alone.at(300.0)[0], abs=1e-12)


def test_labels_needed_by_hand() -> None:
    # 0.9 - 2 / √n = 0.8 at n = 400; 0.95 is never reached, and 0.3 is the floor.
    curve = PowerCurves(np.full(3, 0.9), np.full(3, 2.0), np.full(3, 0.5), floor=0.3)
    assert curve.needed(np.array([0.8, 0.95, 0.3])).tolist() == [pytest.approx(400), math.inf, 0]


def test_negated_errors_have_the_ceiling_zero() -> None:
    errors = 4 + 300 * LABELS**-0.8
    fit = fit_power_curves(LABELS, -errors[None], ONES, ceiling=0.0)
    assert fit.at(1e9)[0] == pytest.approx(-4, abs=0.7)
    assert (fit.asymptote <= 0).all()


def test_invalid_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"means must be \(B, F\)"):
        fit_power_curves(LABELS, np.zeros((2, 4)), ONES, ceiling=1.0)
    with pytest.raises(ValueError, match="numbers of labels must be positive"):
        fit_power_curves(np.array([0.0, 1.0]), np.zeros((2, 2)), np.ones(2), ceiling=1.0)
