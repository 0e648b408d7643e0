"""Augmentation with views as data: an affine and a colour matrix per image, sampled for a whole batch at once.

The affine matrix (2×3) maps output to input coordinates, as in `torch.nn.functional.affine_grid` with
`align_corners=False`: (0, 0) is the centre of the image and ±1 are its edges, at any size. Image and mask share it, and
it can be inverted exactly. The colour matrix (3×4) applies to RGB in [0, 1]. Beyond its edges the image is reflected.

There are two equivalent implementations: on the CPU one `cv2.warpAffine` per image, in threads; on an accelerator one
`grid_sample` per batch. They agree within `TOLERANCE` (mean absolute difference, in grey levels of 255): OpenCV samples
on a grid of 1/32 pixel and rounds to integer grey levels.

Several views of each image are ordered view-major: of B images, view n shows image n mod B.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

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
    """Augmentation parameters of N views.

    Attributes:
        affine: (N, 2, 3) float32, output to input coordinates.
        colour: (N, 3, 4) float32 on RGB in [0, 1], followed by clamping; None for no change of colour.
        blur: (N,) float32 sigma in pixels at an output size of 224, 0 for no blur; None for no blur in any view.
        solarise: (N,) bool, whether values above 1/2 are inverted; None for no solarisation in any view.
    """

    affine: Tensor
    colour: Tensor | None
    blur: Tensor | None
    solarise: Tensor | None = None

    def __len__(self) -> int:
        return len(self.affine)

    def __getitem__(self, part: slice) -> "Views":
        fields: dict[str, Any] = {name: None if value is None else value[part] for name, value in vars(self).items()}
        return Views(**fields)


def join_views(parts: Sequence[Views]) -> Views:
    """Concatenate views in order."""
    if len(parts) == 1:
        return parts[0]
    neutral = {"colour": torch.eye(3, 4), "blur": torch.tensor(0.0), "solarise": torch.tensor(False)}
    joined: dict[str, Any] = {"affine": torch.cat([part.affine for part in parts])}
    for name, default in neutral.items():
        values = [getattr(part, name) for part in parts]
        filled = [
            default.expand(len(part), *default.shape) if value is None else value
            for part, value in zip(parts, values, strict=True)
        ]
        joined[name] = None if all(value is None for value in values) else torch.cat(filled)
    return Views(**joined)


def draw_views(spec: ViewSpec, count: int, generator: torch.Generator) -> Views:
    """Sample `count` views from `spec` with `generator` (on the CPU)."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    affine = _affine(
        angle=uniform(-spec.rotation, spec.rotation) * (math.pi / 180),
        side=uniform(*spec.scale).sqrt(),
        flips=_signs(count, generator) if spec.flip else torch.ones(count, 2),
        position=torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1),
        shift=2 * spec.translation * torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1),
        aspect=None if spec.aspect == (1, 1) else uniform(*map(math.log, spec.aspect)).exp(),
    )
    return Views(
        affine=affine,
        colour=_draw_colour(spec, count, generator),
        blur=_draw_blur(spec, count, generator) if spec.blur else None,
        solarise=torch.rand(count, generator=generator) < spec.solarise if spec.solarise else None,
    )


def _draw_colour(spec: ViewSpec, count: int, generator: torch.Generator) -> Tensor | None:
    """Sample (N, 3, 4) colour matrices, or None for no change of colour."""
    if not (spec.brightness or spec.contrast or spec.saturation or spec.hue or spec.grey):
        return None

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    def with_probability(probability: float) -> Tensor:
        return torch.rand(count, generator=generator) < probability

    factors = {
        "brightness": uniform(1 - spec.brightness, 1 + spec.brightness),
        "contrast": uniform(1 - spec.contrast, 1 + spec.contrast),
        "saturation": uniform(1 - spec.saturation, 1 + spec.saturation),
        "hue_angle": uniform(-spec.hue, spec.hue) * (2 * math.pi),
    }
    if spec.jitter < 1:
        jittered = with_probability(spec.jitter)
        neutral = {"hue_angle": 0.0}
        factors = {name: value.where(jittered, neutral.get(name, 1.0)) for name, value in factors.items()}
    if spec.grey:
        factors["saturation"] = factors["saturation"].masked_fill(with_probability(spec.grey), 0.0)
    return _colour_matrices(**factors)


def _draw_blur(spec: ViewSpec, count: int, generator: torch.Generator) -> Tensor:
    """Sample (N,) sigmas of the blur, 0 for no blur."""
    blurred = torch.rand(count, generator=generator) < spec.blur
    return torch.empty(count).uniform_(*spec.blur_sigma, generator=generator) * blurred


def apply_on_cpu(
    images: NDArray[np.uint8], masks: NDArray[np.uint8] | None, views: Views, *, size: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Apply N views to (B, S, S, 3) uint8 images and (B, S, S) masks on the CPU, in threads.

    Args:
        size: side Z of the output; by default S.

    Returns:
        (N, 3, Z, Z) float32 in [0, 1], stored channels-last, and (N, Z, Z) int64 or None.
    """
    count, stored, side = len(images), images.shape[1], size or images.shape[1]
    matrices = _pixel_matrices(views.affine.numpy(), stored, side)
    colours = None if views.colour is None else _byte_colours(views.colour.numpy())
    sigmas = np.zeros(len(views)) if views.blur is None else views.blur.numpy()
    solarised = np.zeros(len(views), dtype=bool) if views.solarise is None else views.solarise.numpy()
    # The threads write the output themselves: converting in torch would start its own threads, which busy-wait.
    pixels = np.empty((len(views), side, side, 3), dtype=np.float32)
    classes = None if masks is None else np.empty((len(views), side, side), dtype=np.int64)

    def apply(numbers: Sequence[int]) -> None:
        for n in numbers:
            image = _warp(images[n % count], matrices[n], side, cv2.INTER_LINEAR)
            if sigmas[n]:
                image = cv2.GaussianBlur(image, (0, 0), _sigma(sigmas[n], side), borderType=cv2.BORDER_REFLECT_101)
            if colours is not None:
                image = cv2.transform(image, colours[n])
            if solarised[n]:
                image = np.where(image >= 128, 255 - image, image)
            np.divide(image, np.float32(255), out=pixels[n])
            if masks is not None and classes is not None:
                classes[n] = _warp(masks[n % count], matrices[n], side, cv2.INTER_NEAREST)

    list(_threads().map(apply, [range(start, len(views), _workers()) for start in range(min(len(views), _workers()))]))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), None if classes is None else torch.from_numpy(classes)


def apply_on_device(
    images: Tensor, masks: Tensor | None, views: Views, *, size: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Apply N views to (B, S, S, 3) uint8 images and (B, S, S) uint8 masks, given as tensors on any device.

    Args:
        size: side Z of the output; by default S.

    Returns:
        (N, 3, Z, Z) float32 in [0, 1], stored channels-last, and (N, Z, Z) int64 or None.
    """
    device, side, times = images.device, size or images.shape[1], len(views) // len(images)
    affine = views.affine.to(device, non_blocking=True)
    grid = F.affine_grid(affine, [len(views), 3, side, side], align_corners=False)
    pixels = images.permute(0, 3, 1, 2).float().div_(255).repeat(times, 1, 1, 1)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if views.blur is not None:
        pixels = _blur(pixels, views.blur)
    if views.colour is not None:
        colour = views.colour.to(device, non_blocking=True)
        pixels = torch.einsum("bij,bjhw->bihw", colour[:, :, :3], pixels) + colour[:, :, 3, None, None]
        pixels = pixels.clamp_(0, 1)
    if views.solarise is not None:
        inverted = views.solarise.to(device, non_blocking=True)[:, None, None, None] & (pixels >= 0.5)
        pixels = torch.where(inverted, 1 - pixels, pixels)
    if masks is not None:
        # Class indices below 256 are exact in float32.
        sampled = F.grid_sample(
            masks[:, None].float().repeat(times, 1, 1, 1),
            grid,
            mode="nearest",
            padding_mode="reflection",
            align_corners=False,
        )
        masks = sampled[:, 0].long()
    return pixels.contiguous(memory_format=torch.channels_last), masks


def _affine(
    *, angle: Tensor, side: Tensor, flips: Tensor, position: Tensor, shift: Tensor, aspect: Tensor | None
) -> Tensor:
    """Return (N, 2, 3): crop of `side`, or of that area, at `position` (±1: at the edge), then flip, rotate, shift."""
    sides = side[:, None].expand(-1, 2)
    if aspect is not None:
        sides = torch.stack([side * aspect.sqrt(), side / aspect.sqrt()], dim=1).clamp_max(1)
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    linear = rotation * (sides * flips)[:, None, :]
    offset = position * (1 - sides) + shift
    return torch.cat([linear, offset[:, :, None]], dim=2)


def _signs(count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (count, 2), generator=generator).float() * 2 - 1


def _colour_matrices(*, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue_angle: Tensor) -> Tensor:
    """Return (B, 3, 4): brightness, contrast about mid-grey, saturation about luma, rotation about the grey axis."""
    identity = torch.eye(3)
    grey = torch.tensor(LUMA).expand(3, 3)
    saturate = saturation[:, None, None] * identity + (1 - saturation)[:, None, None] * grey
    # Rodrigues' formula for a rotation about (1, 1, 1) / √3.
    axis = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cosine, sine = hue_angle.cos()[:, None, None], hue_angle.sin()[:, None, None]
    rotate = cosine * identity + sine * axis + (1 - cosine) * torch.full((3, 3), 1 / 3)
    linear = (brightness * contrast)[:, None, None] * (saturate @ rotate)
    offset = (0.5 * (1 - contrast))[:, None, None].expand(-1, 3, 1)
    return torch.cat([linear, offset], dim=2)


def _pixel_matrices(affine: NDArray[np.float32], stored: int, side: int) -> NDArray[np.float64]:
    """Convert to matrices that map pixel indices of an output of `side` to those of the stored image, for OpenCV.

    Pixel x of an image of side S has the coordinate u = (2x + 1) / S - 1.
    """
    linear = affine[:, :, :2].astype(np.float64)
    offset = (affine[:, :, 2] + linear.sum(axis=2) * (1 / side - 1) + 1) * (stored / 2) - 1 / 2
    return np.concatenate([linear * (stored / side), offset[:, :, None]], axis=2)


def _byte_colours(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert colour matrices to values in 0..255."""
    return colour * np.array([1, 1, 1, 255], dtype=np.float32)


def _warp(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], side: int, interpolation: int) -> NDArray[np.uint8]:
    flags = interpolation | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(pixels, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, dtype=np.uint8)


def _sigma(sigma: float, side: int) -> float:
    return max(sigma * side / 224, 0.3)


def _blur(pixels: Tensor, sigmas: Tensor) -> Tensor:
    """Blur (N, 3, H, W) images with (N,) individual sigmas, given on the CPU; 0 for no blur."""
    count, side = len(pixels), pixels.shape[-1]
    scaled = (sigmas * (side / 224)).clamp_min(0.3)[:, None]
    radius = min(max(1, math.ceil(4 * float(scaled.max()))), side - 1)
    offset = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offset / scaled) ** 2).where(offset.abs() <= (4 * scaled).ceil(), 0.0)
    kernel = kernel.where(sigmas[:, None] > 0, (offset == 0).float())
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0).to(pixels.device, non_blocking=True)
    padded = F.pad(pixels, (radius,) * 4, mode="reflect")
    channels = padded.reshape(1, count * 3, side + 2 * radius, side + 2 * radius)
    rows = F.conv2d(channels, kernel[:, None, :, None], groups=count * 3)
    return F.conv2d(rows, kernel[:, None, None, :], groups=count * 3).reshape(count, 3, side, side)


def _workers() -> int:
    return torch.get_num_threads()  # this process's share of the cores


@cache
def _threads() -> ThreadPoolExecutor:
    cv2.setNumThreads(1)  # images are already processed in threads; OpenCV's own would only compete with them
    return ThreadPoolExecutor(_workers(), thread_name_prefix="views")
