"""The same picture in several rows: byte for byte, or saved again, resized or brightened."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from s4mi.data.checks.scan import DatasetScan, RowLocator, RowScan, relative_name
from s4mi.data.duplicates import near_duplicates
from s4mi.data.manifest import Row
from s4mi.data.spec import Finding, Severity


def find_copies(looks: DatasetScan, root: Path, *, place: RowLocator) -> Iterator[Finding]:
    """A finding for each picture that stands in several rows, other than views of one patient that look alike."""
    seen = [look for look in looks.looks if look.digest is not None]
    first: dict[bytes, RowScan] = {}
    for look in seen:
        assert look.digest is not None
        other = first.setdefault(look.digest, look)
        if other is not look:
            yield _finding(look.row, other.row, "has the same content as", root=root, place=place, exact=True)
    kept = [number for number, look in enumerate(looks.looks) if look.digest is not None and first[look.digest] is look]
    whole = len(kept) == len(looks.looks)  # then there is nothing to leave out, and no copy to make
    thumbnails = looks.thumbnails if whole else looks.thumbnails[np.array(kept, dtype=np.int64)]
    for pair in near_duplicates(thumbnails):
        before, row = looks.looks[kept[pair.first]].row, looks.looks[kept[pair.second]].row
        if row.group is not None and row.group == before.group and row.split == before.split:
            continue
        words = f"looks the same (correlation {pair.similarity:.3f}) as"
        yield _finding(row, before, words, root=root, place=place, exact=False)


def _finding(row: Row, other: Row, words: str, *, root: Path, place: RowLocator, exact: bool) -> Finding:
    file, line = place(row)
    other_line = place(other)[1]
    where = "" if other_line is None else f" in line {other_line}"
    message = f"image {relative_name(row.image, root)!r} {words} {relative_name(other.image, root)!r}{where}"
    rows = tuple(number for number in (line, other_line) if number is not None)

    def finding(code: str, severity: Severity, rest: str) -> Finding:
        return Finding(code, severity, file, line, f"{message}{rest}", rows)

    if _unlabelled_copy(row, other) or _unlabelled_copy(other, row):
        rest = ", and one of them is a test image and the other has no annotation: pre-training would see the test"
        return finding("unlabelled-copy-of-test", "error", f"{rest}; remove the one without annotation")
    if row.split != other.split:
        code = "duplicate-across-splits" if exact else "near-duplicate-across-splits"
        rest = f", which is in {other.split or 'no part'} and this one in {row.split or 'no part'}; remove one of them"
        return finding(code, "error", rest)
    if exact:
        labels = (
            f", which is labelled {_labels(other)} and this one {_labels(row)}" if row.labels != other.labels else ""
        )
        return finding("duplicate-image", "warning", f"{labels}; keep one")
    groups = f", of group {other.group!r} and this one of {row.group!r}" if row.group and other.group else ""
    return finding("near-duplicate", "warning", f"{groups}; keep one, or give both the same group")


def _unlabelled_copy(one: Row, other: Row) -> bool:
    return one.labels is None and one.mask is None and one.split != "test" and other.split == "test"


def _labels(row: Row) -> str:
    return "not at all" if row.labels is None else repr(";".join(row.labels) or "none")


def missing_values(rows: Sequence[Row], place: RowLocator) -> Iterator[Finding]:
    """`split` or `group` filled in for some rows only."""
    for what, cells in (("split", [row.split for row in rows]), ("group", [row.group for row in rows])):
        without = [row for row, cell in zip(rows, cells, strict=True) if cell is None]
        if 0 < len(without) < len(rows):
            file, line = place(without[0])
            message = f"{len(without)} of {len(rows)} rows, the first of them here, have no {what}; fill in all or none"
            lines = tuple(number for row in without if (number := place(row)[1]) is not None)
            yield Finding(f"{what}-missing", "warning", file, line, message, lines)
