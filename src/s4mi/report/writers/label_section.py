"""What a page says on how many labels a comparison needs: sentences, the curve, and techniques in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from s4mi.maths.stats import mean_interval
from s4mi.report.figures.label_efficiency import efficiency_figure
from s4mi.report.figures.svg import CaptionedFigure
from s4mi.report.results.comparison import Comparison
from s4mi.report.results.label_efficiency import FullSupervision, TechniqueCurve, full_supervision, technique_curves
from s4mi.report.results.paired_tests import TechniquePairs, pairs_of
from s4mi.report.results.runs import ReportRun
from s4mi.report.results.scores import Metric
from s4mi.report.results.tables import Cell

_LONG = 12
"""Rows beyond which the table of pairs is folded."""


@dataclass(frozen=True)
class LabelsSection:
    """How many labels the techniques of one comparison need.

    Attributes:
        reference: full supervision; None where no supervised technique was tested with all labels.
        curves: by technique; never empty.
    """

    metric: Metric
    reference: FullSupervision | None
    curves: tuple[TechniqueCurve, ...]
    pairs: TechniquePairs
    figure: CaptionedFigure

    @property
    def target(self) -> str:
        """What full supervision is here, in one sentence."""
        if self.reference is None:
            return "No supervised technique was tested with 100 % of the labels, so there is nothing to reach."
        known = mean_interval(list(self.reference.scores.values()))
        score = Cell.of(known, known.n, self.metric).text
        name, labels = self.reference.technique.label, f"{self.reference.labels:.0f}"
        return f"Full supervision is {name} with all {labels} labels, {self.metric.label} {score}."

    @property
    def sentences(self) -> list[str]:
        """What may be said of each other technique against it."""
        return [curve.answer.sentence for curve in self.curves if curve.answer is not None]

    @property
    def folded(self) -> bool:
        return len(self.pairs.rows) > _LONG


def labels_section(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> LabelsSection | None:
    """The section of a comparison; None where fewer than two label fractions or techniques were tested."""
    reference = full_supervision(comparison, metric)
    curves = technique_curves(comparison, metric, reference)
    tested = [
        fraction
        for fraction in comparison.fractions
        if any(comparison.interval(technique, fraction, metric) for technique in comparison.techniques)
    ]
    if len(tested) < 2 or len(curves) < 2:
        return None
    svg, caption = efficiency_figure(comparison, metric, curves, reference)
    return LabelsSection(
        metric=metric,
        reference=reference,
        curves=curves,
        pairs=pairs_of(comparison, metric, runs),
        figure=CaptionedFigure(Markup(svg), caption),
    )
