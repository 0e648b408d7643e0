import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.maths.stats import Interval, mean_interval

scores = st.floats(-1e6, 1e6, allow_nan=False)


@settings(deadline=None)
@given(st.lists(scores, min_size=2, max_size=12), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_the_interval_is_that_of_scipy(values: list[float], level: float) -> None:
    error = scipy.stats.sem(values)
    ours = mean_interval(values, level=level)
    assert ours.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    if error > 1e-9:  # scipy returns nan if all values are equal
        low, high = scipy.stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=error)
        assert ours.low == pytest.approx(low, rel=1e-7, abs=1e-7)
        assert ours.high == pytest.approx(high, rel=1e-7, abs=1e-7)


def test_two_values_by_hand() -> None:
    # s = √2/2 · |0.6 - 0.4| and t(1, 0.975) = tan(0.475 π), so the half width is 0.1 · 12.7062
    interval = mean_interval([0.4, 0.6])
    assert interval.mean == pytest.approx(0.5)
    assert interval.half_width == pytest.approx(0.1 * math.tan(0.475 * math.pi))


def test_95_percent_of_intervals_cover_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    trials, truth = 4000, 0.7
    intervals = [mean_interval(rng.normal(truth, 0.05, size=3)) for _ in range(trials)]
    covered = sum(i.low <= truth <= i.high for i in intervals) / trials
    four_standard_errors = 4 * math.sqrt(0.95 * 0.05 / trials)
    assert covered == pytest.approx(0.95, abs=four_standard_errors)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.25]) == Interval(mean=0.25, low=None, high=None, n=1)
    assert mean_interval([0.25]).half_width is None


@settings(deadline=None)
@given(scores, st.integers(2, 9))
def test_equal_values_have_no_width(value: float, n: int) -> None:
    assert mean_interval([value] * n) == Interval(mean=value, low=value, high=value, n=n)


@settings(deadline=None)
@given(st.lists(scores, min_size=1, max_size=8), st.randoms())
def test_the_order_of_the_values_has_no_effect(values: list[float], random: object) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert mean_interval(shuffled) == mean_interval(values)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "at least one value"),
        ([[0.1, 0.2]], 0.95, "flat sequence"),
        ([0.1, math.nan], 0.95, "nan"),
        ([0.1, math.inf], 0.95, "inf"),
        ([0.1, 0.2], 1.0, r"level must lie between 0 and 1, such as 0.95 \(given 1.0\)"),
    ],
)
def test_invalid_input_is_refused(values: list, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_interval(values, level=level)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8, unique=True))
def test_scores_between_two_ends_have_at_least_students_interval_and_at_most_twice_as_much(values: list[float]) -> None:
    plain, within = mean_interval(values), mean_interval(values, limits=(0.0, 1.0))
    low, high = within.mean - within.low, within.high - within.mean
    assert min(plain.half_width, within.mean) - 1e-9 <= low <= 2 * plain.half_width + 1e-9
    assert min(plain.half_width, 1 - within.mean) - 1e-9 <= high <= 2 * plain.half_width + 1e-9
    mirrored = mean_interval([1 - value for value in values], limits=(0.0, 1.0))
    assert (mirrored.low, mirrored.high) == (pytest.approx(1 - within.high), pytest.approx(1 - within.low))


def test_seeds_close_to_one_are_held_as_often_as_others() -> None:
    rng, held, plain = np.random.default_rng(0), 0, 0
    for _ in range(3000):
        values = rng.beta(40, 2, 5).tolist()
        found, student = mean_interval(values, limits=(0.0, 1.0)), mean_interval(values)
        held += found.low <= 40 / 42 <= found.high
        plain += student.low <= 40 / 42 <= student.high
    assert held / 3000 > 0.935
    assert plain / 3000 < 0.925
