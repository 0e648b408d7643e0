"""Import the Dermofit Image Library (Ballerini et al. 2013): ten class folders, or their zip archives, with masks.

    AK/A10/A10.png + AK/A10/A10mask.png        a folder a lesion; AK.zip holds the same

Dermofit names lesions and not patients, so the lesion is the group. The classes have the library's own abbreviations,
as in the paper; `FULL_NAMES` says what they stand for.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from s4mi.data.manifest import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError

FULL_NAMES: Mapping[str, str] = {
    "AK": "actinic keratosis", "BCC": "basal cell carcinoma", "ML": "melanocytic nevus",
    "SCC": "squamous cell carcinoma", "SK": "seborrhoeic keratosis", "IEC": "intraepithelial carcinoma",
    "PYO": "pyogenic granuloma", "VASC": "haemangioma", "DF": "dermatofibroma", "MEL": "malignant melanoma",
}  # fmt: skip
CLASSES = tuple(FULL_NAMES)
COUNTS: Mapping[str, int] = {
    "AK": 45, "BCC": 239, "ML": 331, "SCC": 88, "SK": 257, "IEC": 78, "PYO": 24, "VASC": 97, "DF": 65, "MEL": 76,
}  # fmt: skip
"""Lesions of each class in the whole library: 1,300."""
SOURCE = "Dermofit Image Library, https://licensing.edinburgh-innovations.ed.ac.uk/product/dermofit-image-library"
LICENCE = "Dermofit Image Library licence, University of Edinburgh"


@dataclass(frozen=True)
class _Picture:
    """A picture of a class, by the path that stands for it; `extract` where it lies in an archive."""

    name: str
    path: Path
    extract: EmbeddedImage | None


def is_dermofit(source: Path) -> bool:
    """Whether `source` holds at least three of the class folders or archives."""
    return source.is_dir() and len(_class_sources(_home(source))) >= 3


def read_dermofit(source: Path) -> FoundDataset:
    """Read what is there of the library; what is missing is said in a warning.

    Raises:
        S4miError: no class is there, or an archive is broken.
    """
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: is not a folder; name the one that holds AK, BCC, … or AK.zip, BCC.zip, …")
    places = _class_sources(_home(source))
    if not places:
        raise S4miError(
            f"{source}: holds none of the folders or archives {', '.join(CLASSES)}; unpack the library there"
        )
    rows: list[Row] = []
    extracts: dict[Path, EmbeddedImage] = {}
    findings: list[Finding] = []
    for name, place in places.items():
        found, inside, wrong = _read_class(name, place, source=source)
        rows += found
        extracts |= inside
        findings += wrong
    findings += _about_counts(Counter(label for row in rows for label in row.labels or ()))
    return FoundDataset(
        folder=source, kind="the Dermofit Image Library", rows=tuple(rows), classes=CLASSES,
        findings=tuple(findings), extracts=extracts,
    )  # fmt: skip


def _home(source: Path) -> Path:
    """The folder with the classes: `source`, or the only folder in it that has some."""
    if not source.is_dir() or _class_sources(source):
        return source
    inner = [path for path in sorted(source.iterdir()) if path.is_dir() and _class_sources(path)]
    return inner[0] if len(inner) == 1 else source


def _class_sources(folder: Path) -> dict[str, Path]:
    """The folder of each class, or else its archive."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.stem.upper() if path.suffix.lower() == ".zip" else path.name.upper()
        if name in CLASSES and (path.is_dir() or (path.suffix.lower() == ".zip" and name not in found)):
            found[name] = path
    return {name: found[name] for name in CLASSES if name in found}


def _pictures(place: Path) -> Iterator[_Picture]:
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.suffix.lower() == ".png" and not path.name.startswith("."):
                yield _Picture(path.stem, path, None)
        return
    try:
        with zipfile.ZipFile(place) as archive:
            members = sorted(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise S4miError(f"{place}: is no zip archive ({error}); download it again") from error
    for member in members:
        name = PurePosixPath(member)
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
        if name.suffix.lower() == ".png" and not hidden:
            # Named as if the archive were a folder; the class folder inside it stands in its name already.
            inside = name.relative_to(name.parts[0]) if name.parts[0].upper() == place.stem.upper() else name
            yield _Picture(name.stem, place / inside, EmbeddedImage(place, member=member))


def _read_class(name: str, place: Path, *, source: Path) -> tuple[list[Row], dict[Path, EmbeddedImage], list[Finding]]:
    pictures = list(_pictures(place))
    masks = {one.name[: -len("mask")].lower(): one for one in pictures if one.name.lower().endswith("mask")}
    images = [one for one in pictures if not one.name.lower().endswith("mask")]
    rows, findings = [], []
    for image in images:
        mask = masks.pop(image.name.lower(), None)
        rows.append(Row("", image.path, None if mask is None else mask.path, labels=(name,), group=image.name,
                        split=None, line=0))  # fmt: skip
    where = place.relative_to(source).as_posix()
    bare = [row.image.name for row in rows if row.mask is None]
    if bare:
        message = f"{len(bare)} lesions have no mask: {some(bare)}; they count as not annotated; unpack them again"
        findings.append(Finding("missing-mask", "warning", where, None, message))
    if masks:
        lost = [one.path.name for one in masks.values()]
        message = f"{len(lost)} masks have no image: {some(lost)}; unpack them again"
        findings.append(Finding("mask-without-image", "warning", where, None, message))
    return rows, {one.path: one.extract for one in pictures if one.extract is not None}, findings


def _about_counts(counts: Counter[str]) -> list[Finding]:
    other = [f"{name} {counts[name]} of {count}" for name, count in COUNTS.items() if counts[name] != count]
    if not other:
        return []
    message = f"the library has 1,300 lesions, here are {counts.total()} ({', '.join(other)}); unpack what is missing"
    return [Finding("incomplete", "warning", ".", None, message)]
