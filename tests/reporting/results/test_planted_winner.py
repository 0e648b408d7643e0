"""Simulated studies with a planted winner and with none, through the code that a report runs."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import scipy.stats

from s4mi.maths.power import Design, power
from s4mi.reporting.results import paired_tests
from s4mi.reporting.results.cards import task_card
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import Findings, findings_together
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table
from simulated_study import NAMES, SimulatedStudy

WINNER = 0.03
FEW, MANY = 8, 200


def findings_in(study: SimulatedStudy, seed: int, *, winner: float) -> list[Findings]:
    return findings_of_runs(study.runs(np.random.default_rng(seed), winner=winner))


def findings_of_runs(runs: Sequence[ReportRun]) -> list[Findings]:
    """As `report_contents` finds them."""
    comparisons = compare([run.record for run in runs])
    tables = [result_table(one, metric_of(one.task), runs) for one in comparisons]
    return findings_together(comparisons, tables, runs)


def claims(findings: Findings) -> set[tuple[float, str, str]]:
    """Label fraction, better and worse technique of every difference that the head may call significant."""
    return {
        (row.column.fraction, row.ahead.method, row.behind.method)
        for row in findings.pairs.rows
        if row.seeds.significant
    }


@cache
def simulated(study: SimulatedStudy, winner: float, times: int) -> tuple[frozenset[tuple[float, str, str]], ...]:
    return tuple(frozenset(claims(one)) for n in range(times) for one in findings_in(study, 1000 + n, winner=winner))


def check_false_claims(study: SimulatedStudy, times: int) -> None:
    """Any significant difference between equal techniques is a false claim of the report."""
    false = sum(bool(found) for found in simulated(study, 0.0, times))
    assert scipy.stats.binomtest(false, times, 0.05, alternative="greater").pvalue > 0.01, false


def check_power(study: SimulatedStudy, times: int) -> None:
    """The planted winner is found ahead of any one rival at least as often as the plan says, and no other is."""
    (comparison,) = compare([run.record for run in study.runs(np.random.default_rng(0))])
    fractions = paired_tests.tested_fractions(comparison)
    pairs = study.techniques * (study.techniques - 1) // 2
    design = Design(study.seeds, study.patients, pairs * len(fractions), one_test_set=study.one_test_set)
    stated = power(WINNER, study.spread, design)
    assert 0.6 < stated < 0.99, "a study whose power says something"
    outcomes = simulated(study, WINNER, times)
    for fraction in fractions:
        found = sum((fraction, NAMES[0], NAMES[1]) in one for one in outcomes)
        assert scipy.stats.binomtest(found, times, stated, alternative="less").pvalue > 0.01, (found, stated)
    wrong = sum(any(ahead != NAMES[0] for _, ahead, _ in one) for one in outcomes)
    assert scipy.stats.binomtest(wrong, times, 0.05, alternative="greater").pvalue > 0.01, wrong


STUDY = SimulatedStudy()
STUDIES = [
    pytest.param(STUDY, id="one test set"),
    pytest.param(SimulatedStudy(one_test_set=False, patients=100), id="other test patients with every seed"),
    pytest.param(SimulatedStudy(seeds=3, over_seeds=0.003, patients=100), id="three seeds"),
    pytest.param(SimulatedStudy(techniques=4, seeds=8, over_patients=0.045), id="four techniques"),
]


def test_a_planted_winner_is_found_and_without_one_none_is_claimed() -> None:
    check_power(STUDY, FEW)
    check_false_claims(STUDY, FEW)


def test_the_head_of_the_report_names_the_planted_winner() -> None:
    named = 0
    for seed in range(3):
        runs = STUDY.runs(np.random.default_rng(seed), winner=0.06)
        (findings,) = findings_of_runs(runs)
        named += "finetune · resnet10, significantly better than" in task_card(findings).text
    assert named == 3


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_a_planted_winner_is_found_at_the_stated_power(study: SimulatedStudy) -> None:
    check_power(study, MANY)


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_without_a_winner_at_most_one_report_in_twenty_claims_one(study: SimulatedStudy) -> None:
    check_false_claims(study, MANY)


@pytest.mark.slow
def test_without_a_winner_macro_f1_is_claimed_better_in_at_most_one_report_in_twenty() -> None:
    check_false_claims(SimulatedStudy(task="multiclass", techniques=3, patients=100), MANY)
