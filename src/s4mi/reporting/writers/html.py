"""One self-contained HTML page on a set of runs: opens offline, on a phone, in dark mode, and prints.

A card for each task comes first, with the answer and one figure, then pictures; everything else is folded: a section
per data set, every run with its settings and hashes, and how to read it. Printing unfolds it. Everything is computed
from records; the page makes no network request.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.records import write_text_atomically
from s4mi.reporting.figures.page_figures import card_figure, comparison_figures
from s4mi.reporting.results.runs import PretrainingRun, ReportRun, load_pretrainings, load_runs
from s4mi.reporting.results.scores import ALL_POSITIVE, MAJORITY
from s4mi.reporting.results.settings_text import SettingsText, settings_texts
from s4mi.reporting.results.unfinished_runs import UnfinishedRun
from s4mi.reporting.results.version_gains import ByTask
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.pretraining_figures import pretraining_figures
from s4mi.reporting.writers.templates import environment

__all__ = ["PretrainingRun", "ReportImage", "ReportRun", "load_pretrainings", "load_runs", "write_report"]


@dataclass(frozen=True)
class ReportImage:
    """An image made elsewhere, such as predictions beside the ground truth.

    Attributes:
        png: the bytes of a PNG or JPEG file.
        alt: text alternative for screen readers.
        dataset: name of the data set whose section it belongs to; None puts it in a section of its own.
        wide: takes a row of its own, and scrolls sideways on a phone; otherwise two may stand side by side.
    """

    title: str
    caption: str
    png: bytes
    alt: str
    dataset: str | None = None
    wide: bool = True

    @property
    def source(self) -> str:
        """The image as a data URI."""
        kind = "jpeg" if self.png.startswith(b"\xff\xd8") else "png"
        return f"data:image/{kind};base64," + base64.b64encode(self.png).decode("ascii")


def write_report(
    runs: Sequence[ReportRun],
    path: Path,
    *,
    title: str,
    pretrainings: Sequence[PretrainingRun] = (),
    notes: Sequence[str] = (),
    sheets: Sequence[ReportImage] = (),
    unfinished: Sequence[UnfinishedRun] = (),
    progress: str = "",
    gains: ByTask | None = None,
    classification: str | None = None,
    segmentation: str | None = None,
) -> Path:
    """Write the page on `runs` to `path`, atomically, and return `path`; the arguments are those of `report_contents`.

    Args:
        sheets: images to show.

    Raises:
        S4miError: unknown metric.
    """
    contents = report_contents(
        runs, title=title, pretrainings=pretrainings, notes=notes, unfinished=unfinished, progress=progress,
        gains=gains, classification=classification, segmentation=segmentation,
    )  # fmt: skip
    places: dict[str | None, int] = {dataset.name: place for place, dataset in enumerate(contents.datasets)}
    tasks = [task for dataset in contents.datasets for task in dataset.tasks]
    text = (
        environment()
        .get_template("page.html.jinja")
        .render(
            report=contents,
            pictures=sorted(sheets, key=lambda sheet: places.get(sheet.dataset, len(places))),
            figures={
                task.scores.id: comparison_figures(task.comparison, task.results, contents.runs) for task in tasks
            },
            card_figures=[card_figure(card) for card in contents.cards],
            feature_figures={each.name: pretraining_figures(each.pretrainings) for each in contents.datasets},
            settings={
                **settings_texts(contents.runs),
                **{run.directory: SettingsText(run.config_text) for run in contents.pretrainings if run.config_text},
            },
            majority=MAJORITY,
            all_positive=ALL_POSITIVE,
        )
    )
    write_text_atomically(path, text)
    return path
