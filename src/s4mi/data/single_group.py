"""Data sets whose images all are of one patient, which no patient-safe split can divide."""

from collections.abc import Sequence

from s4mi.data.row import Row
from s4mi.formatting import plural


def single_group(rows: Sequence[Row]) -> str | None:
    """Return the group that all of several images share, or None."""
    groups = {row.group for row in rows}
    return next(iter(groups)) if len(groups) == 1 and len(rows) > 1 else None


def single_group_message(rows: Sequence[Row], group: str) -> str:
    """Say that all images are of one patient, and what to do."""
    return (
        f"all {plural(len(rows), 'image')} are of one patient (group {group!r}), so no split can keep patients apart; "
        "add images of other patients, or correct the groups if they are not"
    )
