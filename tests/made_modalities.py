"""Drawn images of modalities whose images look alike: what a search for copies must not take for one.

A kind draws the anatomy that all images share, with differences of position and size that `spread` scales, and
structure that is the patient's own: vessels of the lung and noise, speckle, vessels of the retina.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from s4mi.data.formats.intensity import Pixels

SIZE = 320


def chest(seed: int, spread: float = 1.0) -> Pixels:
    """A smooth grey frontal chest film: two dark lungs, a bright middle, faint ribs and vessels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    image = 150 + 40 * (y - 0.5)
    for side in (0.3, 0.7):
        cx, cy = side + spread * rng.normal(0, 0.012), 0.47 + spread * rng.normal(0, 0.015)
        inside = ((x - cx) / (0.16 + spread * rng.normal(0, 0.006))) ** 2 + (
            (y - cy) / (0.32 + spread * rng.normal(0, 0.012))
        ) ** 2
        image -= 85 / (1 + np.exp(np.clip(18 * (inside - 1), -30, 30)))
    image += 55 * np.exp(-(((x - 0.5) / 0.055) ** 2)) * (0.7 + 0.3 * y)
    image += 45 * np.exp(-(((x - 0.56 - spread * rng.normal(0, 0.01)) / 0.12) ** 2 + ((y - 0.68) / 0.12) ** 2))
    spacing, tilt, phase = (
        0.083 + spread * rng.normal(0, 0.003),
        0.9 + spread * rng.normal(0, 0.08),
        spread * rng.uniform(0, 0.03),
    )
    ribs = np.cos(2 * np.pi * (y + phase + tilt * np.abs(x - 0.5) ** 1.5) / spacing)
    image += 7 * ribs * (np.abs(x - 0.5) > 0.06)
    vessels = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(60):
        side = rng.choice([-1.0, 1.0])
        point, angle = np.array([0.5 + side * 0.08, 0.5 + rng.normal(0, 0.05)]) * SIZE, rng.normal(0, 1.0)
        points = [point]
        for _ in range(9):
            angle += rng.normal(0, 0.25)
            points.append(points[-1] + 0.022 * SIZE * np.array([side * np.cos(angle), np.sin(angle)]))
        cv2.polylines(vessels, [np.array(points, np.int32)], False, 1.0, 2)
    image += 12 * cv2.GaussianBlur(vessels, (0, 0), 1.6)
    image += cv2.GaussianBlur(rng.normal(0, 25, (SIZE, SIZE)).astype(np.float32), (0, 0), 1.2)
    return _grey(image)


def ultrasound(seed: int, spread: float = 1.0) -> Pixels:
    """A sector with speckle of an anatomy of layers and one lesion; black beside the sector."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    depth, angle = np.hypot(y + 40, x - SIZE / 2), np.arctan2(x - SIZE / 2, y + 40)
    sector = (depth > 60) & (depth < 345) & (np.abs(angle) < 0.6)
    layers = 60 + 25 * np.sin(
        depth / (16 + spread * rng.normal(0, 0.8)) + spread * rng.uniform(0, 2 * np.pi) + 2 * angle
    )
    layers += 35 * np.exp(-(((depth - 110 - spread * rng.normal(0, 4)) / 10) ** 2))
    cx, cy, a, b = (
        SIZE / 2 + spread * rng.normal(0, 15),
        170 + spread * rng.normal(0, 15),
        28 + spread * rng.uniform(-6, 6),
        21 + spread * rng.uniform(-5, 5),
    )
    layers *= 1 - 0.75 / (1 + np.exp(np.clip(6 * (((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 - 1), -30, 30)))
    field = rng.normal(size=(2, SIZE, SIZE)).astype(np.float32)
    real, imaginary = (cv2.GaussianBlur(part, (0, 0), sigmaX=2.2, sigmaY=1.1) for part in field)
    speckle = np.hypot(real, imaginary)
    image = layers * (0.35 + 0.9 * speckle / speckle.mean()) * np.exp(-(depth - 60) / 500)
    return _grey(np.where(sector, image, 0))


def fundus(seed: int) -> Pixels:
    """A round bright field of view with a dark rim, the same for all seeds, and vessels that differ."""
    size = 256
    y, x = np.mgrid[:size, :size].astype(np.float32)
    radius = np.hypot(y - 128, x - 128)
    image = np.where(radius < 112, 150 - 0.3 * radius, 0)
    image += np.where(radius < 112, 60 * np.exp(-((y - 120) ** 2 + (x - 180) ** 2) / 300), 0)
    vessels = np.zeros((size, size), np.uint8)
    generator = np.random.default_rng(seed)
    for _ in range(25):
        start, angle = np.array([180.0, 120]), generator.uniform(0, 2 * np.pi)
        points = [start]
        for _ in range(18):
            angle += generator.normal(0, 0.35)
            points.append(points[-1] + 9 * np.array([np.cos(angle), np.sin(angle)]))
        cv2.polylines(vessels, [np.array(points, np.int32)], False, 255, 2)
    image -= np.where(radius < 112, 14 * (cv2.GaussianBlur(vessels, (0, 0), 0.8) / 255), 0)
    return np.dstack([image, 0.55 * image, 0.3 * image]).clip(0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Saved as JPEG and read again."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content).convert("RGB"))


def _scaled(pixels: Pixels, factor: float, how: int, quality: int) -> Pixels:
    return jpeg(np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how), np.uint8), quality)


MODALITIES: dict[str, Callable[[int], Pixels]] = {
    "chest": chest, "chest, positioned alike": lambda seed: chest(seed, 0.2), "ultrasound": ultrasound,
    "ultrasound, positioned alike": lambda seed: ultrasound(seed, 0.2), "fundus": fundus,
}  # fmt: skip
COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG of quality 50": lambda image: jpeg(image, 50),
    "half the size": lambda image: _scaled(image, 0.5, cv2.INTER_AREA, 90),
    "one and a half": lambda image: _scaled(image, 1.5, cv2.INTER_CUBIC, 75),
    "a tenth brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "cropped by 1 %": lambda image: image[3:-3, 3:-3],
}
"""Changes that leave an image the same for a reader."""


def _grey(image: np.ndarray) -> Pixels:
    grey = np.clip(image, 0, 255).astype(np.uint8)
    return np.dstack([grey, grey, grey])
