"""`precision.json` of a run: whether bfloat16 changes its decisions, measured when it first predicts in bfloat16."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from s4mi.records.atomic import write_text_atomically
from s4mi.records.scores import Frozen

PRECISION_NAME = "precision.json"


class PrecisionCheck(Frozen):
    """Predictions in bfloat16 against float32 on the first images that a run predicted."""

    format: Literal[1] = 1
    weights: str = Field(description="hash of the weights that were compared")
    images: int = Field(description="network inputs that were compared")
    equal: float = Field(description="share of equal decisions: of inputs or, for segmentation, of pixels")
    error: float = Field(
        description="root mean square error of logits, of classes relative to the most probable; -1: not finite"
    )
    used: bool = Field(description="whether the run predicts in bfloat16, because decisions are the same")


def read_precision(run_dir: Path, weights: str) -> PrecisionCheck | None:
    """Read the check of these weights; None if there is none that can be read."""
    try:
        check = PrecisionCheck.model_validate_json((run_dir / PRECISION_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return check if check.weights == weights else None


def write_precision(check: PrecisionCheck, run_dir: Path) -> None:
    """Write `precision.json`, atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    write_text_atomically(run_dir / PRECISION_NAME, check.model_dump_json(indent=2) + "\n")
