"""Read annotations: tables, folders of masks (plain or of CVAT), segmentations of 3D Slicer, the JSON of tools."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s4mi.data.annotations.coco import is_coco, read_coco
from s4mi.data.annotations.cvat_masks import is_cvat_masks, read_cvat_masks
from s4mi.data.annotations.json_fields import FieldError
from s4mi.data.annotations.label_studio import is_json_min, is_label_studio, read_label_studio
from s4mi.data.annotations.labelme import is_labelme, read_labelme
from s4mi.data.annotations.qupath import is_geojson, read_geojson
from s4mi.data.annotations.slicer import read_slicer
from s4mi.data.annotations.types import Annotation
from s4mi.data.files import SUFFIXES, stem_of
from s4mi.data.formats import nrrd_seg
from s4mi.data.names import normalised
from s4mi.data.sources.read_table import TABLE_SUFFIXES, read_table
from s4mi.data.spec import NO_CLASS
from s4mi.data.walk import image_files, visible_files
from s4mi.errors import S4miError
from s4mi.records.plain import load_json

IMAGE_COLUMNS = ("id", "image")
LABEL = "label"
JSON = (".json", ".geojson")


def read_annotations(path: Path, *, mask_suffix: str = "") -> list[Annotation]:
    """Read the annotations in a file or folder, in its order; images without annotation are blank.

    Args:
        mask_suffix: suffix of the names of masks in a folder, which image names lack.

    Raises:
        S4miError: the file does not exist, is not supported, or violates its format.
    """
    if path.is_dir() and is_cvat_masks(path):
        try:
            return list(read_cvat_masks(path))
        except FieldError as error:
            raise S4miError(f"{path}/{error}") from error
    if path.is_dir() and (files := _files_of_images(path)):
        return [one for file in files for one in _json_annotations(file, f"/{file.relative_to(path).as_posix()}")]
    if path.is_dir() and (files := _segmentations(path)):
        return [one for file in files for one in _slices(file, f"/{file.relative_to(path).as_posix()}")]
    if path.is_dir():
        return list(_masks(path, mask_suffix))
    if path.suffix.lower() in TABLE_SUFFIXES:
        return list(_rows(path))
    if path.is_file() and nrrd_seg.is_segmentation(path):
        return list(_slices(path, ""))
    if path.suffix.lower() not in JSON or not path.is_file():
        _refuse_xml([path])
        problem = "does not exist" if not path.exists() else "unsupported file type"
        raise S4miError(
            f"{path}: {problem}; pass a table of images and labels ({', '.join(TABLE_SUFFIXES)}), a folder of masks, "
            "a .seg.nrrd of 3D Slicer, or the JSON of Label Studio, COCO, LabelMe or QuPath"
        )
    return _json_annotations(path, "")


XML_START = 2000
"""Characters of an XML file that name its program."""


def _refuse_xml(files: Sequence[Path]) -> None:
    """Say what to export instead if the first XML file is one of ASAP, CVAT or another program."""
    path = next((file for file in files if file.suffix.lower() == ".xml" and file.is_file()), None)
    if path is None:
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(XML_START)
    if "ASAP_Annotations" in start:
        hint = "XML of ASAP is not read; write a mask per image, named like it (AnnotationToMask of its Python module)"
    elif "<annotations>" in start and ("<version>" in start or "<image " in start):
        hint = 'XML of CVAT is not read; export the task as "COCO 1.0" or "Segmentation mask 1.1"'
    elif "<annotation" in start and "<filename>" in start:
        hint = "XML of Pascal VOC is not read; export the annotations as COCO, or as masks"
    else:
        hint = "XML is not read; export the annotations as COCO, GeoJSON of QuPath, or masks"
    raise S4miError(f"{path}: {hint}")


def _json_annotations(path: Path, location: str) -> list[Annotation]:
    """Read a JSON file.

    Args:
        location: location of the file in a folder, for messages of formats that have one file per image.
    """
    contents = _json(path)
    name = location.removeprefix("/")[: -len(path.suffix)] if location else stem_of(path)
    try:
        if is_label_studio(contents):
            return read_label_studio(contents)
        if is_coco(contents):
            return list(read_coco(contents))
        if is_labelme(contents):
            return [read_labelme(contents, name, location or ": imagePath")]
        if is_geojson(contents):
            return [read_geojson(contents, name, location or ": file name")]
    except FieldError as error:
        raise S4miError(f"{path}: {error}") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise S4miError(f"{path}: violates its format ({error}); export it again") from error
    if is_json_min(contents):
        raise S4miError(
            f"{path}: JSON-MIN of Label Studio, a shortened export that cannot be merged; export the project as JSON"
        )
    raise S4miError(
        f"{path}: neither the JSON of Label Studio (a list of tasks) nor of COCO, LabelMe or QuPath; export it as "
        "one of them"
    )


def _files_of_images(folder: Path) -> list[Path]:
    """Return the JSON files of a folder if the first is one of LabelMe or QuPath, beside which images often are."""
    files = sorted(path for path in visible_files(folder) if path.suffix.lower() in JSON)
    try:
        contents = _json(files[0]) if files else None
        return files if is_labelme(contents) or is_geojson(contents) else []
    except S4miError:  # a folder of masks may contain any other file
        return []


def _segmentations(folder: Path) -> list[Path]:
    return [path for path in image_files(folder) if nrrd_seg.is_segmentation(path)]


def _slices(path: Path, location: str) -> Iterator[Annotation]:
    try:
        yield from read_slicer(path, location or ": slices")
    except FieldError as error:
        raise S4miError(f"{path}: {error}") from error


def _json(path: Path) -> Any:
    try:
        return load_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise S4miError(f"{path}: not valid JSON ({error}); export it again") from error


def _rows(path: Path) -> Iterator[Annotation]:
    """Read the rows of a table with images in the column `id` or `image`, and classes, separated by `;`, in `label`."""
    table = read_table(path)
    columns = [column for column in IMAGE_COLUMNS if column in table.columns]
    if not columns or LABEL not in table.columns:
        missing = " or ".join(IMAGE_COLUMNS) if not columns else LABEL
        raise S4miError(f"{path}:1: no column {missing}; start the table with a header such as: image,label")
    for record in table.records:
        cell = record.cells[LABEL]
        names = tuple(dict.fromkeys(normalised(name.strip()) for name in cell.split(";") if name.strip()))
        labels = None if not cell else () if cell == NO_CLASS else names
        images = tuple(record.cells[column] for column in columns if record.cells[column])
        yield Annotation(
            images or ("",), f":{record.line}", labels=labels, agreeing=images if len(images) > 1 else (),
            holds_regions=False,
        )  # fmt: skip


def _masks(folder: Path, suffix: str) -> Iterator[Annotation]:
    files = image_files(folder)
    if not files:
        _refuse_xml(sorted(visible_files(folder)))
        raise S4miError(f"{folder}: no masks; pass a folder with files of {', '.join(sorted(SUFFIXES))}")
    named_so = [path for path in files if stem_of(path).endswith(suffix)]
    if not named_so:
        raise S4miError(
            f"{folder}: --mask-suffix {suffix!r} fits no file (example of a name: {files[0].name!r}); correct it, or "
            "leave it out"
        )
    for path in named_so:
        stem = stem_of(path)
        image = path.relative_to(folder).parent / stem.removesuffix(suffix)
        yield Annotation((image.as_posix(), image.name), f"/{path.relative_to(folder).as_posix()}", mask=path)
