"""Curves and verdict of the finished runs of a study, as the report computes them."""

from collections.abc import Sequence
from typing import Any

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, compare
from s4mi.reporting.results.scores import Metric, metric_of


def task_results(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the curves and the verdict of each data set and task."""
    return [_result(comparison) for comparison in compare(records)]


def _result(comparison: Comparison) -> dict[str, Any]:
    from s4mi.reporting.results.findings import findings_of
    from s4mi.reporting.results.tables import result_table
    from s4mi.reporting.results.verdict import finding_sentences

    metric = metric_of(comparison.task)
    findings = findings_of(comparison, result_table(comparison, metric))
    return {
        "task": comparison.task, "dataset": comparison.dataset, "metric": metric.label,
        "verdict": finding_sentences(findings), "curves": curves_of(comparison, metric),
    }  # fmt: skip


def curves_of(comparison: Comparison, metric: Metric) -> list[dict[str, Any]]:
    """Return mean test score and its 95 % interval by mean number of labels, for each technique."""
    curves: list[dict[str, Any]] = []
    for technique in comparison.techniques:
        points: list[dict[str, Any]] = []
        for fraction in comparison.fractions:
            records = comparison.at(technique, fraction)
            interval = comparison.interval(technique, fraction, metric)
            if interval is not None:
                labels = sum(record.labels.n for record in records) / len(records)
                points.append({
                    "labels": round(labels, 2), "mean": interval.mean, "low": interval.low, "high": interval.high,
                    "runs": interval.n,
                })  # fmt: skip
        if points:
            curves.append({"technique": technique.label, "points": sorted(points, key=lambda one: one["labels"])})
    return curves
