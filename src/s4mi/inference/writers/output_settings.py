"""What made the answers in a folder, `predict.json`, so that no two kinds of answers are mixed when it goes on."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.records.scores import Frozen

SETTINGS_NAME = "predict.json"

MaskFormat = Literal["png", "match"]


class OutputSettings(Frozen):
    """Everything that decides what an answer is, and what file it becomes."""

    models: list[str] = Field(description="content hash of each network that answers")
    calibration: list[float | None] = Field(description="temperature of each; null: as the network gives them")
    thresholds: list[float] = Field(description="of several labels")
    classes: list[str]
    raw: bool
    tta: bool
    overlap: float
    format: MaskFormat


def begin_folder(out: Path, settings: OutputSettings, *, resume: bool) -> bool:
    """Write `predict.json`; returns whether what is in the folder may be kept.

    Raises:
        S4miError: it shall be kept, and was made in another way.
    """
    path = out / SETTINGS_NAME
    kept = False
    if resume and path.exists():
        try:
            before = OutputSettings.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise S4miError(f"{path}: is damaged; leave out --resume, or choose another folder with -o") from error
        for name in OutputSettings.model_fields:
            old, new = getattr(before, name), getattr(settings, name)
            if old != new:
                raise S4miError(
                    f"{path}: these answers were made with {name} {_shown(old)}, not {_shown(new)}; leave out "
                    "--resume to answer all again, or choose another folder with -o"
                )
        kept = True
    write_text_atomically(path, settings.model_dump_json(indent=2) + "\n")
    return kept


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
