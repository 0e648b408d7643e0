"""How sure a run may be: a temperature, and thresholds of several labels, fitted on its validation images.

Of classifiers an answer is an image's, of segmenters that of a pixel, as large as the network sees it. Not all pixels
are taken: they are many, and neighbours say the same.
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
from s4mi.records.calibration import Calibration, Reliability, write_calibration
from s4mi.training.evaluate import EVALUATION_BATCH, Evaluation, evaluate
from s4mi.training.pixel_sample import Given, PixelSample
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_dir import RunDir, load_method, make_fabric

log = logging.getLogger("s4mi")


def calibrate_run(run: Path) -> Calibration:
    """Fit `calibration.json` of a run whose data set is there, and write it.

    Raises:
        S4miError: no such run, its data set is gone or has changed, or no validation image is annotated.
    """
    run_dir = RunDir(run)
    config = run_dir.config()
    fabric = make_fabric(config)
    prepared = prepare(config)
    run_dir.check_split(prepared.split)
    if not prepared.annotated("val"):
        raise S4miError(f"{run}: no image of its validation part is annotated, so nothing says how sure it may be")
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
    """Fit on the validation part, and say what it does on the test part; None where no validation image is annotated.

    Args:
        val, test: full scores of these parts where they are known already, with the answers that they were made from.
    """
    fitted = _answers(fabric, method, config, prepared, "val", val)
    if fitted is None:
        return None
    task = prepared.task
    multilabel = task.kind == "multilabel"
    images = len(prepared.annotated("val"))
    temperature = fit_temperature(*fitted, multilabel=multilabel, images=images)
    thresholds = {}
    if multilabel:
        sure = tempered(fitted[0], temperature, multilabel=True, axis=1)
        thresholds = {name: best_threshold(sure[:, k], fitted[1][:, k]) for k, name in enumerate(task.classes)}
    held_out = _answers(fabric, method, config, prepared, "test", test)
    calibration = Calibration(
        task=task.kind,
        classes=list(task.classes),
        images=images,
        temperature=temperature,
        thresholds=thresholds,
        val=_reliability(*fitted, temperature, multilabel=multilabel),
        test=None if held_out is None else _reliability(*held_out, temperature, multilabel=multilabel),
    )
    for warning in calibration.warnings:
        log.info(warning)
    return calibration


def _answers(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    part: Part,
    known: Evaluation | None,
) -> Given | None:
    """(N, K) probabilities of a part, and (N,) classes or, of several labels, (N, K) 0/1; None where there are none."""
    rows = prepared.annotated(part)
    if not rows:
        return None
    if isinstance(method, Segmenter):
        return _pixels(fabric, method, prepared, rows) if known is None else known.pixels
    known = known or evaluate(fabric, method, config, prepared, part)
    assert known is not None
    assert known.predictions is not None
    return _images(known.predictions, multilabel=prepared.task.kind == "multilabel")


def _images(answers: Predictions, *, multilabel: bool) -> Given:
    truth = answers.truth.astype(np.int64) if multilabel else answers.truth.argmax(axis=1)
    return answers.probabilities.astype(np.float32), truth


def _pixels(fabric: Fabric, method: Segmenter, prepared: Prepared, rows: list[int]) -> Given | None:
    entries = prepared.cache.entries_of(rows)
    sample = PixelSample(len(entries))
    batches = PlainBatches(prepared.source(fabric.device), entries, batch_size=EVALUATION_BATCH)
    for batch, logits in infer(fabric, method, batches):
        sample.add(batch, logits)
    return sample.taken()


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
