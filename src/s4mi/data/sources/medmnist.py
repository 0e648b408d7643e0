"""Import a 2-D set of MedMNIST v2 (Yang et al. 2023): one `.npz` with images, labels and the official split.

{train,val,test}_images    (N, H, W) or (N, H, W, 3) uint8, of 28, 64, 128 or 224 pixels
{train,val,test}_labels    (N, 1) class, or (N, L) 0 and 1 of each class
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import PARTS, Row
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.errors import S4miError
from s4mi.records import Part

SOURCE = "MedMNIST v2, https://medmnist.com"
LICENCE = "see https://medmnist.com (CC BY 4.0; DermaMNIST CC BY-NC 4.0)"
ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right",
    "pancreas", "spleen",
)  # fmt: skip
CLASSES: Mapping[str, tuple[str, ...]] = {
    "pathmnist": (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
        "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": (
        "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
        "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
    ),
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
        "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions",
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        "basophil", "eosinophil", "erythroblast",
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte", "monocyte", "neutrophil",
        "platelet",
    ),
    "tissuemnist": (
        "Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells",
        "Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments",
        "Thick Ascending Limb",
    ),
    "organamnist": ORGANS, "organcmnist": ORGANS, "organsmnist": ORGANS,
}  # fmt: skip
"""Names of the outputs, by set, as the package `medmnist` gives them."""


@dataclass(frozen=True)
class _Array:
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_medmnist(source: Path) -> bool:
    """Whether `source` is, or holds exactly one, `.npz` with images and labels."""
    file = _file(source)
    return file is not None and {"train_images.npy", "train_labels.npy"} <= _members(file)


def read_medmnist(source: Path, *, classes: Sequence[str] = ()) -> FoundDataset:
    """Read the labels and the headers of the images; the images are read when they are written out.

    Args:
        classes: names of the outputs; else those of the set that the file is called after, else class_0, …

    Raises:
        S4miError: there is no such file, or it does not hold what it should.
    """
    source = source.expanduser().resolve()
    file = _file(source)
    if file is None:
        raise S4miError(f"{source}: is no .npz file and holds not exactly one; name the file")
    if "mnist3d" in file.name:
        raise S4miError(f"{file}: is a set of volumes; take one of the 2-D sets: {', '.join(CLASSES)}")
    rows: list[Row] = []
    extracts: dict[Path, EmbeddedImage] = {}
    widths = set()
    for part in PARTS:
        if f"{part}_images.npy" not in _members(file):
            continue
        labels = _labels(file, part)
        widths.add(labels.shape[1])
        for row, extract in _rows(file, part, labels):
            rows.append(row)
            extracts[row.image] = extract
    if not rows or len(widths) > 1:
        raise S4miError(f"{file}: holds no train_images and train_labels of one kind; is it a MedMNIST file?")
    width = widths.pop()
    highest = max((int(name) for row in rows for name in row.labels or ()), default=-1)
    names = _names(file, classes) or tuple(f"class_{number}" for number in range(width if width > 1 else highest + 1))
    if (width > 1 and len(names) != width) or highest >= len(names):
        count = width if width > 1 else highest + 1
        raise S4miError(f"{file}: has {count} classes but {len(names)} names; name each with --classes a,b,c")
    named = tuple(_with_names(row, names) for row in rows)
    return FoundDataset(
        folder=file.parent, kind=f"the MedMNIST set {file.stem}", rows=named, classes=names, multilabel=width > 1,
        extracts=extracts,
    )  # fmt: skip


def _file(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix.lower() == ".npz" else None
    files = sorted(source.glob("*.npz")) if source.is_dir() else []
    return files[0] if len(files) == 1 else None


def _members(file: Path) -> set[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise S4miError(f"{file}: is no .npz file ({error}); download it again") from error


def _names(file: Path, classes: Sequence[str]) -> tuple[str, ...]:
    known = file.stem.lower().partition("_")[0]
    return tuple(classes) or CLASSES.get(known, ())


def _labels(file: Path, part: Part) -> NDArray[Any]:
    """(N, L) whole numbers."""
    with np.load(file, allow_pickle=False) as arrays:
        if f"{part}_labels" not in arrays:
            raise S4miError(f"{file}: holds {part}_images and no {part}_labels; is it a MedMNIST file?")
        labels = np.asarray(arrays[f"{part}_labels"])
    labels = labels[:, None] if labels.ndim == 1 else labels
    if labels.ndim != 2 or (labels.shape[1] > 1 and not np.isin(labels, (0, 1)).all()) or (labels < 0).any():
        raise S4miError(f"{file}: {part}_labels {labels.shape} are neither (N, 1) classes nor (N, L) of 0 and 1")
    return labels.astype(np.int64)


def _header(file: Path, member: str) -> _Array:
    with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    return _Array(shape, dtype)


def _rows(file: Path, part: Part, labels: NDArray[Any]) -> Iterator[tuple[Row, EmbeddedImage]]:
    """A row an image; `labels` are numbers as text until the names are known."""
    member = f"{part}_images.npy"
    array = _header(file, member)
    if array.dtype != np.uint8 or len(array.shape) not in (3, 4) or (len(array.shape) == 4 and array.shape[3] != 3):
        raise S4miError(f"{file}: {part}_images are {array.dtype} {array.shape}, not (N, H, W) or (N, H, W, 3) uint8")
    if array.shape[0] != len(labels):
        raise S4miError(
            f"{file}: holds {array.shape[0]} {part}_images and {len(labels)} {part}_labels; download it again"
        )
    for number, shown in enumerate(labels.tolist()):
        present = [str(k) for k, yes in enumerate(shown) if yes] if len(shown) > 1 else [str(shown[0])]
        path = file / part / f"{part}_{number:06d}.png"
        row = Row("", path, None, labels=tuple(present), group=None, split=part, line=0)
        yield row, EmbeddedImage(file, frame=number, member=member)


def _with_names(row: Row, names: Sequence[str]) -> Row:
    return Row(
        row.id, row.image, row.mask, labels=tuple(names[int(number)] for number in row.labels or ()), group=row.group,
        split=row.split, line=row.line,
    )  # fmt: skip
