"""Stop an import whose source has errors, or skip rows whose files are missing."""

from collections.abc import Sequence
from dataclasses import replace

from s4mi.data.sources.types import FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural

MISSING_FILES = ("missing-image", "missing-mask")
"""Codes of findings about rows that can be skipped."""


class ImportRefusedError(S4miError):
    """An import stopped by errors; the message is about the first of `findings`."""

    def __init__(self, message: str, findings: Sequence[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def skip_missing_files(found: FoundDataset) -> FoundDataset:
    """Return `found` with its missing files as warnings about rows that are skipped."""
    findings = [
        replace(one, severity="warning", message=f"{one.message.partition('; ')[0]}; row skipped")
        if one.severity == "error" and one.code in MISSING_FILES
        else one
        for one in found.findings
    ]
    return replace(found, findings=tuple(findings))


def refuse_errors(found: FoundDataset) -> None:
    """Raise ImportRefusedError if there are errors, or S4miError if there are no images."""
    errors = [finding for finding in found.findings if finding.severity == "error"]
    if errors:
        more = f" (and {plural(len(errors) - 1, 'more error')})" if len(errors) > 1 else ""
        message = f"{found.folder / errors[0].location}: {errors[0].message}{more}"
        raise ImportRefusedError(message, errors)
    if not found.rows:
        raise S4miError(f"{found.folder}: no images to import; check the folder with: s4mi data check {found.folder}")
