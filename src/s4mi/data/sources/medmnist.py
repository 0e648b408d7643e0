"""Import a 2-D data set of MedMNIST v2 (Yang et al. 2023): one `.npz` with images, labels and the official split.

{train,val,test}_images    (N, H, W) or (N, H, W, 3) uint8, with sides of 28, 64, 128 or 224 pixels
{train,val,test}_labels    (N, 1) class numbers, or (N, L) 0 or 1 per class
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats import stacks
from s4mi.data.row import PARTS, Row
from s4mi.data.sources.numbered_classes import numbered_classes
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded
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
"""Class names of each data set, as in the package `medmnist`."""


def is_medmnist(source: Path) -> bool:
    """Whether `source` is a `.npz` with images and labels, or a folder with exactly one."""
    file = _file(source)
    return file is not None and {"train_images.npy", "train_labels.npy"} <= _members(file)


def read_medmnist(source: Path, *, classes: Sequence[str] = ()) -> FoundDataset:
    """Read the labels and the headers of the images; the images are read when they are extracted.

    Args:
        classes: class names; by default those of the data set named by the file, else class_0, …

    Raises:
        S4miError: there is no such file, or it is not a 2-D MedMNIST file.
    """
    source = expanded(source).resolve()
    file = _file(source)
    if file is None:
        raise S4miError(f"{source}: not a .npz file, nor a folder with exactly one; pass the path of the file")
    if "mnist3d" in file.name:
        raise S4miError(f"{file}: contains volumes; use a 2-D data set: {', '.join(CLASSES)}")
    rows: list[Row] = []
    embedded: dict[Path, EmbeddedImage] = {}
    widths = set()
    for part in PARTS:
        if f"{part}_images.npy" not in _members(file):
            continue
        labels = _labels(file, part)
        widths.add(labels.shape[1])
        for row, image in _rows(file, part, labels):
            rows.append(row)
            embedded[row.image] = image
    if not rows or len(widths) > 1:
        raise S4miError(f"{file}: no train_images and train_labels of one kind; pass a MedMNIST file")
    width = widths.pop()
    highest = max((int(name) for row in rows for name in row.labels or ()), default=-1)
    names = _names(file, classes) or numbered_classes(width if width > 1 else highest + 1, file)
    if (width > 1 and len(names) != width) or highest >= len(names):
        count = width if width > 1 else highest + 1
        raise S4miError(f"{file}: has {count} classes but {plural(len(names), 'name')}; name each with --classes a,b,c")
    named = tuple(_with_names(row, names) for row in rows)
    return FoundDataset(
        folder=file.parent, kind=f"the MedMNIST set {file.stem}", rows=named, classes=names, multilabel=width > 1,
        embedded=embedded, listed=source.is_file(),
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
        raise S4miError(f"{file}: not a valid .npz file ({error}); download it again") from error


def _names(file: Path, classes: Sequence[str]) -> tuple[str, ...]:
    known = file.stem.lower().partition("_")[0]
    return tuple(classes) or CLASSES.get(known, ())


def _labels(file: Path, part: Part) -> NDArray[Any]:
    """Read the labels as (N, L) integers."""
    if f"{part}_labels.npy" not in _members(file):
        raise S4miError(f"{file}: has {part}_images but no {part}_labels; pass a MedMNIST file")
    labels = stacks.read(file, f"{part}_labels")
    labels = labels[:, None] if labels.ndim == 1 else labels
    if (
        labels.dtype.kind not in "iub"
        or labels.ndim != 2
        or not labels.shape[1]
        or (labels.shape[1] > 1 and not np.isin(labels, (0, 1)).all())
        or (labels < 0).any()
    ):
        raise S4miError(
            f"{file}: {part}_labels {labels.shape} are neither (N, 1) classes nor (N, L) 0 and 1; pass a MedMNIST file"
        )
    return labels.astype(np.int64)


def _rows(file: Path, part: Part, labels: NDArray[Any]) -> Iterator[tuple[Row, EmbeddedImage]]:
    """Yield one row per image; its labels are numbers as text until the names are known."""
    member = f"{part}_images.npy"
    array = stacks.headers(file)[f"{part}_images"]
    if array.dtype != np.uint8 or len(array.shape) not in (3, 4) or (len(array.shape) == 4 and array.shape[3] != 3):
        raise S4miError(
            f"{file}: {part}_images are {array.dtype} {array.shape}, not uint8 (N, H, W) or (N, H, W, 3); "
            "pass a MedMNIST file"
        )
    if array.shape[0] != len(labels):
        raise S4miError(
            f"{file}: has {array.shape[0]} {part}_images but {len(labels)} {part}_labels; download it again"
        )
    for number, values in enumerate(labels.tolist()):
        present = [str(k) for k, value in enumerate(values) if value] if len(values) > 1 else [str(values[0])]
        path = file / part / f"{part}_{number:06d}.png"
        row = Row("", path, None, labels=tuple(present), group=None, split=part, line=0)
        yield row, EmbeddedImage(file, frame=number, member=member)


def _with_names(row: Row, names: Sequence[str]) -> Row:
    return Row(
        row.id, row.image, row.mask, labels=tuple(names[int(number)] for number in row.labels or ()), group=row.group,
        split=row.split, line=row.line,
    )  # fmt: skip
