"""Files of one data set that differ in kind, and DICOM files that say too much."""

from collections import Counter
from collections.abc import Iterator, Sequence

from s4mi.data.checks.scan import RowLocator, RowScan, size_text
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding, Severity

CHANNELS = {1: "grey", 2: "grey with transparency", 3: "colour", 4: "colour with transparency"}
SHALLOW = ("uint8", "bool")


def mixed_files(looks: Sequence[RowScan], place: RowLocator) -> Iterator[Finding]:
    """Findings that concern many rows at once, each with all of them."""
    seen = [look for look in looks if look.header is not None]
    yield from _mixed(seen, place)
    turned = [look for look in seen if look.header is not None and look.header.turned]
    if turned:
        masked = [look for look in turned if look.row.mask is not None]
        message = f"{len(turned)} images lie on their side and are set upright by their EXIF orientation"
        cure = "; check that their masks are upright too" if masked else "; nothing to do, they are read upright"
        yield _about(masked or turned, "exif-orientation", message + cure, place, "warning" if masked else "note")
    several = [look for look in seen if look.header is not None and look.header.frames > 1]
    if several:
        message = f"{len(several)} files hold several pictures, of which only the first is used"
        yield _about(several, "several-frames", f"{message}; import them with s4mi data import", place, "warning")
    named = [look for look in looks if look.identifiers]
    if named:
        tags = some(sorted({tag for look in named for tag in look.identifiers}), most=6)
        message = (
            f"{len(named)} DICOM files say who the patient is ({tags}); an import without --keep-dicom leaves it out"
        )
        yield _about(named, "dicom-identifiers", f"{message}; import them so", place, "warning")
    burnt = [look for look in looks if look.burnt_in]
    if burnt:
        message = f"{len(burnt)} DICOM files say that text is drawn into their pixels"
        yield _about(burnt, "dicom-burnt-in", f"{message}; look at them, and black it out", place, "warning")


def _mixed(seen: Sequence[RowScan], place: RowLocator) -> Iterator[Finding]:
    channels = Counter(look.header.channels for look in seen if look.header is not None)
    if len(channels) > 1:
        rare = min(channels, key=lambda count: channels[count])
        shown = ", ".join(f"{CHANNELS.get(kind, kind)} {count}" for kind, count in channels.most_common())
        odd = [look for look in seen if look.header is not None and look.header.channels == rare]
        message = (
            f"images have different channels ({shown}); grey is repeated and transparency dropped; look at the few"
        )
        yield _about(odd, "mixed-channels", message, place, "warning")
    depths = Counter(look.header.dtype for look in seen if look.header is not None)
    deep = [look for look in seen if look.header is not None and look.header.dtype not in SHALLOW]
    if deep and len(deep) < len(seen):
        shown = ", ".join(f"{kind} {count}" for kind, count in depths.most_common())
        message = f"images have different depths ({shown}); deep ones become 8-bit by `intensity` in dataset.yaml"
        yield _about(deep, "mixed-depths", f"{message}; see that it suits them", place, "note")
    sizes = Counter(look.size for look in seen if look.size is not None)
    if len(sizes) > 1:
        ends = sorted(sizes, key=lambda size: size[0] * size[1])
        range_text = f"from {size_text(ends[0])} to {size_text(ends[-1])}"
        message = f"images have {len(sizes)} sizes, {range_text}; all are resized to one"
        odd = [look for look in seen if look.size != sizes.most_common(1)[0][0]]
        yield _about(odd, "mixed-sizes", f"{message}; use data.tile where details matter", place, "note")


def _about(looks: Sequence[RowScan], code: str, message: str, place: RowLocator, severity: Severity) -> Finding:
    file, line = place(looks[0].row)
    lines = tuple(number for look in looks if (number := place(look.row)[1]) is not None)
    return Finding(code, severity, file, line, message, lines)
