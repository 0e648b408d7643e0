"""Compare the fine structure of two images, which near-duplicates share and images of one kind do not.

Fundus photographs of different eyes look alike at 32 pixels: a bright disc with a dark rim and the same gradient.
Their vessels differ. So the second look at a pair takes 128 pixels, keeps the structure between 1 and 4 of them,
divides it by the local contrast, and leaves out what lies outside the field of view and along its rim.

Copies may be cropped, so that one image is aligned to the other first. Chest films of patients who were positioned
alike share more than an outline: ribs. What the images of a set share is their mean structure, so that a pair which is
alike but not all but identical is compared again without it (`second_look.py`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

SIDE = 128
FINE, COARSE = 1.0, 4.0
"""Sigmas of the Gaussians whose difference keeps the structure, in pixels of the reduced image."""
NOISE = 0.5
"""Variance added to the local contrast, so that noise on uniform areas is not amplified to structure."""
DARK = 12
"""Grey level up to which a pixel may lie outside the field of view."""
MIN_VIEW = 0.3
"""Smaller bright areas are objects on a dark background, not a field of view."""
RIM = SIDE // 10
SHIFT = 2
"""Greatest shift of the images against each other, in pixels of the reduced image, before they are aligned."""
MOST_SCALE, MOST_SHIFT = 0.06, 6.0
"""Greatest deviation from the identity of an alignment; what needs more is another view, or another image."""
STEPS = 30
"""Iterations of the alignment."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Structure = NDArray[np.float32]
Inside = NDArray[np.bool_]


@dataclass(frozen=True)
class Detail:
    """Structure (128, 128) of an image, and the pixels inside its field of view."""

    structure: NDArray[np.float16]
    inside: Inside


def detail(pixels: Pixels) -> Detail:
    """Return the structure of an (H, W, 3) image."""
    grey = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) @ LUMA
    band = cv2.GaussianBlur(grey, (0, 0), FINE) - cv2.GaussianBlur(grey, (0, 0), COARSE)
    contrast = np.sqrt(cv2.GaussianBlur(np.square(band), (0, 0), 2 * COARSE) + NOISE)
    bright = (cv2.GaussianBlur(grey, (0, 0), 2 * FINE) > DARK).astype(np.uint8)
    inside = np.ones((SIDE, SIDE), dtype=np.bool_)
    if MIN_VIEW < bright.mean() < 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (RIM, RIM))
        inside = cv2.erode(bright, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(np.bool_)
    return Detail((band / contrast).astype(np.float16), inside)


def detail_correlation(one: Detail, other: Detail, *, shared: Structure | None = None) -> float:
    """Correlation of the structures of two images, of which the second is aligned to the first; 1 for identical images.

    Images without structure have nothing that could differ: 1.

    Args:
        shared: (128, 128) mean structure of a set, which is taken off both.
    """
    a, b = one.structure.astype(np.float32), other.structure.astype(np.float32)
    down, right = _best_shift(a, b, one.inside & other.inside)
    moves = [np.array([[1, 0, -right], [0, 1, -down]], dtype=np.float32)]
    if (refined := _alignment(a, b, moves[0])) is not None:
        moves.append(refined)
    return max(_correlation(a, *_moved(b, other.inside, move), one.inside, shared) for move in moves)


def _best_shift(a: Structure, b: Structure, inside: Inside) -> tuple[int, int]:
    """Rows and columns by which `b` moves to correlate most with `a`."""
    shifts = [(down, right) for down in range(-SHIFT, SHIFT + 1) for right in range(-SHIFT, SHIFT + 1)]
    x = np.where(inside, a, 0)[SHIFT:-SHIFT, SHIFT:-SHIFT].ravel()
    masked = np.where(inside, b, 0)
    products = [
        x @ masked[SHIFT - down : SIDE - SHIFT - down, SHIFT - right : SIDE - SHIFT - right].ravel()
        for down, right in shifts
    ]
    return shifts[int(np.argmax(products))]


def _alignment(a: Structure, b: Structure, start: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(2, 3) affine matrix from `a` to `b` (ECC, Evangelidis & Psarakis 2008); None if there is no small one."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, 1e-4)
    try:
        _, found = cv2.findTransformECC(a, b, start.copy(), cv2.MOTION_AFFINE, criteria, None, 1)
    except cv2.error:  # it did not converge, as of images without structure
        return None
    move = np.asarray(found, dtype=np.float32)
    off = move - np.eye(2, 3, dtype=np.float32)
    small = np.abs(off[:, :2]).max() <= MOST_SCALE and np.abs(off[:, 2]).max() <= MOST_SHIFT
    return move if small else None


def _moved(b: Structure, inside: Inside, move: NDArray[np.float32]) -> tuple[Structure, Inside]:
    size, inverse = (SIDE, SIDE), cv2.WARP_INVERSE_MAP
    known = cv2.warpAffine(inside.astype(np.uint8), move, size, flags=cv2.INTER_NEAREST | inverse)
    moved = cv2.warpAffine(b, move, size, flags=cv2.INTER_LINEAR | inverse, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32), known.astype(np.bool_)


def _correlation(a: Structure, b: Structure, inside_b: Inside, inside_a: Inside, shared: Structure | None) -> float:
    both = inside_a & inside_b
    both[:SHIFT], both[-SHIFT:], both[:, :SHIFT], both[:, -SHIFT:] = False, False, False, False
    x, y = a[both], b[both]
    if not len(x):
        return 1.0
    x, y = x - x.mean(), y - y.mean()
    if shared is not None:
        x, y = (without(each, shared[both]) for each in (x, y))
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return 1.0 if norm < 1 else float(x @ y) / norm


def without(values: Structure, shared: Structure) -> Structure:
    """(N,) values less their projection on (N,) others, both taken as deviations from their mean."""
    m = shared - shared.mean()
    length = float(m @ m)
    return values if length < 1 else np.asarray(values - (values @ m) / length * m, dtype=np.float32)
