"""The sheets that a report shows of segmentation: predicted masks of a run of each technique, side by side."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.recipes.compare_sheet import CAPTION, compare_sheet
from s4mi.recipes.run_dir import RunDir
from s4mi.records import RECORD_NAME, RunRecord
from s4mi.report.comparison import Technique, technique_of
from s4mi.report.html import Sheet
from s4mi.report.runs import ReportRun
from s4mi.report.scores import metric_of, score_of

IMAGES, MOST_RUNS = 4, 6
ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^/:;,()']+/)+")
"""The folders of a path from the root on."""
log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class _Run:
    """A finished run of segmentation and where it is."""

    record: RunRecord
    path: Path


def mask_sheets(folder: Path, runs: Sequence[ReportRun]) -> tuple[list[Sheet], list[str]]:
    """A sheet for each data set with segmentation runs below `folder`, and a line on each that has none.

    Of each technique the run with the fewest labels and the lowest seed is shown; of many techniques the best.
    """
    found = [_Run(run.record, _place(folder, run)) for run in runs if run.record.task == "segmentation"]
    sheets, notes = [], []
    for name in dict.fromkeys(run.record.dataset for run in found):
        try:
            sheets.append(_sheet(name, choose([run for run in found if run.record.dataset == name])))
        except Exception as error:  # a picture is not worth a report: whatever is wrong, the numbers are still right
            log.debug("no sheet of %s", name, exc_info=True)
            known = str(error) if isinstance(error, S4miError) else f"{type(error).__name__}: {error}".splitlines()[0]
            notes.append(f"{name}: no sheet of predicted masks: {_without_places(known, folder)}")
    return sheets, notes


def choose(runs: Sequence[_Run]) -> list[_Run]:
    """The runs of a data set that are shown, in the order of the report's tables.

    Raises:
        S4miError: none has its weights.
    """
    kept = [run for run in runs if RunDir(run.path).best.exists()]
    if not kept:
        raise S4miError("the best weights of its runs are not there any more")
    latest_first = sorted(kept, key=lambda run: run.record.finished, reverse=True)
    of_technique: dict[Technique, _Run] = {}
    for run in sorted(latest_first, key=lambda run: (run.record.label_fraction, run.record.seed)):
        of_technique.setdefault(technique_of(run.record), run)
    metric = metric_of("segmentation")
    best = sorted(of_technique.values(), key=lambda run: -(score_of(run.record, metric) or 0))[:MOST_RUNS]
    return sorted(best, key=lambda run: technique_of(run.record))


def _sheet(name: str, runs: Sequence[_Run]) -> Sheet:
    folders = [RunDir(run.path).config().data.path for run in runs]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise S4miError("its images are not where the runs saw them any more; restore them, or use --no-sheets")
    png = compare_sheet([run.path for run in runs], load_manifest(there[0]), part="test", images=IMAGES)
    techniques = ", ".join(technique_of(run.record).label for run in runs)
    return Sheet(
        title="Predicted masks",
        caption=f"Test images, {CAPTION} Each technique at the fewest labels it was trained with, lowest seed.",
        png=png,
        alt=f"Up to {IMAGES} test images of {name}, their true masks, and those predicted by {techniques}",
        dataset=name,
    )


def _place(folder: Path, run: ReportRun) -> Path:
    """The folder of a run: its label is relative to the report's, unless it is that folder itself."""
    place = folder / run.directory
    return place if (place / RECORD_NAME).exists() else folder


def _without_places(message: str, folder: Path) -> str:
    """A report is passed on: it names no folder of the machine that it was made on."""
    return ABSOLUTE.sub("", message.replace(f"{folder}/", ""))
