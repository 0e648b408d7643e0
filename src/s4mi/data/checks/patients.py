"""One patient under two ids, as far as names tell: spellings of an id, ids in file names, the two sides of one body."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from s4mi.data.checks.scan import RowLocator
from s4mi.data.files import stem_of
from s4mi.data.manifest import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding

MOST = 0.8
"""File names are believed where at least this share of them carries the id of their own row."""
SIDES = frozenset({"left", "right", "l", "r", "od", "os", "ou", "cc", "mlo", "lcc", "rcc", "lmlo", "rmlo"})
"""Words for the sides and views of one body in file names."""


def find_same_patients(rows: Sequence[Row], place: RowLocator) -> Iterator[Finding]:
    """Findings about groups that seem to be one person."""
    grouped = [row for row in rows if row.group is not None]
    yield from _spellings(grouped, place)
    yield from _other_ids(grouped, place)
    yield from _pairs(grouped, place)


def _spellings(rows: Sequence[Row], place: RowLocator) -> Iterator[Finding]:
    """`P012`, `p12` and `P-12` are one id, written thrice."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        spellings[_plain(row.group or "")].add(row.group or "")
    for groups in spellings.values():
        if len(groups) > 1:
            found = [row for row in rows if row.group in groups]
            message = f"groups {some(sorted(groups))} look like one id; write it one way"
            yield _about(found, "patient-two-spellings", message, place)


def _other_ids(rows: Sequence[Row], place: RowLocator) -> Iterator[Finding]:
    """Where file names carry the ids of their rows, one that carries another id."""
    groups = {_plain(row.group or ""): row.group for row in rows}
    if len(groups) < 2:
        return
    tokens = [{_plain(token) for token in re.split(r"[^0-9A-Za-z]+", stem_of(row.image)) if token} for row in rows]
    own = [_plain(row.group or "") in names for row, names in zip(rows, tokens, strict=True)]
    if sum(own) < MOST * len(rows):
        return
    for row, names, carries in zip(rows, tokens, own, strict=True):
        others = sorted(str(groups[name]) for name in names if name in groups)
        if not carries and len(others) == 1:
            message = (
                f"image {row.image.name!r} carries the id of group {others[0]!r} in its name, and its group is "
                f"{row.group!r}; mend one of them"
            )
            yield _about([row], "patient-in-file-name", message, place)


def _pairs(rows: Sequence[Row], place: RowLocator) -> Iterator[Finding]:
    """`17_left` and `17_right` of two groups."""
    by_stem: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        tokens = [token for token in re.split(r"[^0-9a-z]+", stem_of(row.image).lower()) if token]
        rest = tuple(token for token in tokens if token not in SIDES)
        if rest and len(rest) < len(tokens):
            by_stem[(str(row.image.parent), *rest)].append(row)
    apart = [found for found in by_stem.values() if len({row.group for row in found}) > 1]
    # Where the names of most pairs are split over groups, the names number something else than people.
    if len(apart) > (1 - MOST) * len(by_stem) and len(apart) > 1:
        return
    for found in apart:
        names = some([row.image.name for row in found])
        groups = some(sorted({str(row.group) for row in found}))
        message = (
            f"images {names} look like one body from several sides, and are of groups {groups}; give them one group"
        )
        yield _about(found, "pair-in-two-groups", message, place)


def _about(rows: Sequence[Row], code: str, message: str, place: RowLocator) -> Finding:
    file, line = place(rows[0])
    lines = tuple(number for row in rows if (number := place(row)[1]) is not None)
    return Finding(code, "warning", file, line, message, lines)


def _plain(group: str) -> str:
    """In small letters, without punctuation and without zeros before a number."""
    parts = re.findall(r"[0-9]+|[a-z]+", group.lower())
    return "".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in parts)
