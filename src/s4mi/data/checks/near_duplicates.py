"""Checks for duplicates (identical files) and near-duplicates (saved again, resized or brightened)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from s4mi.data.checks.scan import DatasetScan, RowLocator, RowScan, relative_name
from s4mi.data.duplicates import near_duplicates
from s4mi.data.manifest import Row
from s4mi.data.spec import Finding, Severity


def find_duplicates(scan: DatasetScan, root: Path, *, locate: RowLocator) -> Iterator[Finding]:
    """Yield a finding for each duplicate, except near-duplicates of the same patient in the same part."""
    readable = [one for one in scan.rows if one.digest is not None]
    first: dict[bytes, RowScan] = {}
    for one in readable:
        assert one.digest is not None
        other = first.setdefault(one.digest, one)
        if other is not one:
            yield _finding(one.row, other.row, "has the same content as", root=root, locate=locate, exact=True)
    unique = [i for i, one in enumerate(scan.rows) if one.digest is not None and first[one.digest] is one]
    complete = len(unique) == len(scan.rows)  # avoids a copy of all thumbnails
    thumbnails = scan.thumbnails if complete else scan.thumbnails[np.array(unique, dtype=np.int64)]
    for pair in near_duplicates(thumbnails):
        other_row, row = scan.rows[unique[pair.first]].row, scan.rows[unique[pair.second]].row
        if row.group is not None and row.group == other_row.group and row.split == other_row.split:
            continue
        relation = f"is a near-duplicate (correlation {pair.similarity:.3f}) of"
        yield _finding(row, other_row, relation, root=root, locate=locate, exact=False)


def _finding(row: Row, other: Row, relation: str, *, root: Path, locate: RowLocator, exact: bool) -> Finding:
    file, line = locate(row)
    other_line = locate(other)[1]
    where = "" if other_line is None else f" in line {other_line}"
    message = f"image {relative_name(row.image, root)!r} {relation} {relative_name(other.image, root)!r}{where}"
    rows = tuple(number for number in (line, other_line) if number is not None)

    def finding(code: str, severity: Severity, details: str) -> Finding:
        return Finding(code, severity, file, line, f"{message}{details}", rows)

    if _unlabelled_copy(row, other) or _unlabelled_copy(other, row):
        details = ", but one is a test image, and the other, without annotation, would leak it into pre-training"
        return finding("unlabelled-copy-of-test", "error", f"{details}; remove the one without annotation")
    if row.split != other.split:
        code = "duplicate-across-splits" if exact else "near-duplicate-across-splits"
        details = (
            f", but is in {row.split or 'no part'} and the other in {other.split or 'no part'}; remove one of them"
        )
        return finding(code, "error", details)
    if exact:
        labels = "" if row.labels == other.labels else f", but is {_labels(row)} and the other {_labels(other)}"
        return finding("duplicate-image", "warning", f"{labels}; keep one")
    groups = f", but is of group {row.group!r} and the other of {other.group!r}" if row.group and other.group else ""
    return finding("near-duplicate", "warning", f"{groups}; keep one, or give both the same group")


def _unlabelled_copy(one: Row, other: Row) -> bool:
    return one.labels is None and one.mask is None and one.split != "test" and other.split == "test"


def _labels(row: Row) -> str:
    return "unlabelled" if row.labels is None else f"labelled {';'.join(row.labels) or 'none'}"
