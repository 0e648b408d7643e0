"""Patients from file names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.manifest import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.errors import S4miError


def group_by_name(rows: Sequence[Row], pattern: str, *, source: Path) -> tuple[list[Row], list[Finding]]:
    """Each row with group 1 of `pattern`, searched in its file's name, as its patient.

    Raises:
        S4miError: the pattern is no regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise S4miError(f"--group-pattern {pattern!r}: is no regular expression ({error})") from error
    if expression.groups < 1:
        raise S4miError(f"--group-pattern {pattern!r}: has no group; put the patient's part in brackets: ([^_]+)_.*")
    grouped, unmatched = [], []
    for row in rows:
        found = expression.search(row.image.name)
        if found is None or not found.group(1):
            unmatched.append(row.image.relative_to(source).as_posix())
        else:
            grouped.append(replace(row, group=found.group(1)))
    findings = []
    if unmatched:
        message = f"{len(unmatched)} file names do not match --group-pattern {pattern!r}: {some(unmatched)}; widen it"
        findings.append(Finding("no-group", "error", ".", None, message))
    return grouped, findings
