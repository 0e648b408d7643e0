"""`predict.json`: how the predictions in a folder were made, so that resuming never mixes different settings."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.records.scores import Frozen

SETTINGS_NAME = "predict.json"

MaskFormat = Literal["png", "match"]


class OutputSettings(Frozen):
    """Everything that determines a prediction and its file format."""

    models: list[str] = Field(description="content hash of the weights of each model")
    calibration: list[float | None] = Field(description="temperature of each model; null: uncalibrated")
    thresholds: list[float] = Field(description="thresholds of multi-label tasks; else empty")
    classes: list[str]
    raw: bool
    tta: bool
    overlap: float
    format: MaskFormat
    precision: list[str] = Field([], description="precision of each model; empty: written by an older version, in 32")


def begin_folder(out: Path, settings: OutputSettings, *, resume: bool) -> bool:
    """Write `predict.json` and return whether existing predictions may be kept.

    Raises:
        S4miError: `resume` is set, but the existing predictions were made with other settings.
    """
    path = out / SETTINGS_NAME
    keep = False
    if resume and path.exists():
        try:
            previous = OutputSettings.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise S4miError(f"{path}: is damaged; leave out --resume, or choose another folder with -o") from error
        for name in OutputSettings.model_fields:
            old, new = getattr(previous, name), getattr(settings, name)
            if name == "precision" and not old:
                old = ["32"] * len(settings.models)
            if old != new:
                raise S4miError(
                    f"{path}: existing predictions were made with {name} {_format(old)}, not {_format(new)}; leave out "
                    "--resume to predict all images again, or choose another folder with -o"
                )
        keep = True
    write_text_atomically(path, settings.model_dump_json(indent=2) + "\n")
    return keep


def _format(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
