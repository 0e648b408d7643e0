"""Reason for the failure of a run, kept in its folder until it has finished."""

from pathlib import Path

from pydantic import ValidationError

from s4mi.records.scores import Frozen

FAILURE_NAME = "failure.json"
LOG_NAME = "log.txt"
"""Output of a run of a study, in the run folder."""


class Failure(Frozen):
    """The last failure of a run, and the number of attempts so far."""

    reason: str
    attempts: int
    when: str


def read_failure(run: Path) -> Failure | None:
    """Return the last failure of a run, or None if there is none or its file cannot be read."""
    try:
        return Failure.model_validate_json((run / FAILURE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
