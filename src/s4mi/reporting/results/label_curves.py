"""Learning curves of the techniques of one comparison, redrawn over seeds and test patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.crossed_draws import crossed_draws, patient_covariance
from s4mi.maths.label_forecast import LabelForecast, forecast
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.patient_effects import Influences
from s4mi.reporting.results.runs import run_key
from s4mi.reporting.results.scores import Metric, score_of

Floats = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Cell:
    """The tested runs of one technique at one label fraction: scores and patients' influences by seed."""

    fraction: float
    labels: float
    scores: dict[int, float]
    influences: dict[int, dict[str, float]]

    @property
    def mean(self) -> float:
        return math.fsum(self.scores.values()) / len(self.scores)


@dataclass(frozen=True, eq=False)
class LabelCurveOf:
    """The learning curve of one technique, better scores higher.

    Attributes:
        cells: of fractions above 0, ascending. forecast: None with a single number of labels.
        target: (B,) redrawn means of the reference, jointly with the curve; None without one or without intervals.
        from_patients: share of the variance of the largest cell's mean that comes from test patients.
    """

    technique: Technique
    cells: tuple[Cell, ...]
    forecast: LabelForecast | None
    target: Floats | None
    from_patients: float


def sign_of(metric: Metric) -> int:
    """1, or -1 where lower is better."""
    return 1 if metric.higher_is_better else -1


def whole_labels(labels: float) -> int:
    """A number of labels rounded up, but not for an error of rounding."""
    return math.ceil(labels - 1e-6)


def ceiling_of(metric: Metric) -> float:
    """The best value of a metric, times its sign: 1 for scores, 0 for errors and distances."""
    return 1.0 if metric.higher_is_better else 0.0


def cell_of(records: Sequence[RunRecord], metric: Metric, influences: Influences) -> Cell | None:
    """The cell of these records, with signs such that higher is better; None without a score."""
    sign = sign_of(metric)
    scored = [(record, sign * score) for record in records if (score := score_of(record, metric)) is not None]
    if not scored:
        return None
    mine = {
        record.seed: {patient: sign * value for patient, value in influences.get(run_key(record), {}).items()}
        for record, _ in scored
    }
    labels = sum(record.labels.n for record, _ in scored) / len(scored)
    return Cell(scored[0][0].label_fraction, labels, {record.seed: score for record, score in scored}, mine)


def label_curve_of(
    comparison: Comparison,
    technique: Technique,
    metric: Metric,
    influences: Influences,
    *,
    reference: Cell | None = None,
) -> LabelCurveOf:
    """Fit and redraw the curve of a technique, together with the `reference` that it is to reach."""
    cells = []
    for fraction in comparison.fractions:
        cell = cell_of(comparison.at(technique, fraction), metric, influences)
        if cell is not None and cell.labels > 0:
            cells.append(cell)
    cells.sort(key=lambda cell: cell.labels)
    if len(cells) < 2:
        return LabelCurveOf(technique, tuple(cells), None, None, 0.0)
    all_cells = cells if reference is None else [*cells, reference]
    seeds = min(len(cell.scores) for cell in all_cells)
    drawn, from_patients = np.empty((0, len(all_cells))), 0.0
    if seeds > 1:
        scores, mine = [cell.scores for cell in all_cells], [cell.influences for cell in all_cells]
        drawn = crossed_draws(scores, mine, rng=np.random.default_rng(0), draws=DRAWS)
        from_patients = _share_of_patients(cells[-1])
    if metric.bounded:
        drawn = np.clip(drawn, ceiling_of(metric) - 1, ceiling_of(metric))
    means = np.array([cell.mean for cell in cells])
    curve = forecast(
        [cell.labels for cell in cells],
        means,
        drawn[:, : len(cells)],
        weights=np.array([float(len(cell.scores)) for cell in cells]),
        seeds=seeds,
        ceiling=ceiling_of(metric),
        floor=floor_of(comparison, technique, metric),
    )
    target = drawn[:, -1] if reference is not None and seeds > 1 else None
    return LabelCurveOf(technique, tuple(cells), curve, target, from_patients)


def floor_of(comparison: Comparison, technique: Technique, metric: Metric) -> float:
    """Score of the technique without labels, or of the majority class, times the sign; the worst value if unknown."""
    sign = sign_of(metric)
    without = cell_of(comparison.at(technique, 0.0), metric, {})
    if without is not None:
        return without.mean
    smallest = next((fraction for fraction in comparison.fractions if fraction > 0), None)
    majority = None if smallest is None else comparison.majority(smallest, metric)
    if majority is not None:
        return sign * majority.mean
    return ceiling_of(metric) - 1 if metric.bounded else -math.inf


def _share_of_patients(cell: Cell) -> float:
    if not all(cell.influences.get(seed) for seed in cell.scores):
        return 0.0
    patients = max(0.0, float(patient_covariance([cell.influences])[0, 0]))
    seeds = float(np.var(list(cell.scores.values()), ddof=1)) / len(cell.scores)
    return patients / (patients + seeds) if patients else 0.0
