"""Checks for mixed formats, orientation, files of several frames, and identifying DICOM files."""

from collections import Counter
from collections.abc import Iterator, Sequence

from s4mi.data.checks.scan import RowLocator, RowScan, size_text
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding, Severity
from s4mi.formatting import plural

CHANNELS = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "colour with alpha"}
EIGHT_BIT = ("uint8", "bool")


def find_mixed_formats(scans: Sequence[RowScan], locate: RowLocator) -> Iterator[Finding]:
    """Yield findings about the formats of files, each with all affected rows."""
    readable = [scan for scan in scans if scan.header is not None]
    yield from _mixed(readable, locate)
    yield from _turned(readable, locate)
    multi_frame = [scan for scan in readable if scan.header is not None and scan.header.frames > 1]
    if multi_frame:
        message = f"{plural(len(multi_frame), 'file')} with several frames, of which only the first is used"
        hint = "import them with s4mi data import to use all"
        yield _finding(multi_frame, "several-frames", f"{message}; {hint}", locate, "warning")
    identified = [scan for scan in scans if scan.identifiers]
    if identified:
        tags = some(sorted({tag for scan in identified for tag in scan.identifiers}), most=6)
        message = f"{plural(len(identified), 'DICOM file')} with attributes that identify the patient ({tags})"
        hint = "import without --keep-dicom to remove them"
        yield _finding(identified, "dicom-identifiers", f"{message}; {hint}", locate, "warning")
    burnt_in = [scan for scan in scans if scan.burnt_in]
    if burnt_in:
        message = f"{plural(len(burnt_in), 'DICOM file')} marked as having text burnt into the pixels"
        yield _finding(burnt_in, "dicom-burnt-in", f"{message}; review them and black out the text", locate, "warning")


def _turned(readable: Sequence[RowScan], locate: RowLocator) -> Iterator[Finding]:
    """Yield a finding about images and masks that are stored rotated: a warning if only one of a pair is."""
    turned = [scan for scan in readable if scan.header is not None and (scan.header.turned or scan.mask_turned)]
    if not turned:
        return
    unlike = [
        scan for scan in turned
        if scan.row.mask is not None and scan.header is not None and scan.header.turned is not scan.mask_turned
    ]  # fmt: skip
    message = f"{plural(len(turned), 'image')} rotated by their EXIF or TIFF orientation when read"
    hint = "no action needed; masks are rotated by their own orientation in the same way"
    if unlike:
        hint = f"{len(unlike)} of them differ in this from their mask; check that the mask fits the upright image"
    severity: Severity = "warning" if unlike else "note"
    yield _finding(unlike or turned, "exif-orientation", f"{message}; {hint}", locate, severity)


def _mixed(readable: Sequence[RowScan], locate: RowLocator) -> Iterator[Finding]:
    channels = Counter(scan.header.channels for scan in readable if scan.header is not None)
    if len(channels) > 1:
        rarest = min(channels, key=lambda kind: channels[kind])
        counts = ", ".join(f"{CHANNELS.get(kind, kind)} {count}" for kind, count in channels.most_common())
        affected = [scan for scan in readable if scan.header is not None and scan.header.channels == rarest]
        message = f"different channels ({counts}); grey is repeated and alpha dropped; review the few"
        yield _finding(affected, "mixed-channels", message, locate, "warning")
    dtypes = Counter(scan.header.dtype for scan in readable if scan.header is not None)
    deep = [scan for scan in readable if scan.header is not None and scan.header.dtype not in EIGHT_BIT]
    if deep and len(deep) < len(readable):
        counts = ", ".join(f"{kind} {count}" for kind, count in dtypes.most_common())
        message = f"different bit depths ({counts}), converted to 8 bits by `intensity` in dataset.yaml"
        yield _finding(deep, "mixed-depths", f"{message}; check that the rule suits them", locate, "note")
    sizes = Counter(scan.size for scan in readable if scan.size is not None)
    if len(sizes) > 1:
        by_area = sorted(sizes, key=lambda size: size[0] * size[1])
        range_text = f"{size_text(by_area[0])} to {size_text(by_area[-1])}"
        message = f"{len(sizes)} different image sizes ({range_text}), all resized to one"
        affected = [scan for scan in readable if scan.size != sizes.most_common(1)[0][0]]
        yield _finding(affected, "mixed-sizes", f"{message}; use data.tile if details matter", locate, "note")


def _finding(scans: Sequence[RowScan], code: str, message: str, locate: RowLocator, severity: Severity) -> Finding:
    file, line = locate(scans[0].row)
    lines = tuple(number for scan in scans if (number := locate(scan.row)[1]) is not None)
    return Finding(code, severity, file, line, message, lines)
