"""How many labels each technique needs to match full supervision: sentences and a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.formatting import plural
from s4mi.maths.label_efficiency import NOT_REACHED, LabelEfficiency
from s4mi.maths.stats import mean_interval
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.label_counting import counting
from s4mi.reporting.results.label_efficiency import FullSupervision, TechniqueCurve
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import TECHNIQUE, MeanScore, technique_cell


@dataclass(frozen=True)
class LabelsSection:
    """How many labels the techniques of one comparison need.

    Attributes:
        reference: full supervision; None where no supervised technique was tested with all labels.
        curves: by technique; never empty.
    """

    comparison: Comparison
    metric: Metric
    reference: FullSupervision | None
    curves: tuple[TechniqueCurve, ...]

    @property
    def target(self) -> str:
        """Full supervision in this comparison, in one sentence."""
        if self.reference is None:
            return "No supervised technique was tested with 100 % of the labels, so there is no target to reach."
        scores = mean_interval(list(self.reference.scores.values()), limits=self.metric.limits)
        name, labels = self.reference.technique.label, f"{self.reference.labels:.0f}"
        score = MeanScore.of(scores, scores.n, self.metric).text
        return f"Full supervision is {name} with all {labels} labels, {self.metric.label} {score}."

    @property
    def sentences(self) -> list[str]:
        """A sentence on each other technique against full supervision."""
        return [curve.efficiency.sentence for curve in self.curves if curve.efficiency is not None]

    @property
    def table(self) -> Table | None:
        """A row per technique other than full supervision; None without full supervision."""
        rows = [
            table_row(technique_cell(curve.technique), *_cells(curve.efficiency))
            for curve in self.curves
            if curve.efficiency is not None
        ]
        if not rows or self.reference is None:
            return None
        needed = Column("Labels needed", f"of {self.reference.labels:.0f}")
        columns = (TECHNIQUE, needed, Column("95 % interval"), Column("Labels saved"), Column("Seeds", kind="number"))
        caption = "Labels at which the fitted curve reaches full supervision. ≤: the fewest labels tested already do."
        caption = f"{caption} {counting(self.comparison.records)}"
        return Table("Labels needed", self.comparison.title, columns, tuple(rows), caption)


def labels_section(
    comparison: Comparison, metric: Metric, reference: FullSupervision | None, curves: Sequence[TechniqueCurve]
) -> LabelsSection | None:
    """The section on a comparison; None where fewer than two label fractions or techniques were tested."""
    tested = [
        fraction
        for fraction in comparison.fractions
        if any(comparison.interval(technique, fraction, metric) for technique in comparison.techniques)
    ]
    if len(tested) < 2 or len(curves) < 2:
        return None
    return LabelsSection(comparison, metric, reference, tuple(curves))


def _cells(one: LabelEfficiency) -> list[Cell]:
    """Labels needed, interval, labels saved and seeds."""
    seeds = Cell(f"{one.n}")
    if one.low is None or one.high is None:
        return [Cell("not estimable", details=(f"{plural(one.n, 'seed')}; needs ≥ 2",)), Cell(), Cell(), seeds]
    low, high = _labels(one.low, one), _labels(one.high, one)
    reached = one.saved is not None and math.isfinite(one.high)
    saved = f"{math.floor(100 * (one.saved or 0.0) + 1e-6)} %" if reached else ""
    needed = Cell(_labels(one.needed, one), details=() if math.isfinite(one.needed) else (_within(one),))
    return [needed, Cell(low if low == high else f"{low} to {high}"), Cell(saved), seeds]


def _labels(labels: float, one: LabelEfficiency) -> str:
    if math.isinf(labels):
        return NOT_REACHED
    whole = math.ceil(labels - 1e-6)
    return f"≤ {whole}" if 0 < labels <= one.fewest else f"{whole}"


def _within(one: LabelEfficiency) -> str:
    return "without labels" if one.most == 0 else f"with up to {math.ceil(one.most - 1e-6)}"
