"""Checks for duplicates (identical files) and near-duplicates (saved again, resized or brightened)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s4mi.data.banded_masks import mask_chunks
from s4mi.data.checks.scan import DatasetScan, FileEncoding, RowLocator
from s4mi.data.copies import find_copies
from s4mi.data.images import image_size
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.spec import Finding, Severity
from s4mi.errors import S4miError


def find_duplicates(
    scan: DatasetScan,
    root: Path,
    *,
    locate: RowLocator,
    different: Sequence[tuple[str, str]] = (),
    cache: Path | None = None,
) -> Iterator[Finding]:
    """Yield a finding for each duplicate, except near-duplicates of the same patient in the same part.

    Args:
        different: pairs of ids that a person has declared different.
        cache: folder of caches, where the pairs that were compared are kept.
    """
    rows = [one.row for one in scan.rows]
    limits: list[str] = []
    copies = find_copies(
        rows, digests=[one.digest for one in scan.rows], thumbnails=scan.thumbnails, intensity=scan.encoding.intensity,
        different=different, cache=cache, limited=limits.append,
    )  # fmt: skip
    for message in limits:
        yield Finding("near-duplicates-limited", "warning", locate(rows[0])[0], None, message)
    for copy in copies:
        other, row = rows[copy.first], rows[copy.second]
        if not copy.exact and row.group is not None and row.group == other.group and row.split == other.split:
            continue
        near = f"is a near-duplicate (correlation {copy.similarity:.3f}) of"
        relation = "has the same content as" if copy.exact else near
        differ = disagreement(row, other, scan.encoding)
        yield _finding(row, other, relation, differ, root=root, locate=locate, exact=copy.exact)


def _finding(
    row: Row, other: Row, relation: str, differ: str, *, root: Path, locate: RowLocator, exact: bool
) -> Finding:
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
        hint = f"; {differ}, so correct one, or keep the right one" if differ else "; keep one"
        return finding("duplicate-image", "warning", hint)
    groups = f", but is of group {row.group!r} and the other of {other.group!r}" if row.group and other.group else ""
    return finding("near-duplicate", "warning", f"{groups}; keep one, or give both the same group")


def _unlabelled_copy(one: Row, other: Row) -> bool:
    return one.labels is None and one.mask is None and one.split != "test" and other.split == "test"


def disagreement(row: Row, other: Row, encoding: FileEncoding) -> str:
    """Return how the labels and masks of two copies of an image differ; `''` if they do not, or cannot be compared."""
    texts = []
    unknown = {*row.unknown, *other.unknown}
    if row.labels is not None and other.labels is not None and (set(row.labels) ^ set(other.labels)) - unknown:
        texts.append(f"their labels differ ({_labels(row)} and {_labels(other)})")
    elif (row.labels is None) != (other.labels is None):
        texts.append(f"one is {_labels(row)} and the other {_labels(other)}")
    if row.mask is not None and other.mask is not None and encoding.mask_values:
        try:
            different = _different_masks(row.mask, other.mask, encoding)
        except S4miError:  # reported by the scan
            return " and ".join(texts)
        if different:
            texts.append(different)
    return " and ".join(texts)


def _different_masks(mask: Path, other: Path, encoding: FileEncoding) -> str:
    """Return how two masks of one size differ; `''` if they are equal, or of different sizes."""
    size = image_size(mask)
    if size != image_size(other):
        return ""
    differ = shared = inside = 0
    chunks = (mask_chunks(path, encoding.mask_values) for path in (mask, other))
    for one, two in zip(*chunks, strict=True):
        differ += int((one != two).sum())
        shared += int(((one > 0) & (one == two)).sum())
        inside += int((one > 0).sum()) + int((two > 0).sum())
    if not differ:
        return ""
    dice = 2 * shared / max(1, inside)
    return f"their masks differ at {100 * differ / (size[0] * size[1]):.2g} % of the pixels (Dice {dice:.2f})"


def _labels(row: Row) -> str:
    return "unlabelled" if row.labels is None else f"labelled {';'.join(row.labels) or 'none'}"
