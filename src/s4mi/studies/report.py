"""Report of a study: the runs of its plan on one page, which says how many are done and what is left."""

from collections.abc import Collection, Sequence
from pathlib import Path

from s4mi.formatting import plural
from s4mi.recipes.report import ReportResult, Sheets, report
from s4mi.reporting.writers.html import ReportImage
from s4mi.studies.events import RunOutcome
from s4mi.studies.progress_line import progress_line

REPORT_NAME = "report.html"
LISTED = 3
"""Runs that were not run with a line of their own; the others are counted."""


def write_study_report(
    out: Path,
    outcomes: Sequence[RunOutcome],
    *,
    title: str,
    notes: Sequence[str] = (),
    images: Sequence[ReportImage] = (),
    sheets: Sheets = True,
    progress: str | None = None,
    planned: Collection[str] | None = None,
) -> ReportResult:
    """Write `report.html` on the runs of a study into its folder `out`.

    Args:
        notes: more lines for the notes of the page.
        images: more images, which precede those of the runs.
        sheets: include test images with predictions, saliency maps, best and worst cases.
        progress: how many runs are done and what is left; by default that of `outcomes`.
        planned: names of all runs of the study; by default those of `outcomes`.
    """
    names = {one.planned.name for one in outcomes} if planned is None else planned
    if progress is None:
        progress = progress_line([one.planned for one in outcomes], {one.planned.name: one for one in outcomes})
    not_run = [one for one in outcomes if one.failed and not one.attempted]
    lines = [f"{one.planned.name}: not run: {one.reason}" for one in not_run[:LISTED]]
    if len(not_run) > LISTED:
        lines.append(f"{plural(len(not_run) - LISTED, 'more run')} not run, for these or other reasons")
    return report(
        out, out / REPORT_NAME, title=title, sheets=sheets, notes=[*lines, *notes], more=images, only=names,
        progress=progress,
    )  # fmt: skip
