"""Slices without foreground: usual at both ends of a volume, and worth a warning only if the whole volume has none."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s4mi.data.checks.scan import RowLocator, RowScan, is_slice
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def find_empty_volumes(scans: Sequence[RowScan], locate: RowLocator) -> Iterator[Finding]:
    """Yield a warning for each volume of masks without any foreground, at its first slice."""
    volumes: dict[Path, list[RowScan]] = {}
    for scan in scans:
        if scan.row.mask is not None and scan.pixels is not None and is_slice(scan.row.mask):
            volumes.setdefault(scan.row.mask.parent, []).append(scan)
    for volume, slices in volumes.items():
        if not any(any(scan.pixels[1:]) for scan in slices if scan.pixels):
            file, line = locate(slices[0].row)
            lines = tuple(number for scan in slices if (number := locate(scan.row)[1]) is not None)
            message = (
                f"masks of volume {volume.name!r} have no foreground in {plural(len(slices), 'slice')}; re-export them "
                "unless this is correct"
            )
            yield Finding("empty-mask", "warning", file, line, message, lines)
