"""A model card says what is on record, and what follows from it for whoever uses the model."""

import re

import numpy as np
import pytest

from made_records import record
from s4mi.maths.bootstrap import patient_interval
from s4mi.records import RANDOM, ImageScores, Predictions, Start, TaskKind
from s4mi.records.calibration import Calibration
from s4mi.records.reliability import Reliability
from s4mi.reporting.writers.model_card import CardSource, ModelFile, card_mark, card_text, score_rows

FILE = ModelFile(name="model.onnx", megabytes=1.25, checked="the same to 3e-07", load="import onnxruntime")


def source(task: TaskKind = "multiclass", score: float | None = 0.6, **changes: object) -> CardSource:
    run = changes.pop("record", record(score, task=task))
    given = {"files": [FILE], "settings": {"optim.lr": "0.001"}, "inputs": ["Resize."], "calibration": None}
    return CardSource(record=run, **{**given, **changes})  # type: ignore[arg-type]


def image(name: str, group: str | None, iou: float) -> ImageScores:
    own = {"lesion": iou}
    return ImageScores(image=name, group=group, iou=own, dice=own, hd95=own, assd=own)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "segmentation"])
def test_it_says_what_the_model_is_not_for_and_what_it_was_made_from(task: TaskKind) -> None:
    given = source(task)
    card = card_text(given)
    assert "**It is not a medical device**" in card
    for fact in (given.record.split_hash, given.record.config_hash, given.record.data_hash, "`optim.lr`", "model.onnx"):
        assert fact in card
    assert card.startswith(card_mark(given.record) + "\n# transfer")
    assert "480 training, 60 validation, 120 test" in card
    assert "\n\n\n\n" not in card


def test_one_seed_has_no_interval_over_seeds_and_two_have() -> None:
    assert "Only one seed was trained" in card_text(source())
    two = source(others=(record(0.62, seed=1),))
    assert "mean over 2 seeds" in card_text(two)
    (f1,) = (row for row in score_rows(two) if row.label == "macro F1")
    # mean of 0.6 and 0.62, ± t(1, 0.975) · s / √2 = 12.706 · 0.01
    assert (f1.value, f1.seeds) == ("0.600", "0.610 (0.478–0.737) (n = 2)")


def test_intervals_are_over_patients_where_images_were_scored_one_by_one() -> None:
    ious, groups = [0.2, 0.4, 0.9, 0.9], ["a", "a", "b", "c"]
    run = record(0.6, task="segmentation")
    assert run.test is not None
    images = [image(str(number), group, iou) for number, (iou, group) in enumerate(zip(ious, groups, strict=True))]
    given = source(
        record=run.model_copy(update={"test": run.test.model_copy(update={"iou_image": 0.6})}), images=images
    )
    (row,) = (row for row in score_rows(given) if row.label == "IoU per image")
    expected = patient_interval(ious, groups, rng=np.random.default_rng(0))
    assert expected.low is not None
    assert expected.high is not None
    assert row.interval == f"{max(expected.low, 0):.3f} to {min(expected.high, 1):.3f} (few patients)"
    assert "over patients or other groups of the data set (3)" in card_text(given)


def test_predictions_give_intervals_for_the_scores_that_counts_give() -> None:
    truth = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]]
    decisions = np.eye(3, dtype=bool)[[0, 1, 2, 0, 2, 1]]
    given = Predictions(
        images=tuple("abcdef"), groups=(None,) * 6, classes=("x", "y", "z"), truth=truth,
        probabilities=decisions.astype(float), decisions=decisions,
    )  # fmt: skip
    run = record(0.6)
    assert run.test is not None
    scores = run.test.model_copy(update={"recall_micro": 4 / 6})
    run = run.model_copy(update={"test": scores})
    rows = {row.label: row for row in score_rows(source(record=run, predictions=given))}
    assert " to " in rows["micro recall"].interval
    assert rows["macro F1"].interval == "–"  # the recorded score differs from that of these predictions
    assert rows["AUROC"].interval == "–"


def test_what_makes_scores_doubtful_is_said() -> None:
    run = record(0.6).model_copy(update={"leaks": 3, "synthetic": True, "restarts": 1})
    card = card_text(source(record=run))
    assert "3 pairs of images or patients in more than one part of the split" in card
    assert "trained on synthetic images, not photographs" in card
    assert "collapsed and was restarted from new weights 1 time." in card
    assert "It was not tested" in card_text(source(record=record(None)))


def test_a_temperature_is_told_with_what_it_did() -> None:
    assert "Not calibrated" in card_text(source())
    told = Reliability(predictions=9, ece=0.21, ece_calibrated=0.043, nll=1, nll_calibrated=0.5)
    calibration = Calibration(
        task="multilabel", classes=["a"], temperature=1.8, thresholds={"a": 0.31}, val=told, test=told
    )
    card = card_text(source("multilabel", calibration=calibration))
    for words in ("logits are divided by 1.800", "| test | 0.210 | 0.043 |", "a 0.310."):
        assert words in card


def test_names_of_classes_break_no_table() -> None:
    card = card_text(source(record=record(0.6, classes=("a|b", "c*d", "e"))))
    assert "| a\\|b |" in card
    assert "c\\*d" in card


@pytest.mark.parametrize(
    ("task", "rule"),
    [
        ("multiclass", "An image is assigned its most probable class (argmax)"),
        ("multilabel", "above 1/2; an image may have several classes, or none"),
        ("segmentation", "Each pixel is assigned its most probable class (argmax), at the original image size"),
    ],
)
def test_the_card_says_how_it_decides(task: TaskKind, rule: str) -> None:
    assert rule in card_text(source(task))


def test_what_a_data_set_does_not_state_is_said_to_be_not_stated() -> None:
    card = card_text(source())
    assert "| source | not stated |" in card
    assert "| licence | not stated |" in card
    assert "| licence | CC0-1.0 |" in card_text(source(licence="CC0-1.0"))


def test_a_temperature_of_few_images_or_one_that_did_harm_is_said_to_be_so() -> None:
    good = Reliability(predictions=4, ece=0.2, ece_calibrated=0.1, nll=1.0, nll_calibrated=0.5)
    bad = good.model_copy(update={"nll_calibrated": 1.2})
    few = Calibration(task="multiclass", classes=["a"], temperature=0.8, images=4, val=good, test=bad)
    card = card_text(source(calibration=few))
    assert "fitted on 4 validation images and regularised towards 1" in card
    assert "**Only 4 validation images: temperature regularised towards 1" in card
    assert "probabilities worse on the test images (negative log-likelihood 1.000 without, 1.200 with it)" in card
    assert few.model_copy(update={"images": 40, "test": good}).warnings == []


def test_it_names_the_initial_weights_with_their_licence_and_normalisation() -> None:
    starts = (
        Start(
            network="resnet50", weights="timm resnet50.a1_in1k", licence="apache-2.0", normalisation="mean 0.5, std 0.5"
        ),
        Start(network="tiny_vit", weights=RANDOM, auto=True),
    )
    card = card_text(source(record=record(0.6).model_copy(update={"starts": starts})))
    assert (
        "- `resnet50` began from `timm resnet50.a1_in1k`; licence of the weights: apache-2.0. Input normalisation, "
        "inside the graph: mean 0.5, std 0.5.\n"
    ) in card
    assert "- `tiny_vit` began from random weights, as none were at hand.\n" in card


EVIL = "a|b`c`` <img src=x onerror=alert(1)> [l](javascript:1) ```\n# heading"


def test_names_from_outside_are_no_markup_and_end_no_code() -> None:
    run = record(0.6)
    assert run.test is not None
    per_class = dict.fromkeys([EVIL], next(iter(run.test.per_class.values())))
    labels = run.labels.model_copy(update={"per_class": {EVIL: 3}})
    start = Start(network=EVIL, weights=EVIL, content=EVIL, licence=EVIL, normalisation=EVIL)
    run = run.model_copy(
        update={
            "classes": [EVIL], "dataset": EVIL, "labels": labels, "starts": [start], "method": EVIL, "member": EVIL,
            "test": run.test.model_copy(update={"per_class": per_class}),
        }
    )  # fmt: skip
    file = ModelFile(name=f"{EVIL[:20]}.onnx", megabytes=1.0, checked=EVIL, load=f"x = 1  # {EVIL}")
    given = source(record=run, files=[file], settings={EVIL: EVIL}, why=EVIL, source=EVIL, licence=EVIL)
    seen = rendered_markup(card_text(given))
    assert seen == set()


def rendered_markup(card: str) -> set[str]:
    """Names of HTML elements, links and headings that a reader of CommonMark would make of what stands outside code."""
    outside, fence = [], ""
    for line in card.splitlines():
        opening = re.match(r"`{3,}", line)
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opening:
            fence = opening[0]
        else:
            outside.append(re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "CODE", line))
    text = re.sub(r"\\.", "", "\n".join(outside).replace(card.splitlines()[0], ""))
    found = {f"<{name}>" for name in re.findall(r"<(\w+)", text)} | {"link" for _ in re.findall(r"\[[^\]]*\]\(", text)}
    return found | {"heading" for _ in re.findall(r"^# heading", text, re.MULTILINE)}
