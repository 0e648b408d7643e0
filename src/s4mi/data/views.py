"""A view is data: for a whole batch, one vectorised draw gives a matrix of geometry and a matrix of colour per image.

Geometry is a 2×3 matrix from output to input in the coordinates of `torch.nn.functional.affine_grid` without aligned
corners: (0, 0) is the centre of the image and ±1 its edges, whatever its size. Image and mask share it, and because it
is a matrix it can be inverted exactly. Colour is a 3×4 matrix on RGB in [0, 1]. Outside the image its mirror is seen.

Two appliers give the same pixels: on the CPU one `cv2.warpAffine` per image, in threads; on an accelerator one
`grid_sample` per batch. They agree within `TOLERANCE` (mean absolute difference, in grey levels of 255): OpenCV samples
on a grid of 1/32 pixel and rounds to whole grey levels.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import ViewSpec

TOLERANCE = 1.0
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Views:
    """One view per image of a batch.

    Attributes:
        affine: (B, 2, 3) float32, output → input coordinates.
        colour: (B, 3, 4) float32 on RGB in [0, 1], clamped afterwards; None when nothing changes.
        blur: (B,) bool, or None when no image is blurred.
    """

    affine: Tensor
    colour: Tensor | None
    blur: Tensor | None

    def __getitem__(self, part: slice) -> "Views":
        return Views(
            affine=self.affine[part],
            colour=None if self.colour is None else self.colour[part],
            blur=None if self.blur is None else self.blur[part],
        )


def draw_views(spec: ViewSpec, count: int, generator: torch.Generator) -> Views:
    """`count` views drawn from `spec` with `generator` (on the CPU)."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    affine = _geometry(
        angle=uniform(-spec.rotation, spec.rotation) * (math.pi / 180),
        side=uniform(*spec.scale).sqrt(),
        flips=_signs(count, generator) if spec.flip else torch.ones(count, 2),
        place=torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1),
        shift=2 * spec.translation * torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1),
    )
    colour = None
    if spec.brightness or spec.contrast or spec.saturation or spec.hue:
        colour = _colour(
            brightness=uniform(1 - spec.brightness, 1 + spec.brightness),
            contrast=uniform(1 - spec.contrast, 1 + spec.contrast),
            saturation=uniform(1 - spec.saturation, 1 + spec.saturation),
            turn=uniform(-spec.hue, spec.hue) * (2 * math.pi),
        )
    blur = torch.rand(count, generator=generator) < spec.blur if spec.blur else None
    return Views(affine=affine, colour=colour, blur=blur)


def apply_on_cpu(
    images: NDArray[np.uint8], masks: NDArray[np.uint8] | None, views: Views
) -> tuple[Tensor, Tensor | None]:
    """Apply views to (B, S, S, 3) uint8 images and (B, S, S) masks, one image a thread.

    Returns:
        (B, 3, S, S) float32 in [0, 1], stored channels-last, and (B, S, S) int64 or None.
    """
    count, side = images.shape[0], images.shape[1]
    matrices = _pixel_matrices(views.affine.numpy(), side)
    colours = None if views.colour is None else _byte_colours(views.colour.numpy())
    blurred = np.zeros(count, dtype=bool) if views.blur is None else views.blur.numpy()
    # Written by the threads themselves: torch would bring threads of its own, which wait for each other spinning.
    pixels = np.empty(images.shape, dtype=np.float32)
    classes = None if masks is None else np.empty(masks.shape, dtype=np.int64)

    def apply(numbers: Sequence[int]) -> None:
        for n in numbers:
            image = _warp(images[n], matrices[n], cv2.INTER_LINEAR)
            if blurred[n]:
                image = cv2.GaussianBlur(image, (0, 0), _sigma(side), borderType=cv2.BORDER_REFLECT_101)
            if colours is not None:
                image = cv2.transform(image, colours[n])
            np.divide(image, np.float32(255), out=pixels[n])
            if masks is not None and classes is not None:
                classes[n] = _warp(masks[n], matrices[n], cv2.INTER_NEAREST)

    list(_threads().map(apply, [range(start, count, _workers()) for start in range(min(count, _workers()))]))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), None if classes is None else torch.from_numpy(classes)


def apply_on_device(images: Tensor, masks: Tensor | None, views: Views) -> tuple[Tensor, Tensor | None]:
    """Apply views to (B, S, S, 3) uint8 images and (B, S, S) uint8 masks, as tensors on any device.

    Returns:
        (B, 3, S, S) float32 in [0, 1], stored channels-last, and (B, S, S) int64 or None.
    """
    device, side = images.device, images.shape[1]
    affine = views.affine.to(device, non_blocking=True)
    grid = F.affine_grid(affine, [len(images), 3, side, side], align_corners=False)
    pixels = images.permute(0, 3, 1, 2).float().div_(255)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if views.blur is not None:
        pixels = torch.where(views.blur.to(device)[:, None, None, None], _blur(pixels), pixels)
    if views.colour is not None:
        colour = views.colour.to(device, non_blocking=True)
        pixels = torch.einsum("bij,bjhw->bihw", colour[:, :, :3], pixels) + colour[:, :, 3, None, None]
        pixels = pixels.clamp_(0, 1)
    if masks is not None:
        # Nearest neighbour of class numbers below 256: exact in float32.
        seen = F.grid_sample(
            masks[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        masks = seen[:, 0].long()
    return pixels.contiguous(memory_format=torch.channels_last), masks


def invert(affine: Tensor) -> Tensor:
    """The (B, 2, 3) matrices that lead back from input to output."""
    linear, shift = affine[:, :, :2], affine[:, :, 2:]
    back = torch.linalg.inv(linear)
    return torch.cat([back, -back @ shift], dim=2)


def _geometry(*, angle: Tensor, side: Tensor, flips: Tensor, place: Tensor, shift: Tensor) -> Tensor:
    """Crop a square of side `side` at `place` (±1: at the edge), flip it, turn it by `angle`, shift it: (B, 2, 3)."""
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    linear = turn * (side[:, None] * flips)[:, None, :]
    offset = place * (1 - side)[:, None] + shift
    return torch.cat([linear, offset[:, :, None]], dim=2)


def _signs(count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (count, 2), generator=generator).float() * 2 - 1


def _colour(*, brightness: Tensor, contrast: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    """Brightness, contrast about mid-grey, saturation about the luma, a turn about the grey axis: one (B, 3, 4)."""
    identity = torch.eye(3)
    grey = torch.tensor(LUMA).expand(3, 3)
    saturate = saturation[:, None, None] * identity + (1 - saturation)[:, None, None] * grey
    # Rodrigues' rotation about (1, 1, 1) / √3.
    axis = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cosine, sine = turn.cos()[:, None, None], turn.sin()[:, None, None]
    rotate = cosine * identity + sine * axis + (1 - cosine) * torch.full((3, 3), 1 / 3)
    linear = (brightness * contrast)[:, None, None] * (saturate @ rotate)
    offset = (0.5 * (1 - contrast))[:, None, None].expand(-1, 3, 1)
    return torch.cat([linear, offset], dim=2)


def _pixel_matrices(affine: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """The same maps between pixel indices, as OpenCV wants them: x = (u + 1) · side / 2 - 1/2."""
    linear = affine[:, :, :2].astype(np.float64)
    centre = (side - 1) / 2
    offset = affine[:, :, 2] * (side / 2) + centre - linear.sum(axis=2) * centre
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def _byte_colours(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same colour matrices for values in 0..255."""
    return colour * np.array([1, 1, 1, 255], dtype=np.float32)


def _warp(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], interpolation: int) -> NDArray[np.uint8]:
    flags = interpolation | cv2.WARP_INVERSE_MAP
    shape = (pixels.shape[1], pixels.shape[0])
    warped = cv2.warpAffine(pixels, matrix, shape, flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, dtype=np.uint8)


def _sigma(side: int) -> float:
    return max(side / 224, 0.3)


def _blur(pixels: Tensor) -> Tensor:
    sigma = _sigma(pixels.shape[-1])
    radius = max(1, math.ceil(4 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=pixels.device) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, -1)
    padded = F.pad(pixels, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, taps[:, :, :, None], groups=3)
    return F.conv2d(rows, taps[:, :, None, :], groups=3)


def _workers() -> int:
    return torch.get_num_threads()  # the share of the cores that this process was given


@cache
def _threads() -> ThreadPoolExecutor:
    cv2.setNumThreads(1)  # each image has a thread already; OpenCV's own would only compete
    return ThreadPoolExecutor(_workers(), thread_name_prefix="views")
