import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from s4mi.maths.paired import hedges, holm, paired_patients, paired_seeds

chances = st.floats(0, 1, allow_nan=False)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 8), st.integers(0, 999))
def test_over_seeds_it_is_the_paired_test_of_scipy(n: int, seed: int) -> None:
    a, b = rng(seed).normal(0.7, 0.05, size=(2, n))
    theirs = scipy.stats.ttest_rel(a, b)
    ours = paired_seeds(a - b)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.difference.low, ours.difference.high) == (pytest.approx(low), pytest.approx(high))
    assert ours.difference.n == n


def test_the_effect_size_by_hand() -> None:
    # mean 0.03, s 0.01, so d_z = 3; J(2) = Γ(1) / (√1 Γ(1/2)) = 1 / √π
    assert paired_seeds([0.02, 0.03, 0.04]).effect == pytest.approx(3 / math.sqrt(math.pi))


def test_two_pairs_have_a_test_and_no_effect_size_and_one_has_neither() -> None:
    two, one = paired_seeds([0.01, 0.03]), paired_seeds([0.01])
    assert two.p is not None
    assert two.effect is None
    assert (one.p, one.effect, one.difference.half_width, one.difference.n) == (None, None, None, 1)


@pytest.mark.parametrize("differences", [[0.1, 0.1], [0.0, 0.0, 0.0], [0.6 - 0.5, 0.65 - 0.55, 0.7 - 0.6]])
def test_differences_without_spread_have_no_test(differences: list[float]) -> None:
    test = paired_seeds(differences)
    assert (test.p, test.effect) == (None, None)


def test_hedges_factor_by_hand() -> None:
    # Γ(3/2) = √π / 2 and Γ(5/2) = 3 √π / 4
    assert hedges(3) == pytest.approx(math.sqrt(math.pi) / 2 / math.sqrt(1.5))
    assert hedges(5) == pytest.approx(3 * math.sqrt(math.pi) / 4 / math.sqrt(2.5))
    assert hedges(1) == 0
    assert hedges(500) == pytest.approx(1 - 3 / (4 * 500 - 1), abs=1e-5)
    with pytest.raises(ValueError, match=r"must be at least 1 \(given 0\)"):
        hedges(0)


def test_a_standardised_mean_is_free_of_bias() -> None:
    draws = rng(2).normal(0.8, 1, size=(20_000, 4))
    raw = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    assert hedges(3) * raw.mean() == pytest.approx(0.8, abs=0.04)
    assert raw.mean() > 1.0


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 9), st.integers(0, 999))
def test_over_few_patients_p_is_that_of_scipys_permutations(patients: int, seed: int) -> None:
    differences = rng(seed).normal(0.02, 0.05, size=patients)
    assume(abs(differences.sum()) > 1e-3 * np.abs(differences).sum())  # closer to 0, scipy's result depends on rounding
    theirs = scipy.stats.permutation_test(
        (differences,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    ours = paired_patients(differences, [str(i) for i in range(patients)], rng=rng(), draws=50)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_the_observed_difference_counts_as_extreme_even_where_it_almost_cancels() -> None:
    differences = rng(638).normal(0.02, 0.05, size=9)
    assert abs(differences.sum()) < 1e-3 * np.abs(differences).sum()
    exact = [Fraction(float(value)) for value in differences]
    flips = itertools.product((1, -1), repeat=9)
    flipped = [abs(sum(sign * value for sign, value in zip(signs, exact, strict=True))) for signs in flips]
    expected = sum(value >= abs(sum(exact)) for value in flipped) / len(flipped)
    assert paired_patients(differences, [str(i) for i in range(9)], rng=rng()).p == expected


def test_the_images_of_a_patient_flip_together() -> None:
    # Sums of patients are 0.3 and 0.1: both signs alike in 2 of 4 flips
    test = paired_patients([0.1, 0.1, 0.1, 0.1], ["a", "a", "a", "b"], rng=rng())
    assert test.p == 0.5
    assert test.difference.n == 2


def test_one_patient_has_no_test() -> None:
    test = paired_patients([0.1, 0.2], ["a", "a"], rng=rng())
    assert (test.p, test.difference.half_width, test.difference.n) == (None, None, 1)


def test_many_patients_agree_with_the_test_of_their_means() -> None:
    differences = rng(5).normal(0.01, 0.05, size=80)
    ours = paired_patients(differences, [str(i) for i in range(80)], rng=rng(), draws=20_000)
    assert ours.p == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue, abs=0.02)


def test_the_false_positive_rate_of_patient_tests_is_5_percent() -> None:
    draw, trials, found = rng(6), 400, 0
    for _ in range(trials):
        sizes = draw.integers(1, 4, size=15)
        names = np.repeat([str(i) for i in range(15)], sizes)
        differences = np.repeat(draw.normal(0, 0.1, size=15), sizes) + draw.normal(0, 0.02, size=sizes.sum())
        found += paired_patients(differences, names.tolist(), rng=draw, draws=200).p < 0.05
    assert 0.01 <= found / trials <= 0.10


def test_holm_by_hand() -> None:
    # Holm 1979: 4 · 0.01, 3 · 0.02 (not below the one before), 2 · 0.03 lifted to it, 0.4
    assert holm([0.02, 0.4, 0.01, 0.03]) == pytest.approx((0.06, 0.4, 0.04, 0.06))
    assert holm([]) == ()


def test_none_stays_none_and_is_not_counted() -> None:
    assert holm([None, 0.02, None, 0.04]) == (None, 0.04, None, 0.04)


def closed(p_values: Sequence[float]) -> list[float]:
    """Holm's procedure as a closed test: the worst Bonferroni test of all families with a hypothesis."""
    places = range(len(p_values))
    families = [f for size in range(1, len(p_values) + 1) for f in itertools.combinations(places, size)]
    return [
        max(min(1.0, len(family) * min(p_values[i] for i in family)) for family in families if place in family)
        for place in places
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(chances, min_size=1, max_size=6))
def test_holm_closes_the_tests_of_bonferroni(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(closed(p_values))


def test_the_family_wise_error_rate_of_holm_is_at_most_5_percent() -> None:
    draw, trials = rng(7), 1000
    found = sum(min(holm(draw.uniform(size=6).tolist())) < 0.05 for _ in range(trials))
    assert found / trials <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)
