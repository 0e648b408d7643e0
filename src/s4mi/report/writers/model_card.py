"""The card of a model, as Markdown: what it is for, what it was made from, and how far its scores can be trusted.

Everything in it comes from the run's record and what lies beside it; nothing is claimed that is not on record.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from s4mi.formatting import duration
from s4mi.maths.stats import Interval, mean_interval
from s4mi.records import ImageScores, Predictions, RunRecord
from s4mi.records.calibration import Calibration
from s4mi.report.results.comparison import technique_of
from s4mi.report.results.per_image import over_patients
from s4mi.report.results.scores import MISSING, TASK_NAMES, Metric, metrics_of, percent, plus_minus, score_of
from s4mi.report.results.test_predictions import predictions_over_patients

OVER_IMAGES = ("iou_image", "dice_image", "hd95", "assd")
"""Scores of segmentation that are means over images, so that drawing patients again gives them an interval."""
SAME = 1e-6


@dataclass(frozen=True)
class ModelFile:
    """A model beside its card.

    Attributes:
        checked: how it was held against the run, in words. load: how a program uses it, as Python.
    """

    name: str
    megabytes: float
    checked: str
    load: str


@dataclass(frozen=True)
class CardSource:
    """What a card is made from.

    Attributes:
        settings: of the run by name, as text. inputs: how an image becomes the model's input, a line each.
        images: scores of the test images. predictions: those of a classifier on them.
        others: the same technique with other seeds, in a study. why: how this run was chosen among others.
        source, licence: of the data set, as it says itself.
    """

    record: RunRecord
    files: Sequence[ModelFile]
    settings: Mapping[str, str]
    inputs: Sequence[str]
    calibration: Calibration | None
    images: Sequence[ImageScores] = ()
    predictions: Predictions | None = None
    others: Sequence[RunRecord] = ()
    why: str = ""
    source: str = ""
    licence: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """One score on test: its value, its interval over patients or images, and its mean over seeds."""

    label: str
    value: str
    interval: str
    seeds: str


def card_mark(record: RunRecord) -> str:
    """The first line of a run's card, by which it is known again."""
    made_from = f"{record.config_hash} {record.split_hash} {record.data_hash} seed {record.seed}"
    return f"<!-- s4mi model card of run {made_from} -->"


def card_text(source: CardSource) -> str:
    """The card, as Markdown."""
    made = Environment(
        loader=PackageLoader("s4mi", "report/templates"),
        autoescape=False,  # this is no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"cell": _cell, "duration": duration, "percent": percent, "number": _number}
    record = source.record
    return made.get_template("model_card.md.jinja").render(
        mark=card_mark(record),
        source=source,
        record=record,
        task=TASK_NAMES[record.task],
        technique=technique_of(record),
        rows=score_rows(source),
        unit=_unit(source),
        tested=0 if record.test is None else record.test.images,
        limits=_limits(source),
    )


def score_rows(source: CardSource) -> list[ScoreRow]:
    """Every score that the run has on its test part."""
    rows = []
    for metric in metrics_of(source.record.task):
        value = score_of(source.record, metric)
        if value is None:
            continue
        interval = _interval(source, metric)
        shown = MISSING
        if interval is not None and abs(interval.mean - value) < SAME and interval.low is not None:
            shown = _ends(interval, metric)
        rows.append(ScoreRow(metric.label, f"{value:.{metric.digits}f}", shown, _over_seeds(source, metric)))
    return rows


def _interval(source: CardSource, metric: Metric) -> Interval | None:
    if source.record.task == "segmentation":
        return over_patients(source.images, metric) if metric.name in OVER_IMAGES else None
    if source.predictions is None:
        return None
    return predictions_over_patients(source.predictions, metric, multilabel=source.record.task == "multilabel")


def _over_seeds(source: CardSource, metric: Metric) -> str:
    known = [value for one in (source.record, *source.others) if (value := score_of(one, metric)) is not None]
    if len(known) < 2:
        return MISSING
    interval = mean_interval(known)
    half = plus_minus(interval.half_width, digits=metric.digits, bounded=metric.bounded)
    return f"{interval.mean:.{metric.digits}f}{half} (n = {interval.n})"


def _unit(source: CardSource) -> str:
    """What is drawn again for the intervals, with its number; empty where nothing is."""
    groups: list[str | None] = [one.group for one in source.images]
    if source.predictions is not None:
        groups = list(source.predictions.groups)
    if not groups:
        return ""
    known = {group for group in groups if group is not None}
    if not known:
        return f"images ({len(groups)}), as nobody has said which are of one patient"
    alone = groups.count(None)
    more = f" and {alone} images of nobody known" if alone else ""
    return f"patients, or what else the data set groups by ({len(known)}{more})"


def _limits(source: CardSource) -> list[str]:
    """What a user must know, a sentence each, as far as the record tells."""
    record, limits = source.record, []
    if record.synthetic:
        limits.append(
            "It learnt from drawn images, not from photographs: its scores say nothing about images of patients."
        )
    if record.leaks:
        limits.append(
            f"{record.leaks} pairs of images or patients are on two sides of the split, which was allowed: its scores "
            "are too good."
        )
    if record.test is None:
        limits.append("It was never tested: no image of the test part is annotated.")
    elif record.test.images < 100:
        limits.append(f"It was tested on {record.test.images} images only; read the intervals, not the scores.")
    if record.data is not None and not record.data.grouped:
        limits.append(
            "The data set does not say which images are of one patient, so nobody knows whether patients are on two "
            "sides of the split."
        )
    if record.restarts:
        limits.append(f"Its training collapsed and began again with other weights {record.restarts} times.")
    return limits


def _ends(interval: Interval, metric: Metric) -> str:
    assert interval.low is not None
    assert interval.high is not None
    low, high = interval.low, interval.high
    if metric.bounded:
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{low:.{metric.digits}f} to {high:.{metric.digits}f}"


def _number(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _cell(text: object) -> str:
    """As the cell of a table, where a bar would end it and a backtick or star would be read as Markdown."""
    return "".join(f"\\{c}" if c in "\\|*`<[" else c for c in " ".join(str(text).split()))
