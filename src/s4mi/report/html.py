"""One self-contained HTML page on a set of runs: opens offline, on a phone, in the dark, and prints.

The verdict comes first, then a section per data set, then every run with its settings and hashes, then how to read it.
Everything is computed from records; nothing on the page asks the network for anything.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from s4mi.records import PretrainingRecord, RunRecord, write_text_atomically
from s4mi.report import figures
from s4mi.report.comparison import Comparison, compare, doubts
from s4mi.report.labels_section import LabelsSection, labels_section
from s4mi.report.pretraining import collapses, in_order
from s4mi.report.pretraining_section import PretrainingSection, pretraining_section
from s4mi.report.readings import ReadingRow, reading_rows
from s4mi.report.runs import PretrainingRun, ReportRun, load_pretrainings, load_runs
from s4mi.report.scores import TASK_NAMES, metric_of, percent
from s4mi.report.tables import (
    MAJORITY,
    CostRow,
    DetailTable,
    ResultTable,
    cost_rows,
    detail_table,
    result_table,
    span,
)
from s4mi.report.template import Figure, duration, environment
from s4mi.report.verdict import finding, rank, verdict

__all__ = ["PretrainingRun", "ReportRun", "Sheet", "load_pretrainings", "load_runs", "write_report"]


ONLY_PRETRAINED = "No run was fine-tuned and tested yet; there is pre-training alone."


@dataclass(frozen=True)
class Sheet:
    """A picture made elsewhere, such as predictions beside their truth.

    Attributes:
        png: the bytes of a PNG file.
        alt: what the picture shows, for who cannot see it.
        dataset: name of the data set whose section it belongs to; None puts it in a section of its own.
    """

    title: str
    caption: str
    png: bytes
    alt: str
    dataset: str | None = None

    @property
    def source(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Part:
    """One task of a data set.

    `finding` is empty where the head of the page says it already; `labels` is None with one label fraction
    or one technique.
    """

    comparison: Comparison
    name: str
    finding: str
    table: ResultTable
    detail: DetailTable
    readings: tuple[ReadingRow, ...]
    costs: tuple[CostRow, ...]
    figures: tuple[Figure, ...]
    labels: LabelsSection | None

    @property
    def facts(self) -> str:
        """The images and classes behind the numbers, in one line."""
        labels = [record.labels for record in self.comparison.records]
        train, val, test = (span([getattr(each, name) for each in labels]) for name in ("train_images", "val", "test"))
        classes = ", ".join(self.comparison.records[0].classes)
        return f"{train} training, {val} validation and {test} test images. Classes: {classes}."


@dataclass(frozen=True)
class DataSet:
    """The section of one data set; `pretraining` is None where no run learnt from it without labels."""

    name: str
    synthetic: bool
    parts: tuple[Part, ...]
    pretraining: PretrainingSection | None
    sheets: tuple[Sheet, ...]


def write_report(
    runs: Sequence[ReportRun],
    path: Path,
    *,
    title: str,
    pretrainings: Sequence[PretrainingRun] = (),
    notes: Sequence[str] = (),
    sheets: Sequence[Sheet] = (),
    classification: str | None = None,
    segmentation: str | None = None,
) -> Path:
    """Write the page on `runs` to `path`, whole or not at all, and return `path`.

    Args:
        pretrainings: pre-training runs, those of `load_pretrainings`.
        notes: lines to show below the verdict, such as those of `load_runs` on unfinished runs.
        classification: metric that leads classification; macro F1 when None.
        segmentation: metric that leads segmentation; IoU when None.

    Raises:
        S4miError: there is no metric of that name.
    """
    records = [run.record for run in runs]
    chosen = {"multiclass": classification, "multilabel": classification, "segmentation": segmentation}
    comparisons = compare(records)
    tables = [result_table(each, metric_of(each.task, chosen[each.task])) for each in comparisons]
    parts = [
        _part(comparison, table, runs, say=len(tables) > 3)
        for comparison, table in zip(comparisons, tables, strict=True)
    ]
    pretrainings = in_order(pretrainings)
    names = list(dict.fromkeys([*(c.dataset for c in comparisons), *(run.record.dataset for run in pretrainings)]))
    every: list[RunRecord | PretrainingRecord] = [*records, *(run.record for run in pretrainings)]
    page = environment().get_template("page.html.jinja")
    text = page.render(
        title=title,
        verdict=verdict(tables) if runs or not pretrainings else [ONLY_PRETRAINED],
        notes=[*doubts(records), *collapses(pretrainings), *notes],
        synthetic=sorted({record.dataset for record in every if record.synthetic}),
        datasets=[_dataset(name, parts, pretrainings, sheets) for name in names],
        sheets=[sheet for sheet in sheets if sheet.dataset not in names],
        runs=sorted(runs, key=lambda run: run.directory),
        pretrainings=pretrainings,
        last=max((record.finished for record in every), default=""),
        majority=MAJORITY,
    )
    write_text_atomically(path, text)
    return path


def _dataset(
    name: str, parts: Sequence[Part], pretrainings: Sequence[PretrainingRun], sheets: Sequence[Sheet]
) -> DataSet:
    own = tuple(part for part in parts if part.comparison.dataset == name)
    learnt = [run for run in pretrainings if run.record.dataset == name]
    return DataSet(
        name=name,
        synthetic=any([*(part.comparison.synthetic for part in own), *(run.record.synthetic for run in learnt)]),
        parts=own,
        pretraining=pretraining_section(learnt) if learnt else None,
        sheets=tuple(sheet for sheet in sheets if sheet.dataset == name),
    )


def _part(comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun], *, say: bool) -> Part:
    return Part(
        comparison=comparison,
        name=TASK_NAMES[comparison.task],
        finding=finding(table) if say else "",
        table=table,
        detail=detail_table(comparison),
        readings=reading_rows(comparison, table.metric),
        costs=cost_rows(comparison, table.metric),
        figures=_figures(comparison, table, runs),
        labels=labels_section(comparison, table.metric, runs),
    )


def _figures(comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun]) -> tuple[Figure, ...]:
    metric = table.metric
    drawn = [
        (
            figures.score_by_fraction(comparison, metric=metric),
            f"What labels buy: test {metric.label} by number of labelled images. Points are means, bars are 95 % "
            "intervals over seeds, small dots are single seeds." + _at_zero(comparison),
        ),
        (
            figures.cost_score(comparison, metric=metric),
            f"What it costs: test {metric.label} by training time, a point per label fraction, larger for more labels."
            + _shared_cost(comparison),
        ),
        (
            figures.per_class_bars(comparison, metric=metric),
            "Each class on test, at the largest label fraction. A line that leaves the axis is an interval wider than "
            "the scores there are.",
        ),
        _confusion(comparison, table),
        (
            figures.learning_curves(comparison, runs),
            "Learning curves at the smallest and the largest label fraction, and without labels, one line per run. The "
            "marker is the epoch that validation chose."
            if comparison.fractions[0] == 0
            else "Learning curves at the smallest and the largest label fraction, one line per run. The marker is the "
            "epoch that validation chose.",
        ),
    ]
    return tuple(Figure(Markup(svg), caption) for svg, caption in drawn if svg)


def _confusion(comparison: Comparison, table: ResultTable) -> tuple[str | None, str]:
    """The mistakes of the best technique at the largest label fraction that was tested."""
    rankings = [ranking for column in range(len(table.columns)) if (ranking := rank(table, column))]
    if not rankings:
        return None, ""
    best, fraction = rankings[-1].entries[0].technique, rankings[-1].column.fraction
    counted = "test images summed over seeds"
    if comparison.task == "multilabel":
        counted += "; found and missed share the images that show the class, the other two those that do not"
    else:
        counted += ", shaded by their share of the true class"
    svg = figures.confusion(comparison, best, fraction=fraction)
    return svg, f"Where {best.label} errs at {percent(fraction)} of the labels: {counted}."


def _at_zero(comparison: Comparison) -> str:
    """What 0 % of the labels means, where something was trained with none."""
    if comparison.fractions[0] > 0:
        return ""
    return (
        " At 0 % no annotation of a training image was read; validation masks said which class each cluster is. The "
        "dotted line is the mean there."
    )


def _shared_cost(comparison: Comparison) -> str:
    """What the times do not hold: the pre-training that several runs start from."""
    told = {
        f"{duration(row.pretraining_seconds)} for {row.technique.label}"
        for row in cost_rows(comparison, metric_of(comparison.task))
        if row.pretraining_seconds is not None
    }
    return (
        f" Pre-training comes on top, shared by all runs that start from it: {', '.join(sorted(told))}." if told else ""
    )
