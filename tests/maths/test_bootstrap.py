import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.maths.bootstrap import patient_interval, redrawn_means
from s4mi.maths.stats import mean_interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_with_one_image_per_patient_and_many_patients_it_is_the_interval_of_scipys_bootstrap() -> None:
    values = rng(1).beta(6, 2, size=400)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=rng(2))
    ours = patient_interval(values, [str(i) for i in range(400)], rng=rng(), draws=20_000)
    assert ours.mean == pytest.approx(values.mean())
    # Half a patient of 400 with a score of 0, and one with 1, move the ends by about 0.001.
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=2e-3)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=2e-3)
    assert (ours.n, ours.few) == (400, "")


@pytest.mark.parametrize(("right", "of"), [(0, 12), (9, 12), (45, 60), (60, 60)])
def test_for_proportions_it_is_the_interval_of_jeffreys_widened_by_student(right: int, of: int) -> None:
    theirs = scipy.stats.beta.ppf([0.025, 0.975], right + 0.5, of - right + 0.5)
    ours = patient_interval([1.0] * right + [0.0] * (of - right), [str(i) for i in range(of)], rng=rng(), draws=40_000)
    wider, share = scipy.stats.t.ppf(0.975, of - 1) / scipy.stats.norm.ppf(0.975), right / of
    expected = [share + wider * min(0, theirs[0] - share), share + wider * max(0, theirs[1] - share)]
    assert (ours.low, ours.high) == pytest.approx(tuple(np.clip(expected, 0, 1)), abs=0.01)


def test_distances_have_no_upper_limit_and_end_at_zero() -> None:
    far = patient_interval([1.0, 2.0, 60.0], ["a", "b", "c"], rng=rng(), limits=(0.0, math.inf))
    assert (far.low, far.few) == (0.0, "patients")
    assert far.high == math.inf, "no sample of three bounds the mean of what has no limit"
    values = np.random.default_rng(1).lognormal(2, 0.6, 60).tolist()
    many = patient_interval(values, [f"p{n}" for n in range(60)], rng=rng(), limits=(0.0, math.inf))
    assert many.mean < many.high < max(values)


def test_a_score_outside_its_limits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\] \(found 0.5 to 1.5\)"):
        patient_interval([0.5, 1.5], ["a", "b"], rng=rng())


def test_a_mean_over_images_weights_patients_by_their_images() -> None:
    assert patient_interval([0.2, 0.2, 0.2, 0.8], ["a", "a", "a", "b"], rng=rng()).mean == pytest.approx(0.35)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_one_patient_has_no_interval_however_many_images(values: list[float]) -> None:
    interval = patient_interval(values, ["a"] * len(values), rng=rng())
    assert (interval.low, interval.high, interval.n) == (None, None, 1)
    assert interval.mean == pytest.approx(np.mean(values))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcd")), min_size=2, max_size=12), st.integers(0, 99))
def test_the_mean_lies_within_and_the_result_depends_on_the_generator_alone(
    rows: list[tuple[float, str]], seed: int
) -> None:
    values, patients = zip(*rows, strict=True)
    interval = patient_interval(values, patients, rng=rng(seed), draws=200)
    assert interval == patient_interval(values, patients, rng=rng(seed), draws=200)
    if interval.n > 1:
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1


@pytest.mark.parametrize(("patients", "least", "most"), [(5, 0.93, 1.0), (40, 0.92, 0.98)])
def test_about_95_percent_of_intervals_cover_the_truth_and_far_fewer_by_image(
    patients: int, least: float, most: float
) -> None:
    draw, trials, truth = rng(3), 400, 0.75
    covered = by_image = 0
    for _ in range(trials):
        sizes = draw.integers(2, 6, size=patients)
        names = np.repeat([f"p{i}" for i in range(patients)], sizes)
        values = np.repeat(draw.beta(6, 2, size=patients), sizes) + draw.normal(0, 0.05, size=sizes.sum())
        values = np.clip(values, 0, 1)
        interval = patient_interval(values, names.tolist(), rng=draw, draws=400)
        covered += interval.low <= truth <= interval.high
        naive = mean_interval(values)
        by_image += naive.low <= truth <= naive.high
    assert least <= covered / trials <= most
    assert by_image / trials < 0.8


@pytest.mark.parametrize(
    ("scores", "patients", "level", "message"),
    [
        ([], [], 0.95, "at least one"),
        ([0.1], ["a", "b"], 0.95, "one per image"),
        ([0.1, math.nan], ["a", "b"], 0.95, "nan"),
        ([0.1, 0.2], ["a", "b"], 0.0, r"level must lie between 0 and 1, such as 0.95 \(given 0.0\)"),
    ],
)
def test_invalid_input_has_no_interval(scores: list, patients: list, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patient_interval(scores, patients, rng=rng(), level=level)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_redrawn_means_have_the_interval_of_student(n: int) -> None:
    values = rng(4).normal(0.7, 0.05, size=n)
    drawn = redrawn_means([dict(enumerate(values))], rng=rng(), draws=200_000)[:, 0]
    expected = mean_interval(values)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert low == pytest.approx(expected.low, abs=0.04 * expected.half_width)
    assert high == pytest.approx(expected.high, abs=0.04 * expected.half_width)


def test_effects_of_a_seed_on_all_cells_cancel_in_their_difference() -> None:
    cell = {0: 0.6, 1: 0.7, 2: 0.9}
    drawn = redrawn_means([cell, {seed: score - 0.2 for seed, score in cell.items()}], rng=rng(), draws=500)
    assert drawn[:, 0] - drawn[:, 1] == pytest.approx(0.2)
    assert drawn[:, 0].std() > 0.01
    apart = redrawn_means([cell, {seed + 3: score for seed, score in cell.items()}], rng=rng(), draws=5000)
    assert abs(scipy.stats.spearmanr(apart[:, 0], apart[:, 1]).statistic) < 0.1


def test_means_of_one_seed_are_not_redrawn() -> None:
    with pytest.raises(ValueError, match=r"at least 2 seeds in every cell \(found 1\)"):
        redrawn_means([{0: 0.5, 1: 0.6}, {0: 0.5}], rng=rng())
