"""Techniques in pairs: whether one is ahead of the other over seeds, and over patients within these seeds."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s4mi.maths.paired import PairedTest, holm, paired_patients, paired_seeds
from s4mi.maths.patient_scores import COUNTED, paired_patient_scores
from s4mi.records import RunRecord
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.per_image import image_values, patients_of, unit_of
from s4mi.report.results.runs import ReportRun, RunKey, run_key
from s4mi.report.results.scores import MISSING, Metric, plus_minus, score_of
from s4mi.report.results.tables import LabelColumn, label_columns
from s4mi.report.results.test_predictions import paired_predictions

ALPHA = 0.05


@dataclass(frozen=True)
class TestResult:
    """A paired test over so many of a `unit`, and its p after Holm's correction for all pairs tested alike."""

    test: PairedTest
    digits: int
    holm: float | None = None
    unit: str = "seeds"
    bounded: bool = True

    @property
    def difference(self) -> str:
        """`+0.031 ± 0.012`."""
        interval = self.test.difference
        half = plus_minus(interval.half_width, digits=self.digits, bounded=self.bounded)
        return f"{_signed(interval.mean, self.digits)}{half}"

    @property
    def span(self) -> str:
        """`+0.019 to +0.044`, for an interval that is not even."""
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
    def told_apart(self) -> bool:
        return self.holm is not None and self.holm < ALPHA


@dataclass(frozen=True)
class TechniquePair:
    """Two techniques at one label fraction; differences are `ahead` minus `behind`, on the mean better and worse.

    Attributes:
        seeds: over the seeds that both were trained with, on the same split; at least two.
        patients: over the patients of their test images in those seeds; None where a run has no score of images.
    """

    column: LabelColumn
    ahead: Technique
    behind: Technique
    seeds: TestResult
    patients: TestResult | None


@dataclass(frozen=True)
class TechniquePairs:
    """All pairs of a comparison at its smallest and its largest label fraction. `untested` have one seed in common."""

    rows: tuple[TechniquePair, ...]
    untested: int

    @property
    def over_patients(self) -> bool:
        return any(row.patients for row in self.rows)

    @property
    def unit(self) -> str:
        """Over whom the tests of these runs are."""
        return unit_of_all(row.patients for row in self.rows)

    @property
    def finding(self) -> str:
        """How many pairs can be told apart; empty where there is no pair."""
        tested = [row for row in self.rows if row.seeds.test.p is not None]
        rest = len(self.rows) - len(tested) + self.untested
        if not tested:
            why = "fewer than two seeds in common, or no spread between seeds"
            return f"No pair of techniques is tested, and nothing is claimed of any: {why}." if rest else ""
        ns = sorted({row.seeds.n for row in tested})
        seeds = f"n = {ns[0]} seeds" if len(ns) == 1 else f"n = {ns[0]} to {ns[-1]} seeds"
        told = f"Of {_count(len(tested))} tested, {_none(row.seeds for row in tested)} can be told apart over {seeds}"
        if self.over_patients:
            told += f", and {_none(row.patients for row in self.rows)} over the test {self.unit} of these runs"
        told += f" (p < {ALPHA:g} after Holm's correction)."
        if rest:
            told += f" Untested: {_count(rest)} with fewer than two seeds in common, or no spread between seeds."
        return told


def pairs_of(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> TechniquePairs:
    """Every pair at the smallest label fraction above 0, at the largest, and at 0 where two learn without labels.

    Two runs make a pair where seed and split are the same: then they were tested on the same images, and had the same
    ones to learn from. Holm's correction is for all rows, of either kind of test by itself.
    """
    own = (comparison.dataset, comparison.task)
    images = {run_key(run.record): run for run in runs if (run.record.dataset, run.record.task) == own}
    some = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    ends = {comparison.fractions[0], some[0], some[-1]}
    rows, untested = [], 0
    for column in label_columns(comparison):
        if column.fraction not in ends:
            continue
        for one, other in itertools.combinations(comparison.techniques, 2):
            both = _in_common(comparison, metric, one, other, fraction=column.fraction)
            if len(both) >= 2:
                rows.append(_pair(column, one, other, both, metric, images))
            else:
                untested += len(both)
    over_seeds = holm([row.seeds.test.p for row in rows])
    over_patients = holm([None if row.patients is None else row.patients.test.p for row in rows])
    corrected = [
        replace(row, seeds=replace(row.seeds, holm=s), patients=row.patients and replace(row.patients, holm=p))
        for row, s, p in zip(rows, over_seeds, over_patients, strict=True)
    ]
    corrected.sort(key=lambda row: (row.column.fraction, 2.0 if row.seeds.test.p is None else row.seeds.test.p))
    return TechniquePairs(tuple(corrected), untested)


def probability(p: float | None) -> str:
    """`0.031`, `< 0.001`, or a dash where nothing could be tested."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _in_common(
    comparison: Comparison, metric: Metric, one: Technique, other: Technique, *, fraction: float
) -> list[tuple[RunRecord, RunRecord]]:
    """The runs of two techniques that were tested on the same split with the same seed, by seed."""
    theirs = {(record.seed, record.split_hash): record for record in comparison.at(other, fraction)}
    both = [(own, theirs.get((own.seed, own.split_hash))) for own in comparison.at(one, fraction)]
    return [(a, b) for a, b in both if b and score_of(a, metric) is not None and score_of(b, metric) is not None]


def _pair(
    column: LabelColumn,
    one: Technique,
    other: Technique,
    both: Sequence[tuple[RunRecord, RunRecord]],
    metric: Metric,
    images: dict[RunKey, ReportRun],
) -> TechniquePair:
    differences = [(score_of(a, metric) or 0.0) - (score_of(b, metric) or 0.0) for a, b in both]
    leads = sum(differences) >= 0 if metric.higher_is_better else sum(differences) <= 0
    if not leads:
        one, other, both = other, one, [(b, a) for a, b in both]
        differences = [-difference for difference in differences]
    seeds = TestResult(paired_seeds(differences), metric.digits, bounded=metric.bounded)
    return TechniquePair(column, one, other, seeds, _over_patients(both, metric, images))


def _over_patients(
    both: Sequence[tuple[RunRecord, RunRecord]], metric: Metric, runs: dict[RunKey, ReportRun]
) -> TestResult | None:
    """Over the patients of all seeds together; None where any run of the pair left nothing on single images."""
    found = [(runs.get(run_key(a)), runs.get(run_key(b))) for a, b in both]
    pairs = [(a, b) for a, b in found if a is not None and b is not None]
    return over_shared_patients(pairs, metric) if len(pairs) == len(both) else None


def unit_of_all(tests: Iterable[TestResult | None]) -> str:
    """Over whom several tests are: `patients`, or `images` where nobody has said whose these are."""
    units = {test.unit for test in tests if test is not None}
    return units.pop() if len(units) == 1 else "patients"


def over_shared_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """The first of each pair less the second, over the patients of all pairs together.

    None where any of them left nothing on single images.
    """
    if pairs[0][0].record.task == "segmentation":
        return _scores_over_patients(pairs, metric)
    return _answers_over_patients(pairs, metric)


def _scores_over_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """Differences on every image of every seed, pooled."""
    differences: list[float] = []
    patients: list[str] = []
    for a, b in pairs:
        mine, yours = image_values(a.images, metric), image_values(b.images, metric)
        shared = [name for name in mine if name in yours]
        if not shared:
            return None
        whose = patients_of(a.images)
        differences += [mine[name] - yours[name] for name in shared]
        patients += [whose[name] for name in shared]
    test = paired_patients(differences, patients, rng=np.random.default_rng(0))
    return TestResult(test, metric.digits, unit=unit_of(patients))


def _answers_over_patients(pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric) -> TestResult | None:
    """The difference of the score itself, mean over seeds."""
    answers = [pair for a, b in pairs if (pair := paired_predictions(a.predictions, b.predictions)) is not None]
    if len(answers) < len(pairs) or metric.name not in COUNTED:
        return None
    test = paired_patient_scores(
        metric.name, answers, multilabel=pairs[0][0].record.task == "multilabel", rng=np.random.default_rng(0)
    )
    return TestResult(test, metric.digits, unit=unit_of([patient for pair in answers for patient in pair.patients]))


def _signed(value: float, digits: int) -> str:
    """A difference always has a sign, the minus as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _count(pairs: int) -> str:
    return f"{pairs} pair{'' if pairs == 1 else 's'}"


def _none(evidence: Iterable[TestResult | None]) -> str:
    """How many are told apart."""
    return f"{sum(one is not None and one.told_apart for one in evidence) or 'none'}"
