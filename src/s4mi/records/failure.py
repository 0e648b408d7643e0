"""Why a run has failed, as its folder says until it has finished."""

from pathlib import Path

from pydantic import ValidationError

from s4mi.records.scores import Frozen

FAILURE_NAME = "failure.json"
LOG_NAME = "log.txt"
"""What a run of a study has said, in its folder."""


class Failure(Frozen):
    """Why a run has failed the last time, how often it has, and when."""

    reason: str
    attempts: int
    when: str


def read_failure(run: Path) -> Failure | None:
    """The last failure, or None; a file that cannot be read is none."""
    try:
        return Failure.model_validate_json((run / FAILURE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
