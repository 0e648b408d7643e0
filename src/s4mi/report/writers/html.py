"""One self-contained HTML page on a set of runs: opens offline, on a phone, in the dark, and prints.

The verdict comes first, then a section per data set, then every run with its settings and hashes, then how to read it.
Everything is computed from records; nothing on the page asks the network for anything.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.records import PretrainingRecord, RunRecord, write_text_atomically
from s4mi.report.figures.page_figures import part_figures
from s4mi.report.figures.svg import CaptionedFigure
from s4mi.report.results.class_table import ClassTable, class_table
from s4mi.report.results.comparison import Comparison, compare, doubts
from s4mi.report.results.costs import CostRow, cost_rows, energy_note
from s4mi.report.results.data_card import DataCard, data_card
from s4mi.report.results.ensemble_members import MemberRow, member_rows
from s4mi.report.results.findings import Findings, findings_of
from s4mi.report.results.patients import PatientsSection, patients_section
from s4mi.report.results.pretraining import collapses, in_order
from s4mi.report.results.runs import PretrainingRun, ReportRun, load_pretrainings, load_runs, run_key, runs_by_key
from s4mi.report.results.scores import TASK_NAMES, metric_of
from s4mi.report.results.tables import MAJORITY, DetailTable, ResultTable, detail_table, result_table, span
from s4mi.report.results.unfinished_runs import UnfinishedRun, summary
from s4mi.report.results.verdict import findings, verdict
from s4mi.report.results.version_gains import TITLE, ByTask, VersionGains, gains_by_task, head_sentence
from s4mi.report.writers.label_section import LabelsSection, labels_section
from s4mi.report.writers.pretraining_section import PretrainingSection, pretraining_section
from s4mi.report.writers.templates import environment

__all__ = ["PretrainingRun", "ReportImage", "ReportRun", "load_pretrainings", "load_runs", "write_report"]


ONLY_PRETRAINED = "No run was fine-tuned and tested yet; there is pre-training alone."


@dataclass(frozen=True)
class ReportImage:
    """A picture made elsewhere, such as predictions beside their truth.

    Attributes:
        png: the bytes of a PNG or JPEG file.
        alt: what the picture shows, for who cannot see it.
        dataset: name of the data set whose section it belongs to; None puts it in a section of its own.
        wide: it has a row of its own, and on a phone is moved sideways; else two may stand beside each other.
    """

    title: str
    caption: str
    png: bytes
    alt: str
    dataset: str | None = None
    wide: bool = True

    @property
    def source(self) -> str:
        kind = "jpeg" if self.png.startswith(b"\xff\xd8") else "png"
        return f"data:image/{kind};base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class TaskSection:
    """One task of a data set.

    `findings` are empty where the head of the page says them already; `classes` is None with one class, `labels` with
    one label fraction or one technique, `gains` where no older version of the data set was run. `tested` are the test
    images of all seeds together, 0 where no run says which it had.
    """

    comparison: Comparison
    name: str
    findings: list[str]
    table: ResultTable
    detail: DetailTable
    classes: ClassTable | None
    members: tuple[MemberRow, ...]
    costs: tuple[CostRow, ...]
    figures: tuple[CaptionedFigure, ...]
    labels: LabelsSection | None
    patients: PatientsSection | None
    gains: VersionGains | None
    tested: int

    @property
    def energy(self) -> str:
        """What the energy in `costs` stands for, or that there is none."""
        return energy_note(self.costs)

    @property
    def energy_known(self) -> bool:
        return any(row.energy_wh is not None for row in self.costs)

    @property
    def facts(self) -> str:
        """The images and classes behind the numbers, in one line."""
        labels = [record.labels for record in self.comparison.records]
        train, val, test = (span([getattr(each, name) for each in labels]) for name in ("train_images", "val", "test"))
        classes = ", ".join(self.comparison.records[0].classes)
        seeds = (
            f" a seed, {self.tested} different ones in all" if self.tested > max(each.test for each in labels) else ""
        )
        return f"{train} training, {val} validation and {test} test images{seeds}. Classes: {classes}."


@dataclass(frozen=True)
class DatasetSection:
    """The section of one data set; `pretraining` is None where no run learnt from it without labels."""

    name: str
    synthetic: bool
    parts: tuple[TaskSection, ...]
    pretraining: PretrainingSection | None
    card: DataCard
    sheets: tuple[ReportImage, ...]


def write_report(
    runs: Sequence[ReportRun],
    path: Path,
    *,
    title: str,
    pretrainings: Sequence[PretrainingRun] = (),
    notes: Sequence[str] = (),
    sheets: Sequence[ReportImage] = (),
    uncounted: Sequence[UnfinishedRun] = (),
    gains: ByTask | None = None,
    classification: str | None = None,
    segmentation: str | None = None,
) -> Path:
    """Write the page on `runs` to `path`, whole or not at all, and return `path`.

    Args:
        pretrainings: pre-training runs, those of `load_pretrainings`.
        notes: lines to show below the verdict, such as those of `load_runs`.
        gains: what new annotations brought, where other runs than these have a say in it; else it is told from these.
        uncounted: runs that failed, are not finished or cannot be read, those of `load_uncounted`.
        classification: metric that leads classification; macro F1 when None.
        segmentation: metric that leads segmentation; IoU when None.

    Raises:
        S4miError: there is no metric of that name.
    """
    records = [run.record for run in runs]
    chosen = {"multiclass": classification, "multilabel": classification, "segmentation": segmentation}
    comparisons = compare(records)
    tables = [result_table(each, metric_of(each.task, chosen[each.task])) for each in comparisons]
    stories = [findings_of(comparison, table) for comparison, table in zip(comparisons, tables, strict=True)]
    gains = gains_by_task(runs) if gains is None else gains
    parts = [_part(story, runs, gains, say=len(stories) > 1) for story in stories]
    pretrainings = in_order(pretrainings)
    names = list(dict.fromkeys([*(c.dataset for c in comparisons), *(run.record.dataset for run in pretrainings)]))
    every: list[RunRecord | PretrainingRecord] = [*records, *(run.record for run in pretrainings)]
    page = environment().get_template("page.html.jinja")
    text = page.render(
        title=title,
        verdict=[
            *(verdict(stories) if runs or not pretrainings else [ONLY_PRETRAINED]),
            *head_sentence(list(gains.values())),
        ],
        notes=[*doubts(records), *collapses(pretrainings), *notes],
        synthetic=sorted({record.dataset for record in every if record.synthetic}),
        datasets=[_dataset(name, parts, pretrainings, sheets) for name in names],
        sheets=[sheet for sheet in sheets if sheet.dataset not in names],
        uncounted=uncounted,
        lost=summary(uncounted),
        runs=sorted(runs, key=lambda run: run.directory),
        pretrainings=pretrainings,
        last=max((record.finished for record in every), default=""),
        majority=MAJORITY,
        brought=TITLE,
    )
    write_text_atomically(path, text)
    return path


def _dataset(
    name: str, parts: Sequence[TaskSection], pretrainings: Sequence[PretrainingRun], sheets: Sequence[ReportImage]
) -> DatasetSection:
    own = tuple(part for part in parts if part.comparison.dataset == name)
    learnt = [run for run in pretrainings if run.record.dataset == name]
    return DatasetSection(
        name=name,
        synthetic=any([*(part.comparison.synthetic for part in own), *(run.record.synthetic for run in learnt)]),
        parts=own,
        pretraining=pretraining_section(learnt) if learnt else None,
        card=data_card([part.comparison for part in own], [run.record for run in learnt]),
        sheets=tuple(sheet for sheet in sheets if sheet.dataset == name),
    )


def _part(story: Findings, runs: Sequence[ReportRun], gains: ByTask, *, say: bool) -> TaskSection:
    comparison, table = story.comparison, story.table
    return TaskSection(
        comparison=comparison,
        name=TASK_NAMES[comparison.task],
        findings=findings(story) if say else [],
        table=table,
        detail=detail_table(comparison),
        classes=class_table(comparison, table.metric),
        members=member_rows(comparison, table.metric),
        costs=cost_rows(comparison, table.metric),
        figures=part_figures(comparison, table, runs),
        labels=labels_section(comparison, table.metric, runs),
        patients=patients_section(comparison, table.metric, runs),
        tested=len(_tested(comparison, runs)),
        gains=gains.get((comparison.dataset, comparison.task)),
    )


def _tested(comparison: Comparison, runs: Sequence[ReportRun]) -> set[str]:
    """The names of all test images."""
    by_key = runs_by_key(runs)
    own = [run for record in comparison.records if (run := by_key.get(run_key(record))) is not None]
    answered = {name for run in own if run.predictions is not None for name in run.predictions.images}
    return answered | {one.image for run in own for one in run.images}
