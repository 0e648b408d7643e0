"""Result tables in the shape of the paper's Table 1, from run records alone.

Techniques × backbones down, label fractions across, mean with its confidence interval over seeds, best mean
of a column in bold; where several techniques share several backbones, the best per backbone, as in the paper. A score
that was not measured on the test set is a dash, never a validation score.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from s4mi.maths.stats import Interval
from s4mi.records import RunRecord, TaskKind
from s4mi.reporting.results.comparison import Comparison, Technique, compare, technique_of
from s4mi.reporting.results.few import and_few, few_details, few_explained
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.patient_effects import (
    SEEDS_ALONE,
    Influences,
    crossed_score,
    exact,
    few_patients,
    influences_of,
    judged_over,
)
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import MISSING, TASK_NAMES, Metric, baseline_name, metric_of, spread
from s4mi.reporting.results.shared_seeds import leaders, other_seeds, seed_list
from s4mi.reporting.results.table_model import BEST, Cell, Column, Row, RowKind, Table, table_row

MEAN = "Mean with its 95 % confidence interval over n seeds."
OVER_PATIENTS = "Intervals include the choice of test patients where seeds share them."
SEEDS_ONLY = "Over seeds alone: on other test patients scores may differ by more."
BASELINE_OVER_SEEDS = "That of the {} is over seeds alone."
OF_MEANS = (
    "Runs of an earlier version noted no pixels of test images: the patients' part is that of the mean per image, too "
    "small where lesions differ much in size."
)
TECHNIQUE = Column("Technique", "backbone")
LABELS = Column("Labels")


@dataclass(frozen=True)
class MeanScore:
    """Mean score of one technique at one label fraction.

    Attributes:
        interval: over the seeds that have the score; None where none has.
        runs: finished runs, with or without the score.
        best: the best of its column, over the seeds that it shares with each other technique.
        seeds: the seeds, where they are not those of most other cells of the column; so that this mean is not compared.
    """

    interval: Interval | None
    runs: int
    digits: int = 3
    best: bool = False
    seeds: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        interval: Interval | None,
        runs: int,
        metric: Metric,
        *,
        best: bool = False,
        seeds: tuple[int, ...] = (),
        limits: tuple[float, float] | None = None,
    ) -> "MeanScore":
        """Rounded as `metric` is printed, and within its range, or within `limits`."""
        interval = None if interval is None else interval.within(*(limits or metric.limits))
        return cls(interval, runs, digits=metric.digits, best=best, seeds=seeds)

    @property
    def value(self) -> str:
        """`0.612 ± 0.034`; without ± with one seed, a dash without a score; `0.9 (0.7–1)` at the end of the range."""
        if self.interval is None:
            return MISSING
        return f"{self.interval.mean:.{self.digits}f}{spread(self.interval, digits=self.digits)}"

    @property
    def count(self) -> str:
        """`n = 2`, how many finished runs lack the score, and the seeds where they are not the usual ones."""
        n = self.interval.n if self.interval else 0
        text = f"n = {n}" if n == self.runs else f"n = {n}, {self.runs - n} without score"
        return f"{text}, {seed_list(self.seeds)} only" if self.seeds else text

    @property
    def text(self) -> str:
        """`0.612 ± 0.034 (n = 3)`, or `(n = 3, few seeds)`."""
        return f"{self.value} ({and_few(self.count, self.interval)})"

    @property
    def cell(self) -> Cell:
        """As a cell of a table, bold where it is the best."""
        value = "" if self.interval is None else self.value
        return Cell(value, details=(self.count, *few_details(self.interval)), emphasis=BEST if self.best else "")


@dataclass(frozen=True)
class TechniqueRow:
    """The mean scores of one technique, one per label fraction."""

    technique: Technique
    cells: tuple[MeanScore, ...]


@dataclass(frozen=True)
class ResultTable:
    """One metric of one data set and task, as numbers.

    Attributes:
        reference: score of the baseline without training, where known; `baseline_name` is its name.
        by_backbone: rows are sorted by backbone, and the best mean is marked within each.
        leaders: by column, the techniques that are behind no other of all backbones; see `shared_seeds`.
        over: what its intervals are over: seeds alone, or seeds and the test patients that they share.
        influences: of the test patients on the scores, as the tests of the same scores need them.
        of_means: the patients' part of a pooled score is that of the mean per image, as runs did not note pixels.
        suffix: how labels are counted, where other runs on the same data set and task count otherwise.
    """

    dataset: str
    task: TaskKind
    metric: Metric
    columns: tuple[LabelColumn, ...]
    rows: tuple[TechniqueRow, ...]
    leaders: tuple[frozenset[Technique], ...]
    reference: tuple[MeanScore, ...] | None = None
    by_backbone: bool = False
    over: str = SEEDS_ALONE
    of_means: bool = False
    influences: Influences = field(default_factory=dict, repr=False, compare=False)
    suffix: str = ""

    @property
    def subject(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}{self.suffix}"

    @property
    def over_patients(self) -> bool:
        return self.over != SEEDS_ALONE

    def interval(self, technique: Technique, fraction: float) -> Interval | None:
        """Mean score of one cell; None without one."""
        columns = [column.fraction for column in self.columns]
        cells = next((row.cells for row in self.rows if row.technique == technique), ())
        return next((cell.interval for at, cell in zip(columns, cells, strict=False) if at == fraction), None)


def result_tables(
    records: Sequence[RunRecord],
    runs: Sequence[ReportRun] = (),
    *,
    classification: str | None = None,
    segmentation: str | None = None,
) -> tuple[ResultTable, ...]:
    """One table per data set and task, whatever the order of the records.

    Args:
        runs: of the records; with their test patients, intervals are over seeds and the patients that these share.
        classification: metric of the classification tables; macro F1 when None.
        segmentation: metric of the segmentation tables; IoU when None.

    Raises:
        S4miError: unknown metric.
    """
    names = {"multiclass": classification, "multilabel": classification, "segmentation": segmentation}
    return tuple(
        result_table(comparison, metric_of(comparison.task, names[comparison.task]), runs)
        for comparison in compare(records)
    )


def result_table(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun] = ()) -> ResultTable:
    """The results of one comparison by one metric, the best of each column marked.

    Args:
        runs: of the comparison; with their test patients, intervals are over seeds and the patients that these share.
    """
    influences = influences_of(comparison, runs, metric)
    few = few_patients(_of_several(comparison, runs), metric)
    by_backbone = _shared_backbones(comparison) > 1
    techniques = sorted(comparison.techniques, key=lambda one: (by_backbone and one.backbone, one))
    rivals: dict[str, list[Technique]] = {}
    for technique in techniques:
        rivals.setdefault(technique.backbone if by_backbone else "", []).append(technique)
    cells: dict[Technique, list[MeanScore]] = {technique: [] for technique in techniques}
    for fraction in comparison.fractions:
        best = {one for each in rivals.values() for one in leaders(comparison, each, fraction=fraction, metric=metric)}
        seeds = other_seeds(comparison, techniques, fraction=fraction, metric=metric)
        for technique in techniques:
            records = comparison.at(technique, fraction)
            interval = crossed_score(records, metric, influences, few)
            score = MeanScore.of(interval, len(records), metric, best=technique in best, seeds=seeds.get(technique, ()))
            cells[technique].append(score)
    return ResultTable(
        dataset=comparison.dataset,
        task=comparison.task,
        metric=metric,
        columns=label_columns(comparison),
        rows=tuple(TechniqueRow(technique, tuple(scores)) for technique, scores in cells.items()),
        reference=_reference(comparison, metric),
        by_backbone=by_backbone,
        leaders=tuple(leaders(comparison, techniques, fraction=one, metric=metric) for one in comparison.fractions),
        over=judged_over(comparison.records, metric, influences),
        of_means=not all(exact(run, metric) for run in runs if run_key(run.record) in influences),
        influences=influences,
        suffix=comparison.suffix,
    )


def _of_several(comparison: Comparison, runs: Sequence[ReportRun]) -> list[ReportRun]:
    """The runs of a comparison that share their cell with another seed; one alone has no interval."""
    counts = Counter((technique_of(one), one.label_fraction) for one in comparison.records)
    several = {run_key(one) for one in comparison.records if counts[technique_of(one), one.label_fraction] > 1}
    return [run for run in runs if run_key(run.record) in several]


def score_table(results: ResultTable) -> Table:
    """Techniques down, label fractions across, the baseline without training last."""
    rows: list[Row] = []
    for number, row in enumerate(results.rows):
        new = number > 0 and row.technique.backbone != results.rows[number - 1].technique.backbone
        kind: RowKind = "block" if results.by_backbone and new else ""
        rows.append(table_row(technique_cell(row.technique), *(score.cell for score in row.cells), kind=kind))
    if results.reference:
        baseline = Cell(baseline_name(results.task), details=("no training",))
        rows.append(table_row(baseline, *(score.cell for score in results.reference), kind="reference"))
    caption = MEAN if results.metric.higher_is_better else f"{MEAN} Lower is better."
    if results.over_patients:
        caption += f" {OVER_PATIENTS}"
        if results.reference:
            caption += f" {BASELINE_OVER_SEEDS.format(baseline_name(results.task))}"
        if results.of_means:
            caption += f" {OF_MEANS}"
    if any(score.best for row in results.rows for score in row.cells):
        per = "column and backbone" if results.by_backbone else "column"
        caption += (
            f" Bold: best per {per} over the seeds shared with each other technique, not necessarily significantly."
        )
    table = Table(
        title=f"Test {results.metric.label} by label fraction",
        subject=results.subject,
        columns=(TECHNIQUE, *(column.heading for column in results.columns)),
        rows=tuple(rows),
        caption=caption,
    )
    return few_explained(table)


def label_columns(comparison: Comparison) -> tuple[LabelColumn, ...]:
    """The label fractions of a comparison, smallest first."""
    return tuple(
        LabelColumn(fraction, *comparison.labelled(fraction), asked=comparison.asked(fraction))
        for fraction in comparison.fractions
    )


def runs_by_cell(comparison: Comparison) -> Iterator[tuple[Technique, LabelColumn, tuple[RunRecord, ...]]]:
    """Each technique at each label fraction, with its runs where there are any."""
    for technique in comparison.techniques:
        for column in label_columns(comparison):
            if records := comparison.at(technique, column.fraction):
                yield technique, column, records


def technique_cell(technique: Technique) -> Cell:
    """The method, and its backbone below it."""
    return Cell(technique.name, details=(technique.backbone,))


def _shared_backbones(comparison: Comparison) -> int:
    """Number of backbones on which several techniques were tested."""
    counts = Counter(technique.backbone for technique in comparison.techniques)
    return sum(count > 1 for count in counts.values())


def _reference(comparison: Comparison, metric: Metric) -> tuple[MeanScore, ...] | None:
    intervals = [comparison.baseline(fraction, metric) for fraction in comparison.fractions]
    if not any(intervals):
        return None
    return tuple(MeanScore.of(i, i.n if i else 0, metric) for i in intervals)
