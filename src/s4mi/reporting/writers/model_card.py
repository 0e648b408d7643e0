"""Model card, as Markdown: intended use, data, scores with their uncertainty, calibration, training and usage.

Everything in it comes from the run's record and the files beside it; nothing is claimed that was not recorded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from s4mi.formatting import duration, plural
from s4mi.maths.stats import Interval, mean_interval
from s4mi.records import ImageScores, Predictions, RunRecord
from s4mi.records.calibration import Calibration
from s4mi.reporting.results.comparison import technique_of
from s4mi.reporting.results.few import WIDENED, few_meaning, few_words
from s4mi.reporting.results.per_image import over_patients, patients_of, unit_of
from s4mi.reporting.results.scores import (
    MISSING,
    TASK_NAMES,
    Metric,
    baseline_name,
    baseline_value,
    ends,
    metric_of,
    metrics_of,
    score_of,
    spread,
)
from s4mi.reporting.results.test_predictions import patients_predicted, predictions_over_patients
from s4mi.reporting.writers.markdown import code_block, code_span, markdown_text

OVER_IMAGES = ("iou_image", "dice_image", "hd95", "assd")
"""Segmentation scores that are means over images, so that resampling patients gives them an interval."""
SAME = 1e-6
"""An interval is shown only where its mean is the recorded score to within this."""


@dataclass(frozen=True)
class ModelFile:
    """A model file beside its card.

    Attributes:
        checked: how it was verified against the run, in words. load: Python code that uses it.
    """

    name: str
    megabytes: float
    checked: str
    load: str


@dataclass(frozen=True)
class CardSource:
    """The information that a card is made from.

    Attributes:
        settings: the run's settings by name, as text. inputs: preprocessing of an image, one line per step.
        images: scores of the test images. predictions: predictions of a classifier on them.
        others: runs of the same technique with other seeds. why: how this run was selected among those of a study.
        source, licence: origin and licence of the data set.
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
    """One test score: its value, its interval over patients or images, and its mean over seeds.

    Attributes:
        few: the words, also in `interval`, that it rests on few patients or images; empty if it does not.
    """

    label: str
    value: str
    interval: str
    seeds: str
    few: str


CARD_MARK = "<!-- s4mi model card of run"
"""Beginning of the first line of every card."""


def card_mark(record: RunRecord) -> str:
    """First line of a card, which identifies its run."""
    hashes = f"{record.config_hash} {record.split_hash} {record.data_hash} seed {record.seed}"
    return f"{CARD_MARK} {hashes} -->"


def card_text(source: CardSource) -> str:
    """The card, as Markdown."""
    jinja = Environment(
        loader=PackageLoader("s4mi", "reporting/templates"),
        autoescape=False,  # Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {
        "cell": markdown_text, "code": code_span, "block": code_block, "duration": duration, "plural": plural,
        "number": _number,
    }  # fmt: skip
    record, rows = source.record, score_rows(source)
    return jinja.get_template("model_card.md.jinja").render(
        mark=card_mark(record),
        source=source,
        record=record,
        task=TASK_NAMES[record.task],
        technique=technique_of(record),
        rows=rows,
        few=[f"{few_meaning(few)} {WIDENED}" for few in dict.fromkeys(row.few for row in rows) if few],
        unit=_unit(source),
        tested=0 if record.test is None else record.test.images,
        limits=_limits(source),
        baseline=baseline_name(record.task),
        baseline_f1=baseline_value(record, metric_of(record.task)),
    )


def score_rows(source: CardSource) -> list[ScoreRow]:
    """Every test score of the run."""
    rows = []
    for metric in metrics_of(source.record.task):
        value = score_of(source.record, metric)
        if value is None:
            continue
        interval = _interval(source, metric)
        shown, few = MISSING, ""
        if interval is not None and abs(interval.mean - value) < SAME and interval.low is not None:
            few = few_words(interval, _resampled(source))
            shown = f"{_ends(interval, metric)}{f' ({few})' if few else ''}"
        rows.append(ScoreRow(metric.label, f"{value:.{metric.digits}f}", shown, _over_seeds(source, metric), few))
    return rows


def _interval(source: CardSource, metric: Metric) -> Interval | None:
    if source.record.task == "segmentation":
        return over_patients(source.images, metric) if metric.name in OVER_IMAGES else None
    if source.predictions is None:
        return None
    return predictions_over_patients(source.predictions, metric, multilabel=source.record.task == "multilabel")


def _resampled(source: CardSource) -> str:
    """`patients`, or `images` where no patient is known."""
    if source.record.task == "segmentation":
        return unit_of(list(patients_of(source.images).values()))
    return "images" if source.predictions is None else unit_of(patients_predicted(source.predictions))


def _over_seeds(source: CardSource, metric: Metric) -> str:
    known = [value for one in (source.record, *source.others) if (value := score_of(one, metric)) is not None]
    if len(known) < 2:
        return MISSING
    interval = mean_interval(known, limits=metric.limits)
    return f"{interval.mean:.{metric.digits}f}{spread(interval, digits=metric.digits)} (n = {interval.n})"


def _unit(source: CardSource) -> str:
    """What is resampled for the intervals, with its number; empty without per-image results."""
    groups: list[str | None] = [one.group for one in source.images]
    if source.predictions is not None:
        groups = list(source.predictions.groups)
    if not groups:
        return ""
    known = {group for group in groups if group is not None}
    if not known:
        return f"images ({len(groups)}), as the data set does not identify patients"
    alone = groups.count(None)
    more = f" and {plural(alone, 'image')} without one" if alone else ""
    return f"patients or other groups of the data set ({len(known)}{more})"


def _limits(source: CardSource) -> list[str]:
    """Known limitations according to the record, one sentence each."""
    record, limits = source.record, []
    if record.synthetic:
        limits.append(
            "It was trained on synthetic images, not photographs: its scores say nothing about images of patients."
        )
    if record.leaks:
        limits.append(
            f"{plural(record.leaks, 'pair')} of images or patients in more than one part of the split, explicitly "
            "allowed: its scores are too optimistic."
        )
    if record.test is None:
        limits.append("It was not tested: no test image is annotated.")
    elif record.test.images < 100:
        limits.append(
            f"It was tested on only {plural(record.test.images, 'image')}; rely on the intervals, not on the scores."
        )
    if record.data is not None and not record.data.grouped:
        limits.append("The data set does not identify patients, so one patient may be in several parts of the split.")
    if record.restarts:
        limits.append(f"Its training collapsed and was restarted from new weights {plural(record.restarts, 'time')}.")
    return limits


def _ends(interval: Interval, metric: Metric) -> str:
    assert interval.low is not None
    assert interval.high is not None
    low, high = interval.low, interval.high
    if metric.bounded:
        low, high = max(low, 0.0), min(high, 1.0)
    return ends(low, high, digits=metric.digits, to=" to ")


def _number(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
