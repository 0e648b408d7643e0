"""Masks exported by CVAT as "Segmentation mask 1.1": a colour per class, whose names are in labelmap.txt.

labelmap.txt               # label:color_rgb:parts:actions, then e.g. lesion:255,0,0::
SegmentationClass/a.png    colours of the classes, as RGB or with a palette
SegmentationObject/a.png   a colour per object, not read
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from s4mi.data.annotations.json_fields import FieldError
from s4mi.data.annotations.png import load_png
from s4mi.data.annotations.types import AnnotatedRegion, Annotation

LABEL_MAP = "labelmap.txt"
CLASSES = "SegmentationClass"
BACKGROUND = "background"
COLOUR = re.compile(r"\d{1,3}", re.ASCII)

Colour = tuple[int, int, int]


def is_cvat_masks(folder: Path) -> bool:
    """Whether a folder looks like such an export."""
    return (folder / LABEL_MAP).is_file() and (folder / CLASSES).is_dir()


def read_cvat_masks(folder: Path) -> Iterator[Annotation]:
    """Yield the annotation of each image; one of background only is blank, as it may not have been inspected.

    Raises:
        FieldError: the label map or a mask violates the format.
    """
    names = _label_map(folder / LABEL_MAP)
    files = sorted((folder / CLASSES).rglob("*.png"))
    if not files:
        raise FieldError(f"{CLASSES}: no masks; export the task again with its annotated images")
    for file in files:
        location = file.relative_to(folder).as_posix()
        image = file.relative_to(folder / CLASSES).with_suffix("")
        try:
            pixels = np.asarray(load_png(file).convert("RGB"))
        except ValueError as error:
            raise FieldError(f"{location}: not a PNG ({error}); export the task again") from error
        codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
        regions = []
        for code in np.unique(codes).tolist():
            colour = (code >> 16, code >> 8 & 255, code & 255)
            if colour not in names:
                text = ",".join(map(str, colour))
                raise FieldError(
                    f"{location}: colour {text} is not in {LABEL_MAP}; export masks and label map together"
                )
            if names[colour] != BACKGROUND:
                regions.append(AnnotatedRegion(names[colour], mask=codes == code))
        size = (codes.shape[0], codes.shape[1])
        names_of_image = (image.as_posix(), image.name)
        yield Annotation(names_of_image, f"/{location}", regions=tuple(regions) or None, size=size)


def _label_map(path: Path) -> Mapping[Colour, str]:
    """Read the class of each colour; black is the background unless it is named otherwise."""
    names: dict[Colour, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise FieldError(f"{LABEL_MAP}: not a text file ({error}); export the task again") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        # A name may contain colons, but the three fields after it do not.
        name, *fields = line.rsplit(":", 3)
        parts = fields[0].split(",") if len(fields) == 3 else []
        if len(parts) != 3 or not all(COLOUR.fullmatch(part.strip()) and int(part) < 256 for part in parts):
            raise FieldError(f"{LABEL_MAP}:{number}: must be label:red,green,blue:: (given {line!r}); correct it")
        colour = (int(parts[0]), int(parts[1]), int(parts[2]))
        if colour in names:
            raise FieldError(
                f"{LABEL_MAP}:{number}: {name!r} has the colour of {names[colour]!r}; give them different colours in "
                "CVAT and export again"
            )
        names[colour] = name
    return {(0, 0, 0): BACKGROUND, **names}
