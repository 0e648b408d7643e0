import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from s4mi.maths.label_efficiency import (
    LabelEfficiency,
    LabelPoints,
    label_curve,
    label_efficiency,
    labels_reached,
    monotone,
)

LABELS = (14.0, 35.0, 70.0, 140.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def points(*cells: Sequence[float], labels: Sequence[float] = LABELS) -> LabelPoints:
    """A technique's scores at each number of labels, by seed."""
    return LabelPoints(tuple(labels), tuple(dict(enumerate(cell)) for cell in cells))


def estimate(technique: LabelPoints, target: Sequence[float], **about) -> LabelEfficiency:
    asked = {"technique": "A", "full": 140.0, "rng": rng(), **about}
    return label_efficiency(technique, dict(enumerate(target)), **asked)


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


def test_the_curve_passes_a_rising_mean_and_pools_a_falling_one() -> None:
    rising = label_curve(points([0.5, 0.5], [0.6, 0.6], [0.7, 0.7], [0.8, 0.8]), rng=rng())
    assert rising.fit[[0, -1]] == pytest.approx([0.5, 0.8])
    assert rising.labels[[0, -1]] == pytest.approx([14, 140])
    falling = label_curve(points([0.6, 0.8], [0.5, 0.7], labels=(10, 100)), rng=rng())
    assert falling.fit == pytest.approx(0.65)


def test_no_curve_without_two_numbers_of_labels_and_no_band_with_one_seed() -> None:
    assert label_curve(points([0.5, 0.6], labels=[0]), rng=rng()) is None
    assert label_curve(points([0.5, 0.6], [0.7, 0.8], labels=[0, 20]), rng=rng()) is None
    alone = label_curve(points([0.5], [0.7], labels=[10, 20]), rng=rng())
    assert (alone.low, alone.high) == (None, None)


def test_the_band_never_falls_and_holds_the_curve() -> None:
    draw = rng(3)
    curve = label_curve(points(*(draw.normal(mean, 0.02, 5) for mean in (0.5, 0.7, 0.8, 0.84))), rng=rng())
    assert (np.diff(curve.low) >= -1e-12).all()
    assert (np.diff(curve.high) >= -1e-12).all()
    assert (curve.low <= curve.fit).all()
    assert (curve.fit <= curve.high).all()


def test_the_sentence_of_a_technique_that_reaches_the_target() -> None:
    technique = points([0.60, 0.61, 0.59], [0.71, 0.70, 0.72], [0.80, 0.81, 0.79], [0.82, 0.82, 0.81])
    told = estimate(technique, [0.76, 0.75, 0.76])
    assert 35 < told.low < told.needed < told.high < 140
    assert told.n == 3
    assert told.never < 0.025
    assert told.saved == pytest.approx(1 - math.ceil(told.needed) / 140)
    low, high = math.ceil(told.low), math.ceil(told.high)
    assert told.sentence == (
        f"A reaches full supervision (100 % of the labels) at {math.ceil(told.needed)} of 140 labels, 95 % interval "
        f"{low}–{high}, n = 3 seeds, few seeds; labels saved: {int(100 * told.saved)} %."
    )


def test_the_sentence_if_no_redrawn_fit_reaches_the_target() -> None:
    told = estimate(points([0.60, 0.61, 0.605], [0.62, 0.63, 0.625], labels=(10, 100)), [0.90, 0.91, 0.905])
    assert (told.needed, told.low, told.high, told.saved) == (math.inf, math.inf, math.inf, None)
    assert told.sentence == (
        "A does not reach full supervision (100 % of the labels) with up to 100 labels: not reached, n = 3 seeds."
    )


def test_reaching_it_on_average_alone_saves_no_labels() -> None:
    told = estimate(points([0.50, 0.70, 0.60], [0.80, 0.95, 0.85], labels=(10, 100)), [0.95, 0.75, 0.80])
    assert math.isfinite(told.needed)
    assert told.high == math.inf
    assert told.never > 0.025
    assert "on average, but not reliably: 95 % interval ≤ 10 to not reached, n = 3 seeds, few seeds" in told.sentence
    assert "saved" not in told.sentence


def test_missing_it_on_average_does_not_rule_it_out() -> None:
    told = estimate(points([0.50, 0.70, 0.60], [0.70, 0.85, 0.75], labels=(10, 100)), [0.80, 0.82, 0.84])
    assert told.needed == math.inf
    assert math.isfinite(told.low)
    assert "with up to 100 labels on average, but may: 95 % interval" in told.sentence


def test_without_labels_it_is_reached_or_not_and_there_is_no_curve() -> None:
    below, above = (points([score, score + 0.01, score + 0.02], labels=[0]) for score in (0.40, 0.95))
    assert (
        "does not reach full supervision (100 % of the labels) without labels: not reached"
        in estimate(below, [0.80, 0.81, 0.82]).sentence
    )
    assert estimate(above, [0.80, 0.81, 0.82]).sentence == (
        "A reaches full supervision (100 % of the labels) at 0 of 140 labels, 95 % interval 0, n = 3 seeds, few seeds; "
        "labels saved: 100 %."
    )


@pytest.mark.parametrize(("target", "seeds"), [([0.7], 1), ([0.7, 0.8], 2)])
def test_with_one_or_two_seeds_the_labels_needed_are_not_estimable(target: list[float], seeds: int) -> None:
    told = estimate(points([0.60] * seeds, [0.80] * seeds, labels=(10, 100)), target)
    assert (told.low, told.high, told.never, told.n) == (None, None, None, seeds)
    assert told.sentence == (
        f"A: labels needed for full supervision (100 % of the labels) not estimable ({seeds} seed"
        f"{'s' if seeds > 1 else ''}; needs at least 3)."
    )


def test_effects_of_seeds_on_technique_and_target_cancel() -> None:
    # Effects of a seed on both cancel: only different seeds widen the interval.
    luck = np.array([0.0, 0.04, -0.03])
    technique = points(0.6 + luck, 0.8 + luck, labels=(10, 90))
    assert estimate(technique, 0.7 + luck).high == pytest.approx(30)
    strangers = label_efficiency(
        technique, {seed + 9: 0.7 + each for seed, each in enumerate(luck)}, technique="A", full=140, rng=rng()
    )
    assert strangers.high > 60


@pytest.mark.parametrize("seeds", [3, 5])
def test_about_95_percent_of_intervals_cover_the_labels_needed(seeds: int) -> None:
    draw, trials, goal = rng(8), 300, 0.76
    truth = np.array([0.5, 0.7, 0.8, 0.84])
    exact = float(labels_reached(LABELS, truth[None], np.array([goal]))[0])
    assert 35 < exact < 70
    held = 0
    for _ in range(trials):
        shared = draw.normal(0, 0.014, seeds)
        scores = truth[:, None] + shared + draw.normal(0, 0.014, (4, seeds))
        told = estimate(points(*scores), goal + shared + draw.normal(0, 0.014, seeds), rng=draw, draws=400)
        held += told.low <= exact <= told.high
    assert 0.92 <= held / trials <= (0.99 if seeds >= 5 else 1)
