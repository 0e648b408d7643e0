"""A contact sheet of a data set: small images side by side, for a person to look at."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image, resize_image
from s4mi.data.manifest import Manifest

CELL = 112
GAP = 4
BACKGROUND = 236


def examples_sheet(manifest: Manifest, *, per_class: int) -> bytes:
    """A row of images per class, PNG; an image of several classes stands under the first of them not yet full."""
    rows: list[list[Pixels]] = []
    used: set[str] = set()
    for name in manifest.spec.classes:
        chosen = [row for row in manifest.rows if name in (row.labels or ()) and row.id not in used][:per_class]
        used.update(row.id for row in chosen)
        rows.append([_cell(read_image(row.image, manifest.spec.rule)) for row in chosen])
    return _png(rows)


def _cell(image: Pixels) -> Pixels:
    return resize_image(image, (CELL, CELL)).copy()


def _png(rows: Sequence[Sequence[Pixels]]) -> bytes:
    step, wide = CELL + GAP, max(map(len, rows))
    sheet = np.full((len(rows) * step - GAP, wide * step - GAP, 3), BACKGROUND, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            sheet[i * step : i * step + CELL, j * step : j * step + CELL] = cell
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
