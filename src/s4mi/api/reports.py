"""The report on finished runs, shown inline by notebooks."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path
from s4mi.api.quiet import quiet
from s4mi.api.show import embedded_page, escape
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from s4mi.reporting.results.version_gains import VersionGains

HEIGHT = 720
"""Of the page in a notebook, in pixels."""


@dataclass(frozen=True, repr=False)
class Report:
    """A report that was written.

    Attributes:
        path: the page, or the first of its tables.
        files: all files.
        runs: finished runs of classification and segmentation that it counts.
        pretrainings: finished pre-training runs that it counts.
        notes: what is unfinished or cannot be read, a line each.
        gains: what newly merged annotations changed, per data set and task.
    """

    path: Path
    files: tuple[Path, ...]
    runs: int
    pretrainings: int
    notes: tuple[str, ...] = ()
    gains: "tuple[VersionGains, ...]" = ()

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r}): {plural(self.runs + self.pretrainings, 'finished run')}"

    def _repr_html_(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        if self.path.suffix.lower() == ".html":
            return embedded_page(text, title=f"Report {self.path}", height=HEIGHT)
        return f'<pre style="overflow-x:auto">{escape(text)}</pre>'


@system_errors()
def report(
    folder: StrPath,
    out: StrPath | None = None,
    *,
    title: str | None = None,
    sheets: bool = True,
    target: float | None = None,
    names: bool = True,
) -> Report:
    """Write a report on every finished run at or below a folder, which notebooks show inline.

    Args:
        folder: folder that holds runs, at any depth.
        out: a page (.html), or its tables as .md, .tex or .csv (and NAME-runs.csv); None for `report.html` in `folder`.
        title: title of the page; None for the folder's name.
        sheets: show some test images on the page: masks, saliency maps, best and worst cases.
        target: a score of the primary metric, such as 0.85; notes tell how many labels each technique needs for it.
        names: name patients and images; else they are numbered, and no image is shown.

    Raises:
        S4miError: no such folder, it holds no run, or `out` has another ending.
    """
    folder = as_path(folder)
    path = folder / "report.html" if out is None else as_path(out)
    return make_report(folder, path, title=title, sheets=sheets, target=target, names=names)


@system_errors()
def make_report(
    folder: Path,
    out: Path,
    *,
    title: str | None,
    sheets: bool,
    only: frozenset[str] | None = None,
    target: float | None = None,
    names: bool = True,
) -> Report:
    """`report`, on the runs below `folder` that are named in `only`, or on all."""
    with quiet():
        from s4mi.recipes.report import report as recipe

        made = recipe(folder, out, title=title, sheets=sheets, only=only, target=target, names=names)
    return Report(made.files[0], made.files, made.runs, made.pretrainings, made.notes, made.gains)
