"""Contact sheets: small images side by side, for a person to look at."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image, resize_image, resize_mask
from s4mi.data.manifest import Manifest
from s4mi.data.masks import read_mask
from s4mi.records import IGNORE

CELL = 112
GAP = 4
BACKGROUND = 236
HIT, MISSED, WRONG = (0, 158, 115), (230, 159, 0), (204, 121, 167)
"""Okabe–Ito green, orange and purple: found, missed, and found where nothing is."""


def examples_sheet(manifest: Manifest, *, per_class: int) -> bytes:
    """A row of images per class, PNG; an image of several classes stands under the first of them not yet full."""
    rows: list[list[Pixels]] = []
    used: set[str] = set()
    for name in manifest.spec.classes:
        chosen = [row for row in manifest.rows if name in (row.labels or ()) and row.id not in used][:per_class]
        used.update(row.id for row in chosen)
        rows.append([_cell(read_image(row.image, manifest.spec.rule)) for row in chosen])
    return _png(rows)


def segmentation_sheet(manifest: Manifest, ids: Sequence[str], predictions: Sequence[Path]) -> bytes:
    """A row per image: the image, its truth, each folder's predicted mask with hits, misses and false alarms; PNG."""
    by_id = {row.id: row for row in manifest.rows}
    rows = []
    for name in ids:
        row = by_id[name]
        assert row.mask is not None
        image, truth = read_image(row.image, manifest.spec.rule), read_mask(row.mask, manifest.spec.mask_values)
        cells = [_cell(image), _compare(image, truth, truth)]
        for folder in predictions:
            predicted = read_mask(folder / f"{row.image.stem}.png", manifest.spec.mask_values)
            cells.append(_compare(image, truth, predicted))
        rows.append(cells)
    return _png(rows)


def _compare(image: Pixels, truth: Pixels, predicted: Pixels) -> Pixels:
    """The image tinted where foreground was found, missed, or wrongly seen; all foreground classes alike."""
    picture = _cell(image)
    t, p = (resize_mask(mask, (CELL, CELL)) for mask in (truth, predicted))
    known = t != IGNORE
    t_on, p_on = (t > 0) & known, (p > 0) & known
    for where, colour in ((t_on & p_on, HIT), (t_on & ~p_on, MISSED), (p_on & ~t_on, WRONG)):
        picture[where] = (0.55 * picture[where] + 0.45 * np.array(colour)).astype(np.uint8)
    outline = cv2.morphologyEx(t_on.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
    picture[outline > 0] = 255
    return picture


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
