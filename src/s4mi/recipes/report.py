"""Write a report on all runs below a folder: the page, or its tables for a note, a paper or a program."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.reporting.results.anonymous import without_names
from s4mi.reporting.results.dataset_versions import dataset_and_version, older_versions
from s4mi.reporting.results.label_target import target_lines
from s4mi.reporting.results.runs import shorten_paths
from s4mi.reporting.results.unfinished_runs import load_unfinished
from s4mi.reporting.results.version_gains import VersionGains, gains_by_task
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.csv import write_csv
from s4mi.reporting.writers.html import ReportImage, ReportRun, load_pretrainings, load_runs, write_report
from s4mi.reporting.writers.markdown_latex import CSV, FORMATS, PAGE, check_ending, write_text
from s4mi.training.versions import version_note
from s4mi.visualisation.render import study_sheets

Sheets = bool | Literal["drawn"]
"""Whether a page shows test images; `drawn`: only those that an earlier report has drawn."""


@dataclass(frozen=True)
class ReportResult:
    """What a report covers, and its files.

    Attributes:
        runs, pretrainings: number of finished runs.
        notes: unfinished or unreadable runs and other warnings, one line each.
        gains: effect of new annotations, for each data set and task that has runs on an older version too.
        tested: the finished runs, with what was measured per test image.
    """

    runs: int
    pretrainings: int
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    gains: tuple[VersionGains, ...] = ()
    tested: tuple[ReportRun, ...] = ()


def report(
    folder: Path,
    out: Path,
    *,
    title: str | None = None,
    sheets: Sheets = True,
    more: Sequence[ReportImage] = (),
    notes: Sequence[str] = (),
    only: Collection[str] | None = None,
    progress: str = "",
    target: float | None = None,
    names: bool = True,
) -> ReportResult:
    """Write the report on all finished runs at or below `folder` to `out`: `.html`, `.csv`, `.md` or `.tex`.

    Args:
        title: title of the page; None for the name of the folder.
        sheets: show test images on the page: predicted masks, saliency maps, best and worst cases.
        names: name patients and images; else they are numbered, and no image is shown.
        more: further images for the page.
        notes: further notes for the head of the report.
        target: a score whose labels needed are to be told in notes.
        only: folders, below `folder`, of the runs to include; a note counts the others. Runs on older versions of the
            same data set still count for the effect of new annotations. None: all runs.
        progress: how many runs of a study are done and what is left, in one line for the head.

    Raises:
        S4miError: the folder does not exist or contains no run, `out` has an unknown extension, or `target` is no
            score.
    """
    check_ending(out, (PAGE, *FORMATS))
    runs, problems = load_runs(folder)
    if not names:
        runs, sheets = without_names(runs), False
    pretrainings, unfinished = load_pretrainings(folder), load_unfinished(folder)
    older: list[ReportRun] = []
    if only is not None:
        total = len(runs) + len(pretrainings) + len(unfinished)
        older = older_versions(runs, only)
        runs = [run for run in runs if run.directory in only]
        pretrainings = [run for run in pretrainings if run.directory in only]
        unfinished = [run for run in unfinished if run.directory in only]
        others = total - len(runs) - len(older) - len(pretrainings) - len(unfinished)
        notes = [*notes, *_excluded(others, older)]
    if only is None and not runs and not pretrainings and not unfinished:
        raise S4miError(f"{folder}: contains no run; create one with: s4mi train RUN.yaml -o {folder / 'my-run'}")
    if target is not None:
        notes = [*notes, *target_lines(runs, target)]
    versions = version_note([run.record for run in runs] + [run.record for run in pretrainings])
    notes = [*problems, *map(shorten_paths, notes), *([versions] if versions else [])]
    title = title or folder.resolve().name
    files: tuple[Path, ...] = (out,)
    gains = gains_by_task(runs, older)
    if out.suffix.lower() == PAGE:
        shown, missing = sheets_of(folder, runs, draw=sheets is True) if sheets else ([], [])
        notes, shown = [*notes, *missing], [*more, *shown]
        write_report(
            runs,
            out,
            title=title,
            pretrainings=pretrainings,
            notes=notes,
            sheets=shown,
            unfinished=unfinished,
            progress=progress,
            gains=gains,
        )
    elif out.suffix.lower() == CSV:
        files = write_csv(runs, out)
    else:
        contents = report_contents(
            runs, title=title, pretrainings=pretrainings, notes=notes, unfinished=unfinished, progress=progress,
            gains=gains,
        )  # fmt: skip
        write_text(contents, out)
    lines = (*notes, *(run.line for run in unfinished))
    return ReportResult(len(runs), len(pretrainings), lines, files, tuple(gains.values()), tuple(runs))


def _excluded(others: int, older: Sequence[ReportRun]) -> Iterator[str]:
    """Yield notes on runs that the study does not list: those on older versions of its data sets, and all others."""
    counts = Counter(dataset_and_version(run.record) for run in older)
    for (name, version), count in sorted(counts.items()):
        yield f"included only for the effect of new annotations: {plural(count, 'run')} on version {version} of {name}"
    if others:
        yield f"not included: {plural(others, 'run')} in this folder that the study no longer lists"


def sheets_of(folder: Path, runs: Sequence[ReportRun], *, draw: bool = True) -> tuple[list[ReportImage], list[str]]:
    """Return the contact sheets of these runs, and a note on each that cannot be shown.

    Args:
        draw: draw those that are not there yet; otherwise they are missing without a note.
    """
    if not runs:
        return [], []
    return study_sheets(folder, runs, draw=draw)
