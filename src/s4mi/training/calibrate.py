"""Calibrate a run: fit temperature scaling and, for multi-label tasks, per-class thresholds on validation.

A classifier is calibrated on its predictions of images, a segmenter on those of pixels at network resolution. Pixels
are sampled: there are very many of them, and neighbours carry the same information.
"""

import logging
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.contract import Classifier, Segmenter
from s4mi.data.loading.loader import PlainBatches
from s4mi.engine.inference import infer
from s4mi.errors import S4miError
from s4mi.maths.calibration import (
    best_threshold,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    tempered,
)
from s4mi.records import Part, Predictions
from s4mi.records.calibration import Calibration, write_calibration
from s4mi.records.reliability import Reliability
from s4mi.training.evaluate import EVALUATION_BATCH, Evaluation, evaluate
from s4mi.training.pixel_sample import LabelledProbabilities, PixelSample
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_dir import RunDir, load_method, make_fabric

log = logging.getLogger("s4mi")


def calibrate_run(run: Path) -> Calibration:
    """Calibrate a trained run on its data set, and write its `calibration.json`.

    Raises:
        S4miError: the run does not exist, its data set is missing or has changed, or no validation image is annotated.
    """
    run_dir = RunDir(run)
    config = run_dir.config()
    fabric = make_fabric(config)
    prepared = prepare(config)
    run_dir.check_split(prepared.split)
    if not prepared.annotated("val"):
        raise S4miError(f"{run}: cannot be calibrated, as no validation image is annotated; annotate some")
    method = load_method(fabric, config, prepared.task, run_dir.best)
    calibration = calibrate(fabric, method, config, prepared)
    assert calibration is not None
    write_calibration(calibration, run)
    return calibration


def calibrate(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    *,
    val: Evaluation | None = None,
    test: Evaluation | None = None,
) -> Calibration | None:
    """Fit temperature and thresholds on validation and measure them on test; None if no validation image is annotated.

    Args:
        val, test: evaluations of these parts, to be reused if they exist already.
    """
    predicted = _labelled_probabilities(fabric, method, config, prepared, "val", val)
    if predicted is None:
        return None
    task = prepared.task
    multilabel = task.kind == "multilabel"
    images = len(prepared.annotated("val"))
    temperature = fit_temperature(*predicted, multilabel=multilabel, images=images)
    thresholds = {}
    if multilabel:
        calibrated = tempered(predicted[0], temperature, multilabel=True, axis=1)
        thresholds = {name: best_threshold(calibrated[:, k], predicted[1][:, k]) for k, name in enumerate(task.classes)}
    held_out = _labelled_probabilities(fabric, method, config, prepared, "test", test)
    calibration = Calibration(
        task=task.kind,
        classes=list(task.classes),
        images=images,
        temperature=temperature,
        thresholds=thresholds,
        val=_reliability(*predicted, temperature, multilabel=multilabel),
        test=None if held_out is None else _reliability(*held_out, temperature, multilabel=multilabel),
    )
    for warning in calibration.warnings:
        log.info(warning)
    return calibration


def _labelled_probabilities(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    part: Part,
    known: Evaluation | None,
) -> LabelledProbabilities | None:
    """Predictions and ground truth of the annotated images, or of a sample of their pixels; None if there are none."""
    rows = prepared.annotated(part)
    if not rows:
        return None
    if isinstance(method, Segmenter):
        return _pixels(fabric, method, prepared, rows) if known is None else known.pixels
    known = known or evaluate(fabric, method, config, prepared, part)
    assert known is not None
    assert known.predictions is not None
    return _images(known.predictions, multilabel=prepared.task.kind == "multilabel")


def _images(predictions: Predictions, *, multilabel: bool) -> LabelledProbabilities:
    truth = predictions.truth.astype(np.int64) if multilabel else predictions.truth.argmax(axis=1)
    return predictions.probabilities.astype(np.float32), truth


def _pixels(fabric: Fabric, method: Segmenter, prepared: Prepared, rows: list[int]) -> LabelledProbabilities | None:
    entries = prepared.cache.entries_of(rows)
    sample = PixelSample(len(entries))
    batches = PlainBatches(prepared.source(fabric.device), entries, batch_size=EVALUATION_BATCH)
    for batch, logits in infer(fabric, method, batches):
        sample.add(batch, logits)
    return sample.collected()


def _reliability(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], temperature: float, *, multilabel: bool
) -> Reliability:
    after = tempered(probabilities, temperature, multilabel=multilabel, axis=1)
    return Reliability(
        predictions=probabilities.size if multilabel else len(probabilities),
        ece=calibration_error(probabilities, truth, multilabel=multilabel),
        ece_calibrated=calibration_error(after, truth, multilabel=multilabel),
        nll=negative_log_likelihood(probabilities, truth, multilabel=multilabel),
        nll_calibrated=negative_log_likelihood(after, truth, multilabel=multilabel),
    )
