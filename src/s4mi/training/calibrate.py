"""Calibrate a run: fit temperature scaling and, for multi-label tasks, per-class thresholds on what it is chosen with.

A classifier is calibrated on its predictions of images, a segmenter on those of pixels at network resolution. Pixels
are sampled: there are very many of them, and neighbours carry the same information.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Segmenter
from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError
from s4mi.maths.calibration import (
    best_threshold,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    tempered,
)
from s4mi.records.calibration import Calibration, write_calibration
from s4mi.records.reliability import Reliability
from s4mi.training.evaluate import Evaluation, evaluate
from s4mi.training.feature_stores import attach, feature_store
from s4mi.training.out_of_fold import out_of_fold
from s4mi.training.pixel_sample import LabelledProbabilities
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import build_method, load_method, make_fabric
from s4mi.training.selection import NO_FOLDS, SelectionPlan, selection_plan

log = logging.getLogger("s4mi")


def calibrate_run(run: Path) -> Calibration:
    """Calibrate a trained run on its data set, and write its `calibration.json`.

    Raises:
        S4miError: the run does not exist, its data set is missing or has changed, or it has no labels to calibrate on.
    """
    run_dir = RunDir(run)
    config = run_dir.config()
    fabric = make_fabric(config)
    prepared = prepare(config)
    run_dir.check_split(prepared.split, prepared.manifest)
    method = load_method(fabric, config, prepared.task, run_dir.best)
    chosen_with = chosen_on(fabric, method, config, prepared)
    if chosen_with is None:
        raise S4miError(f"{run}: cannot be calibrated, as {_no_labels(selection_plan(config, prepared))}")
    calibration = calibrate(fabric, method, config, prepared, chosen_with=chosen_with)
    assert calibration is not None
    write_calibration(calibration, run)
    return calibration


def chosen_on(
    fabric: Fabric, method: Classifier | Segmenter, config: RunConfig, prepared: Prepared
) -> Evaluation | None:
    """Evaluate a run on what it is chosen with: its validation part, or its labels by folds; None: on nothing."""
    plan = selection_plan(config, prepared)
    if plan.reads_validation:
        return evaluate(fabric, method, config, prepared, "val")
    if plan.used == "cross_validation":
        fresh = build_method(config, prepared.task)
        assert isinstance(fresh, FittedClassifier | FittedSegmenter)
        store = feature_store(config, fabric)
        attach(fresh.extractors, store)
        return out_of_fold(fabric, fresh.to(fabric.device).eval(), config, prepared, store)
    return None


def calibrate(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    *,
    chosen_with: Evaluation | None,
    test: Evaluation | None = None,
) -> Calibration | None:
    """Fit temperature and thresholds on what the run is chosen with, and measure them on test.

    Args:
        chosen_with: evaluation of the validation part, or of the labels by folds; None: nothing to calibrate on.
        test: evaluation of the test part, to be reused if it exists already.

    Returns:
        None without anything to calibrate on.
    """
    predicted = None if chosen_with is None else labelled_probabilities(chosen_with, prepared)
    if predicted is None or chosen_with is None:
        return None
    task = prepared.task
    multilabel = task.kind == "multilabel"
    images = chosen_with.scores.images
    temperature = fit_temperature(*predicted, multilabel=multilabel, images=images)
    thresholds = {}
    if multilabel:
        calibrated = tempered(predicted[0], temperature, multilabel=True, axis=1)
        thresholds = {name: best_threshold(calibrated[:, k], predicted[1][:, k]) for k, name in enumerate(task.classes)}
    test = test or evaluate(fabric, method, config, prepared, "test", distances=False)
    measured = None if test is None else labelled_probabilities(test, prepared)
    calibration = Calibration(
        task=task.kind,
        classes=list(task.classes),
        images=images,
        temperature=temperature,
        thresholds=thresholds,
        val=reliability(*predicted, temperature, multilabel=multilabel),
        test=None if measured is None else reliability(*measured, temperature, multilabel=multilabel),
    )
    for warning in calibration.warnings:
        log.info(warning)
    return calibration


def reliability_with(
    calibration: Calibration | None, evaluation: Evaluation | None, prepared: Prepared
) -> Reliability | None:
    """Calibration error of evaluated images without and with the temperature of a run, 1 if it has none."""
    predicted = None if evaluation is None else labelled_probabilities(evaluation, prepared)
    if predicted is None:
        return None
    temperature = 1.0 if calibration is None else calibration.temperature
    return reliability(*predicted, temperature, multilabel=prepared.task.kind == "multilabel")


def labelled_probabilities(evaluation: Evaluation, prepared: Prepared) -> LabelledProbabilities | None:
    """Predictions and ground truth of the evaluated images, or of a sample of their pixels; None if there are none."""
    if evaluation.predictions is None:
        return evaluation.pixels
    predictions, multilabel = evaluation.predictions, prepared.task.kind == "multilabel"
    truth = predictions.labels if multilabel else predictions.truth.argmax(axis=1)
    return predictions.probabilities.astype(np.float32), truth


def reliability(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], temperature: float, *, multilabel: bool
) -> Reliability:
    """Calibration error of predictions, as they are and with a temperature."""
    after = tempered(probabilities, temperature, multilabel=multilabel, axis=1)
    return Reliability(
        predictions=int((truth >= 0).sum()),
        ece=calibration_error(probabilities, truth, multilabel=multilabel),
        ece_calibrated=calibration_error(after, truth, multilabel=multilabel),
        nll=negative_log_likelihood(probabilities, truth, multilabel=multilabel),
        nll_calibrated=negative_log_likelihood(after, truth, multilabel=multilabel),
    )


def _no_labels(plan: SelectionPlan) -> str:
    if plan.used == "last" and plan.asked == "last":
        return "it was trained with selection=last, which keeps all labels for training"
    return plan.note or NO_FOLDS
