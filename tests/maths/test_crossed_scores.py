"""Intervals of mean scores over seeds and patients: what they are without one of the two, and that they hold."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.maths.crossed import jackknife
from s4mi.maths.crossed_scores import crossed_score_interval
from s4mi.maths.stats import Interval, mean_interval


def influences_of_means(scores: np.ndarray) -> list[dict[str, float]]:
    """(S, G) scores → influences of patients on the mean of each seed."""
    rest = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
    return [jackknife({f"p{n}": value for n, value in enumerate(row)}) for row in rest.tolist()]


def interval(scores: np.ndarray, **settings: object) -> Interval:
    return crossed_score_interval(scores.mean(axis=1).tolist(), influences_of_means(scores), draws=800, **settings)


def test_without_shared_patients_it_is_that_over_seeds() -> None:
    values = [0.7, 0.72, 0.69]
    assert crossed_score_interval(values, []) == mean_interval(values, limits=(0.0, 1.0))
    apart = [{f"{seed}-{n}": 0.01 for n in range(50)} for seed in range(3)]
    assert crossed_score_interval(values, apart) == mean_interval(values, limits=(0.0, 1.0))
    assert crossed_score_interval([0.7], [{"a": 0.1, "b": -0.1}]).low is None


def test_of_seeds_that_agree_it_is_one_over_patients() -> None:
    # Symmetric scores far from the ends: about Student's interval over patients.
    one = np.clip(np.random.default_rng(0).normal(0.5, 0.1, 200), 0, 1)
    found = interval(np.tile(one, (6, 1)))
    low, high = scipy.stats.t.interval(0.95, 199, one.mean(), scipy.stats.sem(one))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004))
    assert found.few == ""


def test_what_both_contribute_adds_as_squares() -> None:
    rng = np.random.default_rng(1)
    scores = 0.5 + rng.normal(0, 0.03, (6, 1)) + rng.normal(0, 0.2, 100)
    both, seeds = interval(scores), mean_interval(scores.mean(axis=1).tolist(), limits=(0.0, 1.0))
    patients = interval(np.tile(scores.mean(axis=0), (6, 1)))
    assert both.high - both.mean == pytest.approx(
        math.hypot(seeds.high - seeds.mean, patients.high - patients.mean), rel=0.05
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(2, 60), st.integers(0, 10**6))
def test_it_holds_the_mean_and_stays_within_the_scores(seeds: int, patients: int, seed: int) -> None:
    scores = np.random.default_rng(seed).beta(3, 1, (seeds, patients))
    found = interval(scores)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.few == ("seeds" if seeds < 5 else "patients" if patients < 40 else "")


def test_few_patients_without_a_miss_do_not_exclude_one() -> None:
    scores = np.full((6, 10), 0.95) + np.random.default_rng(2).normal(0, 0.002, (6, 10))
    assert interval(scores).low < 0.95 - 0.1 * 0.9, "one in ten may have been missed"
    assert interval(np.tile(scores, 10)).low > 0.94


def test_distances_of_few_patients_have_no_upper_end() -> None:
    scores = np.random.default_rng(3).lognormal(2, 0.6, 20) + np.random.default_rng(4).normal(0, 0.1, (5, 20))
    few = interval(scores, limits=(0.0, math.inf))
    assert few.high == math.inf
    assert 0 < few.low < few.mean
    assert math.isfinite(interval(np.tile(scores, 3), limits=(0.0, math.inf)).high)


def test_runs_with_few_patients_of_a_class_bring_their_own_intervals() -> None:
    scores = 0.8 + np.random.default_rng(5).normal(0, 0.01, (5, 60))
    own = [Interval(0.8, 0.5, 0.9, 60, "patients")] * 5
    found = interval(scores, of_few=own)
    assert found.few == "patients"
    assert found.mean - found.low == pytest.approx(0.3, abs=0.005)
    assert found.high - found.mean == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(("patients", "seeds"), [(20, 3), (50, 6)])
def test_it_holds_the_true_mean_where_a_symmetric_one_does_not(patients: int, seeds: int) -> None:
    """One patient in ten is missed; the mean over endless patients is 0.9 · 0.9 + 0.1 · 0.05."""
    rng, held = np.random.default_rng(6), 0
    for _ in range(200):
        base = np.where(rng.random(patients) < 0.1, rng.uniform(0, 0.1, patients), rng.normal(0.9, 0.03, patients))
        found = interval(base + rng.normal(0, 0.02, (seeds, 1)) + rng.normal(0, 0.02, (seeds, patients)))
        held += found.low <= 0.815 <= found.high
    assert scipy.stats.binomtest(held, 200, 0.93, alternative="less").pvalue > 0.001


def test_seeds_that_agree_on_no_patient_have_the_interval_over_seeds() -> None:
    # The patients who raise one run lower the other, so that no variance is theirs: nothing to add.
    signs = [1, -1] * 25
    one = {f"p{n}": 0.002 * sign for n, sign in enumerate(signs)}
    other = {patient: -0.5 * value for patient, value in one.items()}
    found = crossed_score_interval([0.7, 0.72], [one, other])
    seeds = mean_interval([0.7, 0.72], limits=(0.0, 1.0))
    assert (found.low, found.high) == (pytest.approx(seeds.low), pytest.approx(seeds.high))


def test_few_patients_who_are_all_right_do_not_exclude_one_who_is_not() -> None:
    perfect = [{f"p{n}": 0.0 for n in range(12)}] * 5
    found = crossed_score_interval([1.0] * 5, perfect)
    assert (found.mean, found.high, found.few) == (1.0, 1.0, "patients")
    # Jeffreys' interval of 12 successes in 12, which the pseudo-patients stand for, or a wider one.
    assert 0.5 < found.low <= scipy.stats.beta.ppf(0.025, 12.5, 0.5)
    own = crossed_score_interval([1.0] * 5, perfect, of_few=[Interval(1.0, 0.8, 1.0, 12, "patients")] * 5)
    assert own.low == pytest.approx(0.8)
    apart = [{f"{seed}-{n}": 0.0 for n in range(12)} for seed in range(5)]
    assert crossed_score_interval([1.0] * 5, apart) == mean_interval([1.0] * 5, limits=(0.0, 1.0))
