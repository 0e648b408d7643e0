"""Check a folder of images or a data set: everything that is wrong with it, with file and line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import facts, heading, note, table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.data.checks.check import CheckReport

SHOWN = 50
"""Findings that a notebook shows; all are in the table."""


@dataclass(frozen=True, repr=False)
class CheckOutput:
    """What a check found.

    Attributes:
        reports: one per data set, with its counts (`summary`) and, of a plain folder, the `command` that imports it.
    """

    reports: "tuple[CheckReport, ...]"

    @property
    def errors(self) -> int:
        """Findings that make a data set unusable or untrue."""
        return sum(report.count("error") for report in self.reports)

    @property
    def warnings(self) -> int:
        """Findings that should be looked at."""
        return sum(report.count("warning") for report in self.reports)

    @property
    def table(self) -> "polars.DataFrame":
        """One row per finding: `dataset`, `severity`, `file`, `line`, `code` and `message`."""
        import polars

        names = ("dataset", "severity", "file", "line", "code", "message")
        schema = {name: polars.Int64 if name == "line" else polars.String for name in names}
        rows = [
            (report.name, one.severity, one.file, one.line, one.code, one.message)
            for report in self.reports
            for one in report.findings
        ]
        return polars.DataFrame(rows, schema=schema, orient="row")

    def __repr__(self) -> str:
        names = ", ".join(report.name for report in self.reports)
        return f"CheckOutput of {names}: {plural(self.errors, 'error')}, {plural(self.warnings, 'warning')}"

    def _repr_html_(self) -> str:
        shown = ""
        for report in self.reports:
            shown += heading(f"{report.name}: {report.kind}")
            if (summary := report.summary) is not None:
                shown += facts(
                    (
                        ("images", summary.images),
                        ("labelled", summary.labelled),
                        ("masked", summary.masked),
                        ("patients", summary.groups or "unknown"),
                        ("classes", ", ".join(f"{name} {count}" for name, count in summary.classes.items())),
                        *(
                            [("not known", ", ".join(f"{name} {n}" for name, n in summary.unknown.items()))]
                            if summary.unknown
                            else []
                        ),
                    )
                )
            if report.command is not None:
                shown += note(f"make a data set of it with: {report.command}")
        rows = [(severity, f"{file}:{line}" if line else file, message) for _, severity, file, line, _, message in
                self.table.rows()]  # fmt: skip
        if rows:
            shown += table(("severity", "place", "finding"), rows[:SHOWN], text=("place", "finding"))
        else:
            shown += note("no errors, no warnings")
        more = len(rows) - SHOWN
        return shown + note(f"and {plural(more, 'more finding')}; all are in .table" if more > 0 else "")


@system_errors()
def check(
    path: StrPath,
    *,
    duplicates: bool = True,
    backbone: str | None = None,
    weights: str = "imagenet",
    distance: float = 0.03,
    cache: StrPath | None = None,
    progress: bool | StepCallback = True,
) -> CheckOutput:
    """Decode every image and mask of a data set and list what is wrong, with file, line and a hint.

    Args:
        path: a data set folder, a folder of several, a plain folder of images, or a table.
        duplicates: also compare every image with every other.
        backbone: timm network that also finds near-duplicates by its features; None for none.
        weights: weights of that network: imagenet, none, or a file.
        distance: greatest cosine distance of near-duplicates, in [0, 1].
        cache: folder where hashes, thumbnails, features and the pairs that were compared are kept for other commands;
            None: that of runs.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: there is nothing at `path`, or nothing that could be images.
    """
    with quiet(), step_progress(progress) as step:
        from s4mi.data.checks.check import check_path
        from s4mi.data.loading.default_cache import default_cache

        place = default_cache() if cache is None else as_path(cache)
        reports: Sequence[CheckReport] = check_path(
            as_path(path), duplicates=duplicates, cache=place,
            progress=lambda done, total: step("decoding", done, total),
        )  # fmt: skip
        if backbone is not None:
            reports = [_with_near_duplicates(one, backbone, weights, distance, place, step) for one in reports]
    return CheckOutput(tuple(reports))


def _with_near_duplicates(
    report: "CheckReport", backbone: str, weights: str, distance: float, cache: Path, step: StepCallback
) -> "CheckReport":
    from s4mi.inference.near_duplicates import NearDuplicateSearch, find_near_duplicates
    from s4mi.training.features import FOLDER

    if report.command is not None:
        raise S4miError(f"{report.path}: not a data set folder yet, which near-duplicates need; import it first")
    search = NearDuplicateSearch(backbone, weights=weights, distance=distance, store=cache / FOLDER)
    found = find_near_duplicates(
        report.path, search, known=report.findings, progress=lambda done, total: step("comparing images", done, total)
    )
    return replace(report, findings=(*report.findings, *found))
