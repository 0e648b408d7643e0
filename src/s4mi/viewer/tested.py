"""The predictions that a run made of its test images, as `s4mi predict` makes them: calibrated, with its thresholds."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from s4mi.maths.calibration import THRESHOLD, tempered
from s4mi.records import Predictions
from s4mi.records.calibration import read_calibration
from s4mi.reporting.results.test_predictions import read_predictions


def calibrated_predictions(run: Path, *, multilabel: bool) -> Predictions | None:
    """Return the calibrated predictions of a classifier for its test images; None if it has none.

    The table in its folder has raw probabilities, thresholded at 1/2, because scores are of those.

    Raises:
        S4miError: the table or the calibration of the run is damaged.
    """
    tested, calibration = read_predictions(run), read_calibration(run)
    if tested is None or calibration is None or tuple(calibration.classes) != tested.classes:
        return tested
    raw = tested.probabilities.astype(np.float32)
    probabilities = tempered(raw, calibration.temperature, multilabel=multilabel, axis=1).astype(np.float64)
    thresholds = np.array([calibration.thresholds.get(name, THRESHOLD) for name in tested.classes])
    decisions = probabilities > thresholds if multilabel else tested.decisions
    return replace(tested, probabilities=probabilities, decisions=decisions)
