"""Curves of a simulation: means and paired differences as worked out by hand, and what is said of them."""

from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

from s4mi.maths.stats import mean_interval
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.simulation import RoundScore, curves_of
from s4mi.reporting.writers.simulation import write_simulation

SCORES = {
    ("random", 0): (0.5, 0.6, 0.55), ("random", 1): (0.6, 0.62, 0.61), ("random", 2): (0.7, 0.7, 0.72),
    ("clever", 0): (0.5, 0.6, 0.55), ("clever", 1): (0.7, 0.72, 0.70), ("clever", 2): (0.8, 0.81, 0.82),
}  # fmt: skip
RESULTS = [
    RoundScore(strategy, seed, number, 10 + 5 * number, score)
    for (strategy, number), scores in SCORES.items()
    for seed, score in enumerate(scores)
]


def test_differences_are_taken_seed_by_seed() -> None:
    random, clever = curves_of(RESULTS, reference="random")
    assert random.gain is None
    assert random.differences == (None, None, None)
    assert clever.labels == (10, 15, 20)
    assert clever.scores[1] == mean_interval([0.7, 0.72, 0.70], limits=(0.0, 1.0))
    assert clever.differences[1] is not None
    assert clever.differences[1].mean == pytest.approx((0.1 + 0.1 + 0.09) / 3)
    assert clever.gain is not None
    assert clever.gain.mean == pytest.approx(((0.1 + 0.1) / 2 + (0.1 + 0.11) / 2 + (0.09 + 0.1) / 2) / 3)


def test_a_strategy_under_way_is_compared_on_whole_seeds_alone() -> None:
    some = [one for one in RESULTS if one.strategy == "random" or one.seed < 2 or one.round < 2]
    _, clever = curves_of(some, reference="random")
    assert clever.gain is not None
    assert clever.gain.n == 2
    assert clever.scores[2].n == 2


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, ": better"), (-0.2, ": worse"), (-0.1, "no significant difference")]
)
def test_what_is_said_follows_the_interval(tmp_path: Path, shift: float, verdict: str) -> None:
    moved = [
        RoundScore(
            one.strategy, one.seed, one.round, one.labels, one.score + (shift if one.strategy == "clever" else 0)
        )
        for one in RESULTS
    ]
    files, lines = write_simulation(moved, metric_of("multiclass"), tmp_path, reference="random")
    assert len(lines) == 1
    assert verdict in lines[0]
    assert all(file.stat().st_size > 0 for file in files)
    page = (tmp_path / "simulation.md").read_text()
    assert "| clever | 0.550 (" in page if not shift else "| clever | " in page
    assert lines[0] in page


def test_gains_of_several_strategies_are_corrected_together(tmp_path: Path) -> None:
    slow = [
        RoundScore("slow", one.seed, one.round, one.labels, one.score - 0.05 * one.round - 0.01 * one.seed)
        for one in RESULTS
        if one.strategy == "random"
    ]
    results = [*RESULTS, *slow]
    curves = {curve.strategy: curve for curve in curves_of(results, reference="random")}
    clever, behind = curves["clever"], curves["slow"]
    of_slow = ttest_1samp([-0.075 - 0.01 * seed for seed in range(3)], 0).pvalue
    of_clever = ttest_1samp([(0.1 + 0.1) / 2, (0.1 + 0.11) / 2, (0.09 + 0.1) / 2], 0).pvalue
    assert of_clever < of_slow
    assert clever.p == pytest.approx(2 * of_clever)
    assert behind.p == pytest.approx(of_slow)
    assert (clever.tests, curves["random"].p) == (2, None)
    _, lines = write_simulation(results, metric_of("multiclass"), tmp_path, reference="random")
    assert f"Holm-corrected p = {clever.p:.3f}: better" in lines[0]
    assert f"Holm-corrected p = {behind.p:.3f}: worse" in lines[1]


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    one = [result for result in RESULTS if result.seed == 0]
    _, lines = write_simulation(one, metric_of("multiclass"), tmp_path, reference="random")
    assert "one seed allows no test" in lines[0]


def test_without_chance_to_compare_with_the_curves_are_still_drawn(tmp_path: Path) -> None:
    alone = [result for result in RESULTS if result.strategy == "clever"]
    files, lines = write_simulation(alone, metric_of("multiclass"), tmp_path, reference="random")
    assert "not yet simulated as far as random" in lines[0]
    assert files[1].read_text().startswith("<svg")
