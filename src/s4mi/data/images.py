"""Read images as uint8 arrays, resize them, and normalise their red channel."""

from pathlib import Path

import cv2
import numpy as np

from s4mi.data.files import read_frame, read_header
from s4mi.data.formats.intensity import Intensity, Pixels


def read_image(path: Path, intensity: Intensity | None = None, *, limits: tuple[float, float] | None = None) -> Pixels:
    """Read (H, W, 3) uint8 RGB: grey repeated, alpha dropped, EXIF orientation applied; the first frame if several.

    Args:
        intensity: conversion of values of more than 8 bits to 0..255; None for `Intensity()`.
        limits: values that become 0 and 255 in the whole series; by default computed from the image.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image; the message leaves out the path.
    """
    return as_rgb((intensity or Intensity()).show(read_frame(path), limits=limits))


def as_rgb(pixels: Pixels) -> Pixels:
    """Convert (H, W), (H, W, 3) or (H, W, 4) to (H, W, 3)."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) after EXIF orientation, from the header alone.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    header = read_header(path)
    return header.height, header.width


def resize_image(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize (H, W, 3) to (height, width, 3): bilinear, or area averaging against aliasing if both sides shrink."""
    if pixels.shape[:2] == size:
        return pixels
    shrinks = pixels.shape[0] > size[0] and pixels.shape[1] > size[1]
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def resize_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize (H, W) to (height, width) by nearest neighbour, so that no new class arises."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)


def normalise_red(pixels: Pixels) -> Pixels:
    """Replace red by R' = R / sqrt(R² + G² + B²), in 0..255 (Thanh et al. 2019; S4MI section 3.3); black stays 0."""
    colours = pixels.astype(np.float32)
    norm = np.sqrt(np.square(colours).sum(axis=2))
    red = np.divide(colours[:, :, 0], norm, out=np.zeros_like(norm), where=norm > 0)
    result = pixels.copy()
    result[:, :, 0] = np.rint(255.0 * red).astype(np.uint8)
    return result
