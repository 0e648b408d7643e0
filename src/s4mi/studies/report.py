"""Report of a study: the runs of its plan on one page, which lists those without a result too."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.formatting import plural
from s4mi.recipes.report import ReportResult, report
from s4mi.reporting.writers.html import ReportImage
from s4mi.studies.events import RunOutcome

REPORT_NAME = "report.html"


LISTED = 5
"""Names of skipped runs in a line."""


def write_study_report(
    out: Path,
    outcomes: Sequence[RunOutcome],
    *,
    title: str,
    notes: Sequence[str] = (),
    images: Sequence[ReportImage] = (),
    sheets: bool = True,
) -> ReportResult:
    """Write `report.html` on the runs of a study into its folder `out`.

    Args:
        notes: more lines for the head of the page.
        images: more images, which precede those of the runs.
        sheets: include test images with predictions, saliency maps, best and worst cases.
    """
    not_run = [one for one in outcomes if one.failed and not one.attempted]
    lines = [*skipped_lines(outcomes), *(f"{one.planned.name}: not run: {one.reason}" for one in not_run)]
    names = {one.planned.name for one in outcomes}
    return report(out, out / REPORT_NAME, title=title, sheets=sheets, notes=[*lines, *notes], more=images, only=names)


def skipped_lines(outcomes: Sequence[RunOutcome]) -> list[str]:
    """Return a line for each reason for which runs were skipped, with the first of them."""
    late = [one.planned.name for one in outcomes if one.skipped and not one.unsupported]
    unlabelled = [one.planned.name for one in outcomes if one.unsupported]
    reasons = {"budget too small": late, "a class would have no labelled image": unlabelled}
    return [
        f"{plural(len(names), 'run')} skipped, {reason}: {_listed(names)}" for reason, names in reasons.items() if names
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
