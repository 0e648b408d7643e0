"""A report on all runs below a folder: the page, or its tables for a note, a paper or a program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.report.formats import FORMATS, PAGE, check_ending, write_tables
from s4mi.report.html import ReportRun, Sheet, load_pretrainings, load_runs, write_report
from s4mi.report.tables import result_tables


@dataclass(frozen=True)
class Reported:
    """What a report was made from; `notes` name the runs that are not finished or cannot be read, one line each."""

    runs: int
    pretrainings: int
    notes: tuple[str, ...]


def report(folder: Path, out: Path, *, title: str | None = None, sheets: bool = True) -> Reported:
    """Write the report on every finished run at or below `folder` as `out`: `.html`, `.csv`, `.md` or `.tex`.

    Args:
        title: of the page; the folder's name when None.
        sheets: let the page show what segmentation runs make of some test images, where weights and data are there.

    Raises:
        S4miError: no such folder, no run in it, or `out` has another ending.
    """
    check_ending(out, (PAGE, *FORMATS))
    runs, notes = load_runs(folder)
    pretrainings = load_pretrainings(folder)
    if not runs and not pretrainings and not notes:
        raise S4miError(f"{folder}: holds no run; make one with: s4mi train RUN.yaml -o {folder / 'my-run'}")
    if out.suffix.lower() == PAGE:
        title = title or folder.resolve().name
        shown, missing = _mask_sheets(folder, runs) if sheets else ([], [])
        notes = [*notes, *missing]
        write_report(runs, out, title=title, pretrainings=pretrainings, notes=notes, sheets=shown)
    else:
        write_tables(result_tables([run.record for run in runs]), out)
    return Reported(len(runs), len(pretrainings), tuple(notes))


def _mask_sheets(folder: Path, runs: Sequence[ReportRun]) -> tuple[list[Sheet], list[str]]:
    if all(run.record.task != "segmentation" for run in runs):
        return [], []
    from s4mi.recipes.report_sheets import mask_sheets  # torch takes seconds to import, which all else can do without

    return mask_sheets(folder, runs)
