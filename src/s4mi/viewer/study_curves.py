"""Curves and verdict of the finished runs of a study, as the report computes them."""

from collections.abc import Sequence
from typing import Any

from s4mi.reporting.results.comparison import Comparison, compare
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import ResultTable


def task_results(runs: Sequence[ReportRun]) -> list[dict[str, Any]]:
    """Return the curves and the verdict of each data set and task."""
    return [_result(comparison, runs) for comparison in compare([run.record for run in runs])]


def _result(comparison: Comparison, runs: Sequence[ReportRun]) -> dict[str, Any]:
    from s4mi.reporting.results.findings import findings_of
    from s4mi.reporting.results.tables import result_table
    from s4mi.reporting.results.verdict import finding_sentences

    metric = metric_of(comparison.task)
    table = result_table(comparison, metric, runs)
    findings = findings_of(comparison, table, runs)
    return {
        "task": comparison.task, "dataset": comparison.dataset, "metric": metric.label,
        "verdict": finding_sentences(findings), "curves": curves_of(comparison, table),
    }  # fmt: skip


def curves_of(comparison: Comparison, table: ResultTable) -> list[dict[str, Any]]:
    """Return mean test score and its 95 % interval by mean number of labels, for each technique."""
    curves: list[dict[str, Any]] = []
    for technique in comparison.techniques:
        points: list[dict[str, Any]] = []
        for fraction in comparison.fractions:
            records = comparison.at(technique, fraction)
            interval = table.interval(technique, fraction)
            if interval is not None:
                labels = sum(record.labels.n for record in records) / len(records)
                points.append({
                    "labels": round(labels, 2), "mean": interval.mean, "low": interval.low, "high": interval.high,
                    "runs": interval.n,
                })  # fmt: skip
        if points:
            curves.append({"technique": technique.label, "points": sorted(points, key=lambda one: one["labels"])})
    return curves
