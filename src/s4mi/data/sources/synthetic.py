"""Two synthetic data sets, drawn from a seed, for trying the package without images of patients: lesions and cells.

*lesions*: skin lesions of three classes with their outlines (multiclass, segmentation). *cells*: fields of stained
nuclei of five types (multilabel, segmentation). An image depends only on the seed, its patient and its number within
the patient, so that a larger data set starts with the smaller one. Scores on them have no clinical meaning.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from s4mi.data.manifest import Manifest, load_manifest, read_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources import synthetic_cells, synthetic_lesions
from s4mi.data.sources.synthetic_drawing import Drawing, Kind, Pixels, stream
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError
from s4mi.records import write_bytes_atomically, write_text_atomically

__all__ = ["LEAST_SIZE", "Drawing", "Kind", "draw_cells", "draw_lesions", "write_synthetic"]

LEAST_SIZE = 32
MOST_IMAGES_OF_A_PATIENT = 4
EDITION = 1  # of the drawing code: increment it when the pixels of a seed change, so that no older data set is reused
MARKER = ".unfinished"


def draw_lesions(count: int, *, size: int = 128, seed: int = 0) -> Iterator[Drawing]:
    """Draw `count` skin lesions: image (size, size, 3) uint8 RGB, mask (size, size) 0/255, one label each.

    A patient has one to four consecutive images, which share skin, hair and light but not the class. The lesion is one
    connected region. Labels: nevus, melanoma, seborrheic_keratosis.

    Raises:
        S4miError: `size` is below 32, `count` below 1, or `seed` below 0.
    """
    _check(count, size=size, seed=seed)
    return itertools.islice(_draw("lesions", size=size, seed=seed), count)


def draw_cells(count: int, *, size: int = 128, seed: int = 0) -> Iterator[Drawing]:
    """Draw `count` fields of nuclei: image (size, size, 3) uint8 RGB, mask (size, size) 0/255, zero to four labels.

    A patient has one to four consecutive images, which share stain, tissue and microscope. The labels are the types of
    the nuclei in the image; some images have none, and their mask is empty. Labels: tfh_1, tfh_217, tfh_like, b_cell,
    other.

    Raises:
        S4miError: `size` is below 32, `count` below 1, or `seed` below 0.
    """
    _check(count, size=size, seed=seed)
    return itertools.islice(_draw("cells", size=size, seed=seed), count)


def write_synthetic(kind: Kind, folder: Path, *, count: int, size: int = 128, seed: int = 0) -> Manifest:
    """Draw a data set into `folder`: images/*.png, masks/*.png, manifest.csv and dataset.yaml.

    A folder that already contains this data set is reused; an interrupted one is drawn again.

    Raises:
        S4miError: `folder` contains something else, or a number is out of range as in `draw_lesions`.
    """
    _check(count, size=size, seed=seed)
    spec = _spec(kind, count=count, size=size, seed=seed)
    marker = folder / MARKER
    interrupted = marker.is_file() and marker.read_bytes() == spec.source.encode()
    if not interrupted and folder.exists() and not _is_empty(folder):
        existing = read_manifest(folder)[0]
        if existing is None or existing.spec != spec:
            raise S4miError(f"{folder}: does not contain '{spec.source}'; choose another folder or empty it")
        return load_manifest(folder)
    write_text_atomically(marker, spec.source)
    drawings = itertools.islice(_draw(kind, size=size, seed=seed), count)
    write_dataset(folder, spec, [_write(drawing, number, kind, folder) for number, drawing in enumerate(drawings)])
    marker.unlink()
    return load_manifest(folder)


def _draw(kind: Kind, *, size: int, seed: int) -> Iterator[Drawing]:
    """Yield drawings of one patient after the other, endlessly."""
    for patient in itertools.count():
        rng = stream(seed, kind, patient=patient)
        group = f"patient_{patient:04d}"
        images = int(rng.integers(1, MOST_IMAGES_OF_A_PATIENT + 1))
        if kind == "lesions":
            draw = partial(synthetic_lesions.draw_lesion, synthetic_lesions.draw_skin(rng))
        else:
            draw = partial(synthetic_cells.draw_field, synthetic_cells.draw_slide(rng))
        for image in range(images):
            yield draw(stream(seed, kind, patient=patient, image=image), size=size, group=group)


def _write(drawing: Drawing, number: int, kind: Kind, folder: Path) -> Row:
    name = f"{'lesion' if kind == 'lesions' else 'cells'}_{number:04d}"
    image, mask = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
    _write_png(image, np.ascontiguousarray(drawing.image[:, :, ::-1]))
    _write_png(mask, drawing.mask)
    line = number + 2  # the header is line 1
    return Row(name, image, mask, drawing.labels, drawing.group, split=None, line=line)


def _write_png(path: Path, pixels: Pixels) -> None:
    _, encoded = cv2.imencode(".png", pixels)  # imwrite would return False on a full disk instead of raising
    write_bytes_atomically(path, encoded.tobytes(), flush=False)


def _spec(kind: Kind, *, count: int, size: int, seed: int) -> DatasetSpec:
    lesions = kind == "lesions"
    return DatasetSpec(
        name=f"synthetic-{kind}",
        tasks=("multiclass" if lesions else "multilabel", "segmentation"),
        classes=synthetic_lesions.CLASSES if lesions else synthetic_cells.CLASSES,
        mask_values={0: "background", 255: "lesion" if lesions else "nucleus"},
        source=f"drawn by s4mi, edition {EDITION}: {kind}, count {count}, size {size}, seed {seed}",
        licence="Apache-2.0",
        synthetic=True,
    )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _check(count: int, *, size: int, seed: int) -> None:
    for name, value, minimum in (("count", count, 1), ("size", size, LEAST_SIZE), ("seed", seed, 0)):
        if value < minimum:
            raise S4miError(f"synthetic images: {name} must be at least {minimum} (given {value})")
