"""The sentence of a card on the labels that a score needs."""

from collections.abc import Sequence

from s4mi.reporting.results.findings import Findings
from s4mi.reporting.results.labels_needed import label_answers
from s4mi.reporting.results.runs import ReportRun


def labels_sentence(findings: Findings, runs: Sequence[ReportRun]) -> str:
    """How many labels a score needs, or why that cannot be told and what to add, in one sentence."""
    return label_answers(findings.comparison, findings.table.metric, runs).sentence
