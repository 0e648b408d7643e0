"""The sentence of a card on the labels that a score needs, and the curve beside it."""

from collections.abc import Sequence

from s4mi.reporting.results.findings import Findings
from s4mi.reporting.results.runs import ReportRun


def labels_sentence(findings: Findings, runs: Sequence[ReportRun]) -> str:  # noqa: ARG001 - patients are in `runs`
    """How many labels a score needs, or why that cannot be told and what to add, in one sentence."""
    return f"Labels needed: {findings.need.sentence}."
