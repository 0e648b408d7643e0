"""Paired tests between techniques: over common seeds, and over the patients of their test images."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s4mi.formatting import plural
from s4mi.maths.paired import PairedTest, holm, paired_patients
from s4mi.maths.patient_scores import COUNTED, paired_patient_scores
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.crossed_tests import crossed_test
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.patient_effects import Influences, influences_of
from s4mi.reporting.results.per_image import image_values, patients_of, unit_of
from s4mi.reporting.results.runs import ReportRun, RunKey, run_key
from s4mi.reporting.results.scores import MISSING, Metric, score_of, spread
from s4mi.reporting.results.shared_seeds import in_common
from s4mi.reporting.results.tables import label_columns
from s4mi.reporting.results.test_predictions import paired_predictions

ALPHA = 0.05


@dataclass(frozen=True)
class TestResult:
    """A paired test over `n` seeds, patients or images, and its p after Holm's correction for all rows of the table."""

    test: PairedTest
    digits: int
    holm: float | None = None
    unit: str = "seeds"

    @property
    def difference(self) -> str:
        """`+0.031 ± 0.012`."""
        interval = self.test.difference
        return f"{_signed(interval.mean, self.digits)}{spread(interval, digits=self.digits, signed=True)}"

    @property
    def span(self) -> str:
        """`+0.019 to +0.044`, for an asymmetric interval."""
        interval = self.test.difference
        if interval.low is None or interval.high is None:
            return MISSING
        return f"{_signed(interval.low, self.digits)} to {_signed(interval.high, self.digits)}"

    @property
    def mean(self) -> str:
        return _signed(self.test.difference.mean, self.digits)

    @property
    def effect(self) -> str:
        return MISSING if self.test.effect is None else _signed(self.test.effect, 2)

    @property
    def p(self) -> str:
        return probability(self.test.p)

    @property
    def p_holm(self) -> str:
        return probability(self.holm)

    @property
    def n(self) -> int:
        return self.test.difference.n

    @property
    def significant(self) -> bool:
        return self.holm is not None and self.holm < ALPHA


@dataclass(frozen=True)
class TechniquePair:
    """Two techniques at one label fraction; differences are `ahead`, which has the better mean, minus `behind`.

    Attributes:
        seeds: test over the seeds that both were trained with, on the same test images, at least two, and over the test
            patients that these seeds share.
        patients: test over the patients of their test images in those seeds; None if a run has no per-image scores.
    """

    column: LabelColumn
    ahead: Technique
    behind: Technique
    seeds: TestResult
    patients: TestResult | None


@dataclass(frozen=True)
class TechniquePairs:
    """All pairs of a comparison at its smallest and largest label fraction; `untested` counts pairs with one seed."""

    rows: tuple[TechniquePair, ...]
    untested: int

    @property
    def over_patients(self) -> bool:
        return any(row.patients for row in self.rows)

    @property
    def unit(self) -> str:
        """What the second test counts: `patients` or `images`."""
        return unit_of_all(row.patients for row in self.rows)

    @property
    def finding(self) -> str:
        """Number of pairs that differ significantly, in words; empty without pairs."""
        tested = [row for row in self.rows if row.seeds.test.p is not None]
        untested = len(self.rows) - len(tested) + self.untested
        reason = "fewer than two common seeds, or no variance between seeds"
        if not tested:
            return f"No pair of techniques was tested: {reason}." if untested else ""
        ns = sorted({row.seeds.n for row in tested})
        seeds = f"n = {ns[0]} seeds" if len(ns) == 1 else f"n = {ns[0]} to {ns[-1]} seeds"
        differ = _count_significant(row.seeds for row in tested)
        text = f"Of {plural(len(tested), 'tested pair')}, {differ} {'differs' if differ == '1' else 'differ'} "
        text += f"significantly over {seeds}"
        if self.over_patients:
            differ = _count_significant(row.patients for row in self.rows)
            text += f", and {differ} over the test {self.unit} of these runs"
        text += f" (p < {ALPHA:g} after Holm's correction)."
        if untested:
            text += f" Not tested: {plural(untested, 'pair')} ({reason})."
        return text


def pairs_of(
    comparison: Comparison, metric: Metric, runs: Sequence[ReportRun], influences: Influences | None = None
) -> TechniquePairs:
    """Test every pair at the smallest label fraction above 0, at the largest, and at 0 if two techniques use no labels.

    Two runs are paired if seed, test images and number of labels are the same (`shared_seeds`). Holm's correction is
    applied to all rows, separately for seeds and patients.

    Args:
        influences: of the test patients of `runs`, where they are known already.
    """
    task = (comparison.dataset, comparison.task)
    images = {run_key(run.record): run for run in runs if (run.record.dataset, run.record.task) == task}
    fractions = tested_fractions(comparison)
    influences = influences_of(comparison, runs, metric) if influences is None else influences
    rows, untested = [], 0
    for column in label_columns(comparison):
        if column.fraction not in fractions:
            continue
        for one, other in itertools.combinations(comparison.techniques, 2):
            both = in_common(comparison, metric, one, other, fraction=column.fraction)
            if len(both) >= 2:
                rows.append(_pair(column, one, other, both, metric, images, influences))
            else:
                untested += len(both)
    rows.sort(key=lambda row: (row.column.fraction, 2.0 if row.seeds.test.p is None else row.seeds.test.p))
    return corrected_together([TechniquePairs(tuple(rows), untested)])[0]


def corrected_together(tables: Sequence[TechniquePairs]) -> tuple[TechniquePairs, ...]:
    """Holm's correction over the rows of several tables, as those of a report, separately for seeds and patients."""
    rows = [row for table in tables for row in table.rows]
    over_seeds = iter(holm([row.seeds.test.p for row in rows]))
    over_patients = iter(holm([None if row.patients is None else row.patients.test.p for row in rows]))
    return tuple(
        replace(
            table,
            rows=tuple(
                replace(
                    row,
                    seeds=replace(row.seeds, holm=next(over_seeds)),
                    patients=_with_holm(row.patients, next(over_patients)),
                )
                for row in table.rows
            ),
        )
        for table in tables
    )


def _with_holm(result: TestResult | None, p: float | None) -> TestResult | None:
    return None if result is None else replace(result, holm=p)


def tested_fractions(comparison: Comparison) -> set[float]:
    """The label fractions at which pairs are tested."""
    labelled = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    return {comparison.fractions[0], labelled[0], labelled[-1]}


def probability(p: float | None) -> str:
    """`0.031`, `< 0.001`, or a dash without a test."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def compared(shown: str) -> str:
    """`= 0.031` or `< 0.001`, what follows the letter p in a sentence, of a `probability`."""
    return shown if shown.startswith("<") else f"= {shown}"


def _pair(
    column: LabelColumn,
    one: Technique,
    other: Technique,
    both: Sequence[tuple[RunRecord, RunRecord]],
    metric: Metric,
    images: dict[RunKey, ReportRun],
    influences: Influences,
) -> TechniquePair:
    differences = [(score_of(a, metric) or 0.0) - (score_of(b, metric) or 0.0) for a, b in both]
    one_is_ahead = sum(differences) >= 0 if metric.higher_is_better else sum(differences) <= 0
    if not one_is_ahead:
        one, other, both = other, one, [(b, a) for a, b in both]
    seeds = TestResult(crossed_test(both, metric, influences), metric.digits)
    return TechniquePair(column, one, other, seeds, _over_patients(both, metric, images))


def _over_patients(
    both: Sequence[tuple[RunRecord, RunRecord]], metric: Metric, runs: dict[RunKey, ReportRun]
) -> TestResult | None:
    """Test over the patients of all seeds together; None if a run of a pair has no per-image results."""
    found = [(runs.get(run_key(a)), runs.get(run_key(b))) for a, b in both]
    pairs = [(a, b) for a, b in found if a is not None and b is not None]
    return over_shared_patients(pairs, metric) if len(pairs) == len(both) else None


def unit_of_all(tests: Iterable[TestResult | None]) -> str:
    """What several tests count: `patients`, or `images` if patients are unknown in all of them."""
    units = {test.unit for test in tests if test is not None}
    return units.pop() if len(units) == 1 else "patients"


def over_shared_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """Test the first run of each pair minus the second over the patients of all pairs.

    None without per-image results.
    """
    if pairs[0][0].record.task == "segmentation":
        return _scores_over_patients(pairs, metric)
    return _predictions_over_patients(pairs, metric)


def _scores_over_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """Test of the differences on all images of all seeds, pooled."""
    differences: list[float] = []
    patients: list[str] = []
    for a, b in pairs:
        values_a, values_b = image_values(a.images, metric), image_values(b.images, metric)
        shared = [name for name in values_a if name in values_b]
        if not shared:
            return None
        patient_by_image = patients_of(a.images)
        differences += [values_a[name] - values_b[name] for name in shared]
        patients += [patient_by_image[name] for name in shared]
    limits = metric.difference_limits
    test = paired_patients(differences, patients, rng=np.random.default_rng(0), limits=limits)
    return TestResult(test, metric.digits, unit=unit_of(patients))


def _predictions_over_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """Test of the difference of the score itself, averaged over seeds."""
    predictions = [pair for a, b in pairs if (pair := paired_predictions(a.predictions, b.predictions)) is not None]
    if len(predictions) < len(pairs) or metric.name not in COUNTED:
        return None
    test = paired_patient_scores(
        metric.name, predictions, multilabel=pairs[0][0].record.task == "multilabel", rng=np.random.default_rng(0)
    )
    return TestResult(test, metric.digits, unit=unit_of([patient for pair in predictions for patient in pair.patients]))


def _signed(value: float, digits: int) -> str:
    """A difference with its sign, and a minus as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _count_significant(tests: Iterable[TestResult | None]) -> str:
    """Number of significant tests, or `none`."""
    return f"{sum(test is not None and test.significant for test in tests) or 'none'}"
