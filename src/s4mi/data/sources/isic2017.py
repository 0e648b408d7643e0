"""Import ISIC-2017 from the folders and tables of its official archives (Codella et al. 2018), with its official split.

    ISIC-2017_{Training,Validation,Test_v2}_Data/ISIC_*.jpg                     (*_superpixels.png is ignored)
    ISIC-2017_{...}_Part1_GroundTruth/ISIC_*_segmentation.png                   lesion masks, 0 and 255
    ISIC-2017_{...}_Part3_GroundTruth.csv                                       image_id, melanoma, seborrheic_keratosis

An image that is neither melanoma nor seborrheic keratosis is a nevus.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.row import Row
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.types import FoundDataset
from s4mi.data.spec import Finding
from s4mi.data.walk import visible_files
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded
from s4mi.records import Part

CLASSES = ("melanoma", "seborrheic_keratosis", "nevus")
SOURCE = "ISIC Challenge 2017, https://challenge.isic-archive.com/data/#2017"
LICENCE = "CC0-1.0"
PARTS: Mapping[str, Part] = {"Training": "train", "Validation": "val", "Test_v2": "test"}


@dataclass(frozen=True)
class _Paths:
    """Paths of one part of the split after unpacking its archives."""

    source: Path
    name: str

    @property
    def images(self) -> Path:
        return self.source / f"ISIC-2017_{self.name}_Data"

    @property
    def masks(self) -> Path:
        return self.source / f"ISIC-2017_{self.name}_Part1_GroundTruth"

    @property
    def labels(self) -> Path:
        return self.source / f"ISIC-2017_{self.name}_Part3_GroundTruth.csv"


def is_isic2017(source: Path) -> bool:
    """Whether `source` contains at least one image folder of the official layout."""
    return any(_Paths(source, name).images.is_dir() for name in PARTS)


def read_isic2017(source: Path) -> FoundDataset:
    """Read the existing folders and tables of the official layout, and warn of missing ones.

    Raises:
        S4miError: no image folder exists, or a table cannot be read.
    """
    source = expanded(source).resolve()
    if not is_isic2017(source):
        expected = ", ".join(_Paths(source, name).images.name for name in PARTS)
        raise S4miError(f"{source}: contains none of the folders {expected}; unpack the official archives there")
    rows: list[Row] = []
    findings: list[Finding] = []
    for name, part in PARTS.items():
        part_rows, part_findings = _read_part(_Paths(source, name), part)
        rows.extend(part_rows)
        findings.extend(part_findings)
    return FoundDataset(
        folder=source, kind="the official ISIC-2017 layout", rows=tuple(rows), classes=CLASSES, findings=tuple(findings)
    )


def _read_part(paths: _Paths, part: Part) -> tuple[list[Row], list[Finding]]:
    consequences = {
        paths.images: f"the {part} part is skipped",
        paths.masks: f"the {part} images have no masks",
        paths.labels: f"the {part} images have no labels",
    }
    findings = [
        Finding("missing-part", "warning", path.name, None, f"does not exist, so {effect}; unpack its archive")
        for path, effect in consequences.items()
        if not path.exists()
    ]
    if not paths.images.is_dir():
        return [], findings[:1]
    # The archives contain a folder of their own name, which some tools unpack into another folder of that name.
    images = [path for path in visible_files(paths.images) if path.match("ISIC_*.jpg")]
    masks = {
        path.stem.removesuffix("_segmentation"): path
        for path in visible_files(paths.masks)
        if path.match("ISIC_*_segmentation.png")
    }
    labels, label_findings = _read_labels(paths.labels)
    rows = [
        Row("", path, masks.get(path.stem), labels=labels.get(path.stem), group=None, split=part, line=0)
        for path in images
    ]
    known = {path.stem for path in images}
    for file, names in ((paths.labels, labels), (paths.masks, masks)):
        if unknown := sorted(set(names) - known):
            count = plural(len(unknown), "entry", "entries")
            message = f"{count} without an image in {paths.images.name}, e.g. {unknown[0]!r}; unpack it again"
            findings.append(Finding("no-such-image", "warning", file.name, None, message))
    return rows, findings + label_findings


def _read_labels(path: Path) -> tuple[dict[str, tuple[str, ...]], list[Finding]]:
    if not path.is_file():
        return {}, []
    table = read_table(path)
    for column in ("image_id", *CLASSES[:2]):
        if column not in table.columns:
            raise S4miError(f"{path}:1: no column {column!r}; use the original table of the archive")
    labels: dict[str, tuple[str, ...]] = {}
    findings = []
    for record in table.records:
        values = {name: record.cells[name] for name in CLASSES[:2]}
        shown = [name for name, value in values.items() if value in ("1", "1.0")]
        if any(value not in ("0", "0.0", "1", "1.0") for value in values.values()) or len(shown) > 1:
            message = f"expected 0.0 and at most one 1.0 (given {' and '.join(values.values())}); correct the cells"
            findings.append(Finding("bad-label", "error", path.name, record.line, message))
            continue
        labels[record.cells["image_id"]] = (shown[0] if shown else "nevus",)
    return labels, findings
