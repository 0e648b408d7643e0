"""Patients from the names of files and folders."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural

MANY_FOLDERS = 12
"""So many folders whose names differ in a number alone are hardly classes."""
_PATIENT_WORD = re.compile(
    r"(?:patient(?:en)?|pat|subject|subj?|participant|proband|person|case|fall|paciente|paziente|pid|p)[ _.\-]*",
    re.IGNORECASE,
)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of --group-pattern.

    Raises:
        S4miError: it is not a valid regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise S4miError(
            f"--group-pattern {pattern!r}: not a valid regular expression ({error}); fix it, e.g. ([^_]+)_.*"
        ) from error
    if expression.groups < 1:
        raise S4miError(
            f"--group-pattern {pattern!r}: has no group; put the part that is the patient in parentheses: ([^_]+)_.*"
        )
    return expression


def patient_of(name: str, pattern: re.Pattern[str]) -> str | None:
    """Return the patient in a name, or None if the pattern does not match."""
    found = pattern.search(normalised(name))
    return (found.group(1) or None) if found else None


def group_by_name(rows: Sequence[Row], pattern: str, *, source: Path) -> tuple[list[Row], list[Finding]]:
    """Assign each row the patient that group 1 of `pattern` matches in its file name, or in its path below `source`.

    The path is searched if the pattern has a `/`, which no file name has.

    Raises:
        S4miError: the pattern is not a valid regular expression, or has no group.
    """
    expression = compile_pattern(pattern)
    grouped, unmatched = [], []
    for row in rows:
        path = row.image.relative_to(source).as_posix()
        patient = patient_of(path if "/" in pattern else row.image.name, expression)
        if patient is None:
            unmatched.append(path)
        else:
            grouped.append(replace(row, group=patient))
    findings = []
    if unmatched:
        counted = plural(len(unmatched), "path" if "/" in pattern else "file name")
        message = (
            f"{counted} not matched by --group-pattern {pattern!r}: {some(unmatched)}; make the pattern more general"
        )
        findings.append(Finding("no-group", "error", ".", None, message))
    return grouped, findings


def pattern_of_folders(names: Sequence[str]) -> str:
    """Return the pattern of folders that are one patient each by their names; `''` if they may be classes.

    Such names differ in a number alone, after a word for a patient (`Patient_03`), or are many (`K-0017`).
    """
    parts = [re.fullmatch(r"(\D*)\d+(\D*)", name) for name in names]
    around = {match.groups() for match in parts if match is not None}
    if len(names) < 2 or None in parts or len(around) > 1:
        return ""
    before, after = around.pop()
    if _PATIENT_WORD.fullmatch(before) is None and len(names) < MANY_FOLDERS:
        return ""
    return rf"({re.escape(before)}\d+{re.escape(after)})/" if before else rf"(?:^|/)(\d+{re.escape(after)})/"


def patient_folder_findings(names: Sequence[str]) -> list[Finding]:
    """Return a warning if folders that are imported as classes look like patients."""
    pattern = pattern_of_folders(names)
    if not pattern:
        return []
    message = (
        f"{len(names)} folders look like patients, not classes: {some(names)}; if so, import again with --no-classes "
        f"--group-pattern {shlex.quote(pattern)}, or a table that has their classes"
    )
    return [Finding("patients-as-classes", "warning", ".", None, message)]
