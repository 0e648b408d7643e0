"""A report on all runs below a folder: the page, or its tables for a note, a paper or a program."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.report.results.runs import shorten_paths
from s4mi.report.results.unfinished_runs import load_unfinished
from s4mi.report.results.version_gains import VersionGains, data_set_of, gains_by_task, older_versions
from s4mi.report.writers.contents import report_contents
from s4mi.report.writers.csv import write_csv
from s4mi.report.writers.html import ReportImage, ReportRun, load_pretrainings, load_runs, write_report
from s4mi.report.writers.markdown_latex import CSV, FORMATS, PAGE, check_ending, write_text
from s4mi.training.versions import version_note


@dataclass(frozen=True)
class ReportResult:
    """What a report was made from, and its files; `notes` name what is not finished or cannot be read, a line each.

    `gains` are what new annotations brought, of each data set and task where an older version was run too.
    """

    runs: int
    pretrainings: int
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    gains: tuple[VersionGains, ...] = ()


def report(
    folder: Path,
    out: Path,
    *,
    title: str | None = None,
    sheets: bool = True,
    more: Sequence[ReportImage] = (),
    notes: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> ReportResult:
    """Write the report on every finished run at or below `folder` as `out`: `.html`, `.csv`, `.md` or `.tex`.

    Args:
        title: of the page; the folder's name when None.
        more: sheets made elsewhere.
        only: the folders, below `folder`, of the runs that count; a line says how many others lie there. Those of older
            versions of the same data set count for what new annotations brought. None: all.
        notes: lines for its head, beside what the runs themselves give reason to say.
        sheets: let the page show test images: predicted masks, saliency maps, best and worst cases.

    Raises:
        S4miError: no such folder, no run in it, or `out` has another ending.
    """
    check_ending(out, (PAGE, *FORMATS))
    runs, problems = load_runs(folder)
    pretrainings, uncounted = load_pretrainings(folder), load_unfinished(folder)
    older: list[ReportRun] = []
    if only is not None:
        there = len(runs) + len(pretrainings) + len(uncounted)
        older = older_versions(runs, only)
        runs = [run for run in runs if run.directory in only]
        pretrainings = [run for run in pretrainings if run.directory in only]
        uncounted = [run for run in uncounted if run.directory in only]
        others = there - len(runs) - len(older) - len(pretrainings) - len(uncounted)
        notes = [*notes, *_not_named(others, older)]
    if only is None and not runs and not pretrainings and not uncounted:
        raise S4miError(f"{folder}: holds no run; make one with: s4mi train RUN.yaml -o {folder / 'my-run'}")
    apart = version_note([run.record for run in runs] + [run.record for run in pretrainings])
    notes = [*problems, *map(shorten_paths, notes), *([apart] if apart else [])]
    title = title or folder.resolve().name
    files: tuple[Path, ...] = (out,)
    gains = gains_by_task(runs, older)
    if out.suffix.lower() == PAGE:
        shown, missing = sheets_of(folder, runs) if sheets else ([], [])
        notes, shown = [*notes, *missing], [*more, *shown]
        write_report(
            runs,
            out,
            title=title,
            pretrainings=pretrainings,
            notes=notes,
            sheets=shown,
            unfinished=uncounted,
            gains=gains,
        )
    elif out.suffix.lower() == CSV:
        files = write_csv(runs, out)
    else:
        contents = report_contents(
            runs, title=title, pretrainings=pretrainings, notes=notes, unfinished=uncounted, gains=gains
        )
        write_text(contents, out)
    lines = (*notes, *(run.line for run in uncounted))
    return ReportResult(len(runs), len(pretrainings), lines, files, tuple(gains.values()))


def _not_named(others: int, older: Sequence[ReportRun]) -> Iterator[str]:
    """A line on the runs that a study does not name, by whether they are of older versions of its data sets."""
    counts = Counter(data_set_of(run.record) for run in older)
    for (name, version), count in sorted(counts.items()):
        yield (
            f"{count} run{'s' if count > 1 else ''} of version {version} of {name} {'lie' if count > 1 else 'lies'} "
            f"here too; {'they count' if count > 1 else 'it counts'} for what the new annotations brought, and for "
            "nothing else"
        )
    if others:
        yield f"{others} run{'s lie' if others > 1 else ' lies'} here that the study does not name any more"


def sheets_of(folder: Path, runs: Sequence[ReportRun]) -> tuple[list[ReportImage], list[str]]:
    """Every sheet of these runs, and a line on what cannot be shown; none without a run."""
    if not runs:
        return [], []
    # Here, as torch takes seconds to import, which all else can do without.
    from s4mi.visualisation.render import study_sheets

    return study_sheets(folder, runs)
