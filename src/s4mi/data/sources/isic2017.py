"""Import ISIC-2017 from the folders and tables of its official archives (Codella et al. 2018), with its official split.

    ISIC-2017_{Training,Validation,Test_v2}_Data/ISIC_*.jpg                     (*_superpixels.png there is ignored)
    ISIC-2017_{...}_Part1_GroundTruth/ISIC_*_segmentation.png                   lesion masks, 0 and 255
    ISIC-2017_{...}_Part3_GroundTruth.csv                                       image_id, melanoma, seborrheic_keratosis

An image that is neither melanoma nor seborrheic keratosis is a nevus.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.manifest import Row
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.types import FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.records import Part

CLASSES = ("melanoma", "seborrheic_keratosis", "nevus")
SOURCE = "ISIC Challenge 2017, https://challenge.isic-archive.com/data/#2017"
LICENCE = "CC0-1.0"
PARTS: Mapping[str, Part] = {"Training": "train", "Validation": "val", "Test_v2": "test"}


@dataclass(frozen=True)
class _Paths:
    """Where the archives of one part unpack to."""

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
    """Whether `source` holds at least one image folder of the official layout."""
    return any(_Paths(source, name).images.is_dir() for name in PARTS)


def read_isic2017(source: Path) -> FoundDataset:
    """Read what is there of the official layout; what is missing is said in a warning.

    Raises:
        S4miError: no image folder is there, or a table cannot be read.
    """
    source = source.expanduser().resolve()
    if not is_isic2017(source):
        wanted = ", ".join(_Paths(source, name).images.name for name in PARTS)
        raise S4miError(f"{source}: holds none of the folders {wanted}; unpack the official archives there")
    rows: list[Row] = []
    findings: list[Finding] = []
    for name, part in PARTS.items():
        found, wrong = _read_part(_Paths(source, name), part)
        rows.extend(found)
        findings.extend(wrong)
    return FoundDataset(
        folder=source, kind="the official ISIC-2017 layout", rows=tuple(rows), classes=CLASSES, findings=tuple(findings)
    )


def _read_part(paths: _Paths, part: Part) -> tuple[list[Row], list[Finding]]:
    lost = {
        paths.images: f"the {part} part is left out",
        paths.masks: f"the {part} images get no masks",
        paths.labels: f"the {part} images get no labels",
    }
    findings = [
        Finding("missing-part", "warning", path.name, None, f"is not there, so {effect}; unpack its archive to have it")
        for path, effect in lost.items()
        if not path.exists()
    ]
    if not paths.images.is_dir():
        return [], findings[:1]
    # The archives hold a folder of their own name, which some tools unpack into another of that name.
    images = sorted(paths.images.rglob("ISIC_*.jpg"))
    masks = {path.stem.removesuffix("_segmentation"): path for path in paths.masks.rglob("ISIC_*_segmentation.png")}
    labels, wrong = _read_labels(paths.labels)
    rows = [
        Row("", path, masks.get(path.stem), labels=labels.get(path.stem), group=None, split=part, line=0)
        for path in images
    ]
    known = {path.stem for path in images}
    for file, names in ((paths.labels, labels), (paths.masks, masks)):
        if strangers := sorted(set(names) - known):
            message = (
                f"{len(strangers)} entries have no image in {paths.images.name}, e.g. {strangers[0]!r}; unpack it again"
            )
            findings.append(Finding("no-such-image", "warning", file.name, None, message))
    return rows, findings + wrong


def _read_labels(path: Path) -> tuple[dict[str, tuple[str, ...]], list[Finding]]:
    if not path.is_file():
        return {}, []
    table = read_table(path)
    for column in ("image_id", *CLASSES[:2]):
        if column not in table.columns:
            raise S4miError(f"{path}:1: there is no column {column!r}; use the table as the archive has it")
    labels: dict[str, tuple[str, ...]] = {}
    findings = []
    for record in table.records:
        values = {name: record.cells[name] for name in CLASSES[:2]}
        shown = [name for name, value in values.items() if value in ("1", "1.0")]
        if any(value not in ("0", "0.0", "1", "1.0") for value in values.values()) or len(shown) > 1:
            message = f"holds {' and '.join(values.values())} where at most one is 1.0 and the rest 0.0; mend the cells"
            findings.append(Finding("bad-label", "error", path.name, record.line, message))
            continue
        labels[record.cells["image_id"]] = (shown[0] if shown else "nevus",)
    return labels, findings
