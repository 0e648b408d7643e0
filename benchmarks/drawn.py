"""Synthetic data sets for benchmarks that read files: photographs and squares as JPEGs, squares with masks as PNGs."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import Drawing, draw_lesions
from s4mi.data.spec import DatasetSpec

PAGE = (768, 1024)
"""Height and width of a photograph in pixels."""
SQUARE = 480
"""Side of a square in pixels."""
DRAWINGS = 24
"""Number of different images; repetitions are rotated by 90°, photographs by 180°."""
QUALITY = 90


def photographs(folder: Path, count: int) -> Manifest:
    """Write JPEGs of 1024×768 with a label each, like those of a camera."""
    return _write(folder, count, page=True, masks=False)


def squares(folder: Path, count: int) -> Manifest:
    """Write JPEGs of 480×480 with a label each."""
    return _write(folder, count, page=False, masks=False)


def outlined(folder: Path, count: int) -> Manifest:
    """Write PNGs of 480×480 and their masks, 0 and 255, and the same pixels as `.npy` files."""
    return _write(folder, count, page=False, masks=True)


def _write(folder: Path, count: int, *, page: bool, masks: bool) -> Manifest:
    folder.mkdir()
    rows: list[Row] = []
    for number, (drawing, quarters) in enumerate(_drawings(count)):
        image = np.rot90(_page(drawing), 2 * quarters) if page else np.rot90(drawing.image, quarters)
        path, mask = folder / f"{number:04d}.{'png' if masks else 'jpg'}", folder / f"{number:04d}_mask.png"
        Image.fromarray(image).save(path, quality=QUALITY)
        if masks:
            outline = np.ascontiguousarray(np.rot90(drawing.mask, quarters))
            Image.fromarray(outline).save(mask)
            np.save(path.with_suffix(".npy"), np.ascontiguousarray(image))
            np.save(mask.with_suffix(".npy"), outline)
        labels = drawing.labels or ("none",)
        rows.append(
            Row(
                id=path.stem,
                image=path,
                mask=mask if masks else None,
                labels=labels[:1],
                group=None,
                split=None,
                line=number + 2,
            )
        )
    classes = tuple(sorted({label for row in rows for label in row.labels or ()}))
    values = {0: "background", 255: "lesion"} if masks else {}
    spec = DatasetSpec(name=folder.name, tasks=(), classes=classes, mask_values=values, synthetic=True)
    write_dataset(folder, spec, rows)
    return load_manifest(folder)


def _drawings(count: int) -> Iterator[tuple[Drawing, int]]:
    """Yield images, each with the number of its earlier repetitions."""
    drawings = list(draw_lesions(min(DRAWINGS, count), size=SQUARE, seed=0))
    for number, drawing in zip(range(count), itertools.cycle(drawings), strict=False):
        yield drawing, number // len(drawings)


def _page(drawing: Drawing) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the centre of an image, enlarged."""
    page = cv2.resize(drawing.image, (PAGE[1], PAGE[1]), interpolation=cv2.INTER_CUBIC)
    top = (PAGE[1] - PAGE[0]) // 2
    return np.asarray(page[top : top + PAGE[0]], dtype=np.uint8)
