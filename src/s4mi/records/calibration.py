"""Calibration of a run, `calibration.json`: temperature scaling and per-class thresholds, fitted on validation."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records.atomic import write_text_atomically
from s4mi.records.reliability import Reliability
from s4mi.records.scores import Frozen, TaskKind

CALIBRATION_NAME = "calibration.json"
FEW = 32
"""Validation images below which calibration is unreliable: of simulated temperatures fitted on 16 images, more than a
quarter made the probabilities of other images worse."""

WORSE = 0.001
"""Increase of the mean negative log-likelihood, in nats, above which a warning is due."""


class Calibration(Frozen):
    """Temperature scaling p → p^(1/T), normalised; multi-label: p → sigmoid(logit(p) / T) and a threshold per label."""

    format: Literal[1] = 1
    task: TaskKind
    classes: list[str]
    temperature: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="temperature of least negative log-likelihood on validation, regularised towards 1 for few images; "
        "above 1 lowers confidence",
    )
    images: int = Field(
        0, description="validation images it was fitted on; 0: written by an older version, without regularisation"
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="multi-label: threshold of best F1 on validation for each label, on calibrated probabilities; 1/2 "
        "if validation has no image with the label, or none without it",
    )
    val: Reliability = Field(
        description="calibration on the images it was fitted on, therefore optimistic: those of the validation part, "
        "labels held out, or labels by folds"
    )
    test: Reliability | None = Field(None, description="calibration on the held-out test images")

    @property
    def warnings(self) -> list[str]:
        """Warnings about the reliability of the calibrated probabilities, a sentence each."""
        warnings = []
        if 0 < self.images < FEW:
            warnings.append(
                f"Only {plural(self.images, 'validation image')}: temperature regularised towards 1; treat "
                "probabilities as uncalibrated."
            )
        if self.test is not None and self.test.nll_calibrated > self.test.nll + WORSE:
            warnings.append(
                f"Temperature scaling made probabilities worse on the test images (negative log-likelihood "
                f"{self.test.nll:.3f} without, {self.test.nll_calibrated:.3f} with it)."
            )
        return warnings


def write_calibration(calibration: Calibration, run_dir: Path) -> None:
    """Write `calibration.json` into `run_dir`, atomically."""
    write_text_atomically(run_dir / CALIBRATION_NAME, calibration.model_dump_json(indent=2) + "\n")


def read_calibration(run_dir: Path) -> Calibration | None:
    """Read `calibration.json` of `run_dir`; return None if there is none.

    Raises:
        S4miError: the file is damaged or has another format.
    """
    path = run_dir / CALIBRATION_NAME
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "file"
        raise S4miError(f"{path}: {place}: {problem['msg']}; recreate it with: s4mi calibrate {run_dir}") from error
    if not math.isfinite(calibration.temperature):
        raise S4miError(f"{path}: temperature must be finite; recreate it with: s4mi calibrate {run_dir}")
    return calibration
