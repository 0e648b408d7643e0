"""Synthetic images of stained nuclei in muscle under a fluorescence microscope.

Five types, modelled on the Dermatomyositis data set (S4MI section 2), differ in size, shape, hue and chromatin, with
distributions that overlap. Light is additive, so overlapping nuclei are transparent. Muscle fibres have a faint
autofluorescence; out-of-focus cells, specks and threads are distractors that are not in the mask.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s4mi.data.sources.synthetic_drawing import (
    Colour,
    Drawing,
    Field,
    Picture,
    coordinates,
    noise,
    photographed,
    plane,
    sigmoid,
)

FIBRE: Colour = (0.20, 0.62, 0.34)
SPECK: Colour = (0.75, 0.85, 0.60)
HAZE: Colour = (0.25, 0.30, 0.85)
MOST_OVERLAP = 0.3  # maximum overlap, as a fraction of the smaller of two nuclei, so that each remains visible


@dataclass(frozen=True)
class CellType:
    """Average appearance of the nuclei of one type."""

    radius: float  # as a fraction of the side
    aspect: float  # short axis over long axis
    lobes: int  # bumps around the outline; 1 is a dent on one side (bean-shaped)
    lobed: float  # height of the bumps, as a fraction of the radius
    hue: Colour
    clumps: int  # bumps of chromatin across a nucleus
    contrast: float  # of the chromatin
    frequency: float


TYPES = {
    "tfh_1": CellType(0.054, 0.90, 2, 0.04, (0.28, 0.50, 1.00), 3, 0.12, 0.22),
    "tfh_217": CellType(0.066, 0.80, 1, 0.26, (0.42, 0.38, 1.00), 6, 0.30, 0.19),
    "tfh_like": CellType(0.062, 0.52, 2, 0.05, (0.30, 0.54, 0.90), 4, 0.20, 0.20),
    "b_cell": CellType(0.080, 0.90, 3, 0.05, (0.38, 0.44, 0.98), 5, 0.50, 0.18),
    "other": CellType(0.070, 0.72, 3, 0.22, (0.50, 0.40, 0.92), 3, 0.30, 0.21),
}
CLASSES = tuple(TYPES)
TYPES_PER_IMAGE = (0.04, 0.22, 0.34, 0.27, 0.13)


@dataclass(frozen=True)
class Slide:
    """Properties shared by the images of one patient."""

    stain: float  # brightness of the nuclei
    tint: Colour  # factor of the stain and the camera on every hue
    fibre_glow: float  # autofluorescence of the tissue
    fibres: int
    haze: float  # out-of-focus light
    blur: float  # as a fraction of the side
    photons: float  # number at full brightness; fewer photons mean more noise
    crowding: float  # average number of nuclei per type beyond the first


def draw_slide(rng: Generator) -> Slide:
    """Draw the stain, tissue and microscope of a patient."""
    red, green, blue = (float(value) for value in rng.normal(1, 0.07, 3))
    return Slide(
        stain=rng.uniform(0.60, 1.05),
        tint=(red, green, blue),
        fibre_glow=rng.uniform(0.10, 0.50),
        fibres=int(rng.integers(5, 13)),
        haze=rng.uniform(0.0, 0.14),
        blur=rng.uniform(0.002, 0.008),
        photons=rng.uniform(25, 140),
        crowding=rng.uniform(0.8, 3.5),
    )


def draw_field(slide: Slide, rng: Generator, *, size: int, group: str) -> Drawing:
    """Draw one field of view of a slide; its labels are the types of the nuclei in it."""
    picture = _tissue(slide, rng, size)
    owner = np.zeros((size, size), dtype=np.int64)  # number of the topmost nucleus, 0 for none
    present: set[str] = set()
    for number, name in enumerate(_nucleus_types(slide, rng), start=1):
        if _put_nucleus(picture, owner, number, kind=TYPES[name], slide=slide, rng=rng):
            present.add(name)
    picture = _with_uneven_light(picture + _debris(slide, rng, size), rng)
    return Drawing(
        image=photographed(picture, rng, blur=slide.blur * rng.uniform(0.8, 1.4), photons=slide.photons),
        mask=np.where(owner > 0, 255, 0).astype(np.uint8),
        labels=tuple(name for name in CLASSES if name in present),
        group=group,
    )


def _nucleus_types(slide: Slide, rng: Generator) -> list[str]:
    """Draw the types of the nuclei, in the order of placement."""
    frequencies = [kind.frequency for kind in TYPES.values()]
    count = int(rng.choice(len(TYPES_PER_IMAGE), p=TYPES_PER_IMAGE))
    chosen = rng.choice(len(CLASSES), size=count, replace=False, p=frequencies)
    nuclei = [CLASSES[index] for index in chosen for _ in range(1 + int(rng.poisson(slide.crowding)))]
    return [nuclei[index] for index in rng.permutation(len(nuclei))]


def _put_nucleus(
    picture: Picture, owner: NDArray[np.int64], number: int, *, kind: CellType, slide: Slide, rng: Generator
) -> bool:
    """Add the light of a nucleus to `picture` and its number to `owner`; False if no free position was found."""
    size = owner.shape[0]
    radius = kind.radius * size * rng.lognormal(0, 0.13)
    shape, light = _nucleus(kind, rng, radius=radius)
    half = shape.shape[0] // 2
    taken, areas = np.flatnonzero(owner), np.bincount(owner.ravel())
    for _ in range(12):
        row, column = _random_position(taken, size, rng=rng, apart=radius)
        rows = slice(max(row - half, 0), min(row + half + 1, size))
        columns = slice(max(column - half, 0), min(column + half + 1, size))
        cut = np.s_[rows.start - row + half : rows.stop - row + half,
                    columns.start - column + half : columns.stop - column + half]  # fmt: skip
        if _fits(owner[rows, columns][shape[cut]], areas, area=int(np.count_nonzero(shape))):
            owner[rows, columns][shape[cut]] = number
            hue = np.array(kind.hue) * slide.tint * rng.normal(1, 0.10, 3) * slide.stain * rng.lognormal(-0.1, 0.22)
            picture[:, rows, columns] += plane(hue.astype(np.float32)) * light[cut]
            return True
    return False


def _nucleus(kind: CellType, rng: Generator, *, radius: float) -> tuple[NDArray[np.bool_], Field]:
    """Draw the outline and light of one nucleus, centred in a square patch; `radius` in pixels."""
    half = math.ceil(2.1 * radius) + 1
    line = np.arange(-half, half + 1, dtype=np.float32) / np.float32(radius)
    turn, aspect = rng.uniform(0, 2 * math.pi), min(kind.aspect * rng.lognormal(0, 0.10), 1.0)
    along = (line * math.cos(turn) + line[:, None] * math.sin(turn)) * math.sqrt(aspect)
    across = (line[:, None] * math.cos(turn) - line * math.sin(turn)) / math.sqrt(aspect)
    theta = np.arctan2(across, along)
    edge = 1 + kind.lobed * rng.uniform(0.6, 1.3) * np.cos(kind.lobes * theta + rng.uniform(0, 2 * math.pi))
    edge += 0.03 * rng.normal() * np.cos(4 * theta) + 0.03 * rng.normal() * np.sin(5 * theta)
    if kind.lobes == 1:  # a cosine of order 1 would only shift the ellipse, so cut a dent
        edge = 1 - 2 * kind.lobed * np.exp(-np.square((np.abs(theta) - math.pi / 2) / 0.5)) * (theta > 0)
    level = np.hypot(along, across) / edge
    chromatin = 1 + kind.contrast * rng.uniform(0.6, 1.3) * noise(rng, 2 * half + 1, cells=2 * kind.clumps)
    dome = 1 - 0.35 * np.square(np.minimum(level, 1))
    rim = np.asarray((1 - level) * radius / 0.6, dtype=np.float32)
    light = sigmoid(rim) * dome * np.clip(chromatin, 0.15, 2)
    return level < 1, np.asarray(light, dtype=np.float32)


def _random_position(taken: NDArray[np.intp], size: int, *, rng: Generator, apart: float) -> tuple[int, int]:
    """Draw the centre of a nucleus: anywhere, or as often beside an existing one (`taken`: flat pixel indices)."""
    if taken.size == 0 or rng.random() < 0.5:
        row, column = rng.integers(0, size, 2)
        return int(row), int(column)
    row, column = divmod(int(taken[rng.integers(taken.size)]), size)
    angle, step = rng.uniform(0, 2 * math.pi), apart * rng.uniform(0.9, 1.8)
    position = np.clip((row + step * math.sin(angle), column + step * math.cos(angle)), 0, size - 1)
    return int(position[0]), int(position[1])


def _fits(under: NDArray[np.int64], areas: NDArray[np.intp], *, area: int) -> bool:
    """Whether a nucleus of `area` pixels and the nuclei `under` it, of `areas` pixels each, remain visible."""
    if under.size < 0.6 * area:  # too much of it is outside the image
        return False
    covered = np.bincount(under, minlength=areas.size)
    return bool((covered[1:] <= MOST_OVERLAP * np.minimum(areas[1:], area)).all())


def _tissue(slide: Slide, rng: Generator, size: int) -> Picture:
    """Draw cross-sections of muscle fibres as the cells of a warped Voronoi diagram, with dark seams."""
    x, y = coordinates(size)
    x = x + 0.03 * noise(rng, size, cells=4, octaves=2)
    y = y + 0.03 * noise(rng, size, cells=4, octaves=2)
    first, second = np.full_like(x, 9), np.full_like(x, 9)  # squared distances to the two nearest centres
    glow = np.zeros_like(x)
    for _ in range(slide.fibres):
        site_x, site_y = rng.uniform(-0.1, 1.1, 2)
        distance = np.square(x - site_x) + np.square(y - site_y)
        glow = np.where(distance < first, np.float32(slide.fibre_glow * rng.lognormal(0, 0.35)), glow)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    seam = np.asarray(np.sqrt(second) - np.sqrt(first), dtype=np.float32)
    body = sigmoid((seam - 0.03) / 0.012) * (1 + 0.20 * noise(rng, size, cells=10, octaves=4))
    background = slide.haze * (0.5 + 0.25 * noise(rng, size, cells=2, octaves=2))
    return np.asarray(plane(FIBRE) * glow * body + plane(HAZE) * background + 0.02, dtype=np.float32)


def _debris(slide: Slide, rng: Generator, size: int) -> Picture:
    """Draw distractors: cells far out of focus, specks, and in some images a thread."""
    far = np.zeros((size, size), dtype=np.uint8)
    near = np.zeros((size, size), dtype=np.uint8)
    for canvas, count, smallest, largest in ((far, 2.0, 0.03, 0.07), (near, 5.0, 0.004, 0.012)):
        for _ in range(int(rng.poisson(count))):
            column, row = (int(value) for value in rng.integers(0, size * 16, 2))
            radius, glow = int(rng.uniform(smallest, largest) * size * 16), int(rng.integers(60, 200))
            cv2.circle(canvas, (column, row), radius, glow, cv2.FILLED, cv2.LINE_AA, 4)
    if rng.random() < 0.25:
        walk = np.cumsum(rng.normal(0, 0.05, (12, 2)) + rng.normal(0, 0.06, 2), axis=0) + rng.uniform(0, 1, 2)
        points = np.rint(walk * size).astype(np.int32)
        cv2.polylines(near, [points], False, int(rng.integers(60, 160)), max(1, size // 128), cv2.LINE_AA)
    blobs = cv2.GaussianBlur(far, (0, 0), 0.03 * size).astype(np.float32) / 255
    specks = cv2.GaussianBlur(near, (0, 0), 0.004 * size).astype(np.float32) / 255
    return np.asarray(slide.stain * (plane(HAZE) * 0.7 * blobs + plane(SPECK) * specks), dtype=np.float32)


def _with_uneven_light(picture: Picture, rng: Generator) -> Picture:
    """Vary stain and light over the field of view."""
    size = picture.shape[-1]
    x, y = coordinates(size)
    corner = np.square(x - 0.5) + np.square(y - 0.5)
    light = np.clip(1 + 0.18 * noise(rng, size, cells=2), 0.4, 1.6) * (1 - rng.uniform(0, 0.8) * corner)
    return np.asarray(picture * light, dtype=np.float32)
