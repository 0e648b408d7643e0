"""Patients from file names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural


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
    """Assign each row the patient that group 1 of `pattern` matches in its file name.

    Raises:
        S4miError: the pattern is not a valid regular expression, or has no group.
    """
    expression = compile_pattern(pattern)
    grouped, unmatched = [], []
    for row in rows:
        patient = patient_of(row.image.name, expression)
        if patient is None:
            unmatched.append(row.image.relative_to(source).as_posix())
        else:
            grouped.append(replace(row, group=patient))
    findings = []
    if unmatched:
        message = (
            f"{plural(len(unmatched), 'file name')} not matched by --group-pattern {pattern!r}: {some(unmatched)}; "
            "make the pattern more general"
        )
        findings.append(Finding("no-group", "error", ".", None, message))
    return grouped, findings
