"""Checks for patients with two ids: by spelling, by ids in file names, and by the two sides of one body."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from s4mi.data.checks.scan import RowLocator
from s4mi.data.files import stem_of
from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.single_group import single_group, single_group_message
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding

MIN_SHARE = 0.8
"""File names are used as evidence if at least this share of them agrees with the groups."""
SIDES = frozenset({"left", "right", "l", "r", "od", "os", "ou", "cc", "mlo", "lcc", "rcc", "lmlo", "rmlo"})
"""Words for the sides and views of one body in file names."""


def find_same_patients(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Yield findings about groups that seem to be one patient."""
    grouped = [row for row in rows if row.group is not None]
    yield from _spellings(grouped, locate)
    yield from _other_ids(grouped, locate)
    yield from _pairs(grouped, locate)


def find_single_patient(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Yield a finding if all images are of one patient."""
    if (group := single_group(rows)) is not None:
        yield _finding(rows, "one-patient", single_group_message(rows, group), locate)


def _spellings(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Find different spellings of one id, e.g. `P012`, `p12` and `P-12`."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for group in dict.fromkeys(row.group or "" for row in rows):
        spellings[_normalise(group)].add(group)
    for groups in spellings.values():
        if len(groups) > 1:
            affected = [row for row in rows if row.group in groups]
            message = f"groups {some(sorted(groups))} look like the same id; use one spelling"
            yield _finding(affected, "patient-two-spellings", message, locate)


def _other_ids(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Find file names with the id of another group, if file names contain the ids of their groups."""
    groups = {_normalise(row.group or ""): row.group for row in rows}
    if len(groups) < 2:
        return
    tokens: list[set[str]] = []
    matches: list[bool] = []
    different = 0
    for row in rows:
        names = {_normalise(token) for token in re.split(r"[\W_]+", normalised(stem_of(row.image))) if token}
        tokens.append(names)
        matches.append(_normalise(row.group or "") in names)
        different += not matches[-1]
        if different > (1 - MIN_SHARE) * len(rows):
            return
    for row, names, matching in zip(rows, tokens, matches, strict=True):
        others = sorted(str(groups[name]) for name in names if name in groups)
        if not matching and len(others) == 1:
            message = (
                f"image {row.image.name!r} has the id of group {others[0]!r} in its name, but is of group "
                f"{row.group!r}; correct one of them"
            )
            yield _finding([row], "patient-in-file-name", message, locate)


def _pairs(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Find images such as `17_left` and `17_right` in different groups."""
    by_stem: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        tokens = [token for token in re.split(r"[^0-9a-z]+", stem_of(row.image).lower()) if token]
        rest = tuple(token for token in tokens if token not in SIDES)
        if rest and len(rest) < len(tokens):
            by_stem[(str(row.image.parent), *rest)].append(row)
    separated = [pair for pair in by_stem.values() if len({row.group for row in pair}) > 1]
    # If most pairs are in different groups, the names number something other than patients.
    if len(separated) > (1 - MIN_SHARE) * len(by_stem) and len(separated) > 1:
        return
    for pair in separated:
        names = some([row.image.name for row in pair])
        groups = some(sorted({str(row.group) for row in pair}))
        message = f"images {names} look like sides of one body, but are of groups {groups}; give them the same group"
        yield _finding(pair, "pair-in-two-groups", message, locate)


def _finding(rows: Sequence[Row], code: str, message: str, locate: RowLocator) -> Finding:
    file, line = locate(rows[0])
    lines = tuple(number for row in rows if (number := locate(row)[1]) is not None)
    return Finding(code, "warning", file, line, message, lines)


@lru_cache(maxsize=1 << 16)
def _normalise(group: str) -> str:
    """Convert an id to lower case, without punctuation and leading zeros."""
    parts = re.findall(r"\d+|[^\W\d_]+", normalised(group).casefold())
    return "".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in parts)
