"""How sure a run may be: a temperature and thresholds fitted on validation, `calibration.json` of a run."""

import math
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records.files import write_text_atomically
from s4mi.records.scores import Frozen, TaskKind

CALIBRATION_NAME = "calibration.json"
FEW = 32
"""Fewer validation images than these say little of how sure a run may be: of simulated temperatures that were fitted
on 16, more than a quarter made other images worse."""

WORSE = 0.001
"""Nats by which a mean negative log-likelihood has to grow before anybody is told."""


class Reliability(Frozen):
    """How far probabilities can be believed on one part of the split, before the temperature and after it."""

    predictions: int = Field(
        validation_alias=AliasChoices("predictions", "answers"),
        description="what is counted: images, images × labels, or sampled pixels",
    )
    ece: float = Field(description="expected calibration error, 15 equal bins")
    ece_calibrated: float
    nll: float = Field(description="mean negative log-likelihood, nats")
    nll_calibrated: float


class Calibration(Frozen):
    """p → p^(1/T) / sum of these, of several labels p → sigmoid(logit(p) / T); a label is given above its threshold."""

    format: Literal[1] = 1
    task: TaskKind
    classes: list[str]
    temperature: float = Field(
        gt=0,
        description="least negative log-likelihood on validation, with few images drawn towards 1; above 1 it makes "
        "unsure",
    )
    images: int = Field(0, description="validation images it was fitted on; 0: an older s4mi, which drew nothing")
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="of several labels: best F1 on validation, of calibrated probabilities; 1/2 where validation has "
        "no image with the label, or none without it",
    )
    val: Reliability = Field(description="of the images it was fitted on, so better than it will be on others")
    test: Reliability | None = Field(None, description="of images that had no say in it")

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
    """Read `calibration.json` of `run_dir`, or None where there is none.

    Raises:
        S4miError: it is damaged, or of another format.
    """
    path = run_dir / CALIBRATION_NAME
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "file"
        raise S4miError(f"{path}: {place}: {problem['msg']}; make it again with: s4mi calibrate {run_dir}") from error
    if not math.isfinite(calibration.temperature):
        raise S4miError(f"{path}: temperature: is not finite; make it again with: s4mi calibrate {run_dir}")
    return calibration
