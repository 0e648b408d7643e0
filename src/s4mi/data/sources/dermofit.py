"""Import the Dermofit Image Library (Ballerini et al. 2013): ten class folders, or their zip archives, with masks.

    AK/A10/A10.png + AK/A10/A10mask.png        one folder per lesion; AK.zip contains the same

Dermofit identifies lesions but not patients, so the lesion is the group. The classes have the abbreviations of the
library, as in the paper; `FULL_NAMES` spells them out.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.data.spec import Finding
from s4mi.data.walk import is_hidden, visible_files
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded

FULL_NAMES: Mapping[str, str] = {
    "AK": "actinic keratosis", "BCC": "basal cell carcinoma", "ML": "melanocytic nevus",
    "SCC": "squamous cell carcinoma", "SK": "seborrhoeic keratosis", "IEC": "intraepithelial carcinoma",
    "PYO": "pyogenic granuloma", "VASC": "haemangioma", "DF": "dermatofibroma", "MEL": "malignant melanoma",
}  # fmt: skip
CLASSES = tuple(FULL_NAMES)
COUNTS: Mapping[str, int] = {
    "AK": 45, "BCC": 239, "ML": 331, "SCC": 88, "SK": 257, "IEC": 78, "PYO": 24, "VASC": 97, "DF": 65, "MEL": 76,
}  # fmt: skip
"""Number of lesions per class in the complete library: 1,300 in total."""
SOURCE = "Dermofit Image Library, https://licensing.edinburgh-innovations.ed.ac.uk/product/dermofit-image-library"
LICENCE = "Dermofit Image Library licence, University of Edinburgh"


@dataclass(frozen=True)
class _ClassImage:
    """An image or mask of a class, by the path that represents it; `embedded` if it is in an archive."""

    name: str
    path: Path
    embedded: EmbeddedImage | None


def is_dermofit(source: Path) -> bool:
    """Whether `source` contains at least three of the class folders or archives."""
    return source.is_dir() and len(_class_sources(_library_folder(source))) >= 3


def read_dermofit(source: Path) -> FoundDataset:
    """Read the existing classes of the library, and warn of missing lesions.

    Raises:
        S4miError: there is no class, or an archive is damaged.
    """
    source = expanded(source).resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: not a folder; pass the folder that contains AK, BCC, … or AK.zip, BCC.zip, …")
    class_sources = _class_sources(_library_folder(source))
    if not class_sources:
        raise S4miError(
            f"{source}: contains none of the folders or archives {', '.join(CLASSES)}; unpack the library there"
        )
    rows: list[Row] = []
    embedded: dict[Path, EmbeddedImage] = {}
    findings: list[Finding] = []
    for name, path in class_sources.items():
        class_rows, class_embedded, class_findings = _read_class(name, path, source=source)
        rows += class_rows
        embedded |= class_embedded
        findings += class_findings
    findings += _count_findings(Counter(label for row in rows for label in row.labels or ()))
    return FoundDataset(
        folder=source, kind="the Dermofit Image Library", rows=tuple(rows), classes=CLASSES,
        findings=tuple(findings), embedded=embedded,
    )  # fmt: skip


def _library_folder(source: Path) -> Path:
    """Return the folder with the classes: `source`, or its only sub-folder that contains classes."""
    if not source.is_dir() or _class_sources(source):
        return source
    inner = [path for path in sorted(source.iterdir()) if path.is_dir() and _class_sources(path)]
    return inner[0] if len(inner) == 1 else source


def _class_sources(folder: Path) -> dict[str, Path]:
    """Find the folder of each class, or else its archive."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.stem.upper() if path.suffix.lower() == ".zip" else path.name.upper()
        if name in CLASSES and (path.is_dir() or (path.suffix.lower() == ".zip" and name not in found)):
            found[name] = path
    return {name: found[name] for name in CLASSES if name in found}


def _class_images(source: Path) -> Iterator[_ClassImage]:
    if source.is_dir():
        for path in visible_files(source):
            if path.suffix.lower() == ".png":
                yield _ClassImage(path.stem, path, None)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            members = sorted(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise S4miError(f"{source}: not a valid zip archive ({error}); download it again") from error
    for member in members:
        name = PurePosixPath(member)
        hidden = any(map(is_hidden, name.parts))
        if name.suffix.lower() == ".png" and not hidden:
            # The path treats the archive as a folder and omits the class folder inside, which has the same name.
            inside = name.relative_to(name.parts[0]) if name.parts[0].upper() == source.stem.upper() else name
            yield _ClassImage(name.stem, source / inside, EmbeddedImage(source, member=member))


def _read_class(name: str, path: Path, *, source: Path) -> tuple[list[Row], dict[Path, EmbeddedImage], list[Finding]]:
    files = list(_class_images(path))
    masks = {file.name[: -len("mask")].lower(): file for file in files if file.name.lower().endswith("mask")}
    images = [file for file in files if not file.name.lower().endswith("mask")]
    rows, findings = [], []
    for image in images:
        mask = masks.pop(image.name.lower(), None)
        rows.append(Row("", image.path, None if mask is None else mask.path, labels=(name,), group=image.name,
                        split=None, line=0))  # fmt: skip
    location = path.relative_to(source).as_posix()
    without = [row.image.name for row in rows if row.mask is None]
    if without:
        message = f"{plural(len(without), 'lesion')} without a mask, so not annotated: {some(without)}; unpack again"
        findings.append(Finding("missing-mask", "warning", location, None, message))
    if masks:
        unmatched = [file.path.name for file in masks.values()]
        message = f"{plural(len(unmatched), 'mask')} without an image: {some(unmatched)}; unpack again"
        findings.append(Finding("mask-without-image", "warning", location, None, message))
    return rows, {file.path: file.embedded for file in files if file.embedded is not None}, findings


def _count_findings(counts: Counter[str]) -> list[Finding]:
    incomplete = [f"{name} {counts[name]} of {count}" for name, count in COUNTS.items() if counts[name] != count]
    if not incomplete:
        return []
    message = f"found {counts.total()} of 1,300 lesions ({', '.join(incomplete)}); unpack the missing ones"
    return [Finding("incomplete", "warning", ".", None, message)]
