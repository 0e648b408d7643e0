"""Synthetic dermoscopic images of skin lesions.

The three classes have the same distributions of size, position, skin and mean darkness. They differ in the signs that
dermatologists use (border, several colours, blue-white veil, regression, network; milia-like cysts, plugs and
fissures), each of which is only more frequent or stronger in one class, so that no single sign determines it.

Pigment absorbs light as melanin does (Beer-Lambert): light * exp(-density * absorbance).
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
    Pixels,
    blend,
    coordinates,
    largest_blob,
    noise,
    photographed,
    plane,
    sigmoid,
    signed_distance,
)

Range = tuple[float, float]

SKIN_TONES = np.array(
    [(0.93, 0.78, 0.73), (0.90, 0.73, 0.63), (0.80, 0.62, 0.50), (0.66, 0.48, 0.37), (0.48, 0.34, 0.26)], np.float32
)
BROWN: Colour = (0.55, 1.0, 1.35)
RED: Colour = (0.35, 1.1, 1.15)
BLACK: Colour = (1.0, 1.15, 1.2)
VEIL: Colour = (0.42, 0.45, 0.54)
SCAR: Colour = (0.86, 0.76, 0.76)
MILIUM: Colour = (0.96, 0.91, 0.78)
PLUG: Colour = (0.20, 0.13, 0.08)


@dataclass(frozen=True)
class Signs:
    """Appearance of a class: ranges of uniform distributions, and probabilities that a sign is present."""

    ragged: Range  # height of the bumps of the border, as a fraction of the radius
    softness: Range  # width of the border, as a fraction of the side
    variegation: Range  # contrast of the tones inside
    waxy: Range  # strength of the relief of a plaque on the skin
    network: float
    atypical: float  # probability that a network is uneven
    veil: float
    scar: float
    milia: float
    plugs: float


SIGNS = {
    "nevus": Signs(
        ragged=(0.02, 0.14), softness=(0.008, 0.030), variegation=(0.10, 0.65), waxy=(0.0, 0.25),
        network=0.55, atypical=0.2, veil=0.08, scar=0.08, milia=0.06, plugs=0.06,
    ),
    "melanoma": Signs(
        ragged=(0.07, 0.24), softness=(0.004, 0.026), variegation=(0.40, 1.0), waxy=(0.0, 0.3),
        network=0.50, atypical=0.8, veil=0.50, scar=0.40, milia=0.05, plugs=0.10,
    ),
    "seborrheic_keratosis": Signs(
        ragged=(0.04, 0.18), softness=(0.002, 0.012), variegation=(0.15, 0.75), waxy=(0.3, 1.0),
        network=0.10, atypical=0.5, veil=0.10, scar=0.08, milia=0.65, plugs=0.50,
    ),
}  # fmt: skip
CLASSES = tuple(SIGNS)
FREQUENCIES = (0.5, 0.28, 0.22)


@dataclass(frozen=True, eq=False)
class Skin:
    """Properties shared by the images of one patient."""

    tone: NDArray[np.float32]  # (3,) RGB 0..1
    flush: float  # redness
    lines: float  # depth of the furrows
    hairs: float  # mean number of hairs
    hair_tone: NDArray[np.float32]  # (3,) RGB 0..1
    light_angle: float
    light_slope: float  # brightness difference between two sides of the image
    vignette: float  # darkness of the corners


def draw_skin(rng: Generator) -> Skin:
    """Draw the skin, hair and dermatoscope of a patient."""
    position = rng.beta(1.3, 2.6) * (len(SKIN_TONES) - 1)
    tone = np.array([np.interp(position, range(len(SKIN_TONES)), channel) for channel in SKIN_TONES.T])
    hairy = rng.random() < 0.6
    fair, dark = np.array((0.50, 0.36, 0.22)), np.array((0.10, 0.07, 0.06))
    return Skin(
        tone=(tone * rng.normal(1, 0.035, 3)).astype(np.float32),
        flush=rng.uniform(0, 0.10),
        lines=rng.uniform(0.015, 0.055),
        hairs=float(hairy) * rng.gamma(2.0, 5.0),
        hair_tone=(dark + rng.beta(1, 2.5) * (fair - dark)).astype(np.float32),
        light_angle=rng.uniform(0, 2 * math.pi),
        light_slope=rng.uniform(0.05, 0.45),
        vignette=rng.beta(1.2, 1.6) * 1.1,
    )


def draw_lesion(skin: Skin, rng: Generator, *, size: int, group: str) -> Drawing:
    """Draw one lesion on the skin of a patient."""
    name = CLASSES[int(rng.choice(len(CLASSES), p=FREQUENCIES))]
    signs = SIGNS[name]
    mask = _outline(rng, size, ragged=rng.uniform(*signs.ragged))
    depth = signed_distance(mask)
    width = rng.uniform(*signs.softness) * np.exp(0.5 * noise(rng, size, cells=3))
    alpha = sigmoid(depth / width)
    picture = _with_pigment(_bare_skin(skin, rng, size), rng, signs=signs, alpha=alpha, depth=depth)
    picture = _with_hair(picture, skin, rng)
    picture = _with_light(picture, skin, rng)
    image = photographed(picture, rng, blur=rng.uniform(0.002, 0.006), photons=math.exp(rng.uniform(7, 9)))
    return Drawing(image=image, mask=mask, labels=(name,), group=group)


def _outline(rng: Generator, size: int, *, ragged: float) -> Pixels:
    """Draw the mask, (size, size) 0/255: an ellipse whose radius is modulated by harmonics and noise."""
    x, y = coordinates(size)
    centre_x, centre_y = rng.uniform(0.40, 0.60, 2)
    radius, aspect, turn = rng.uniform(0.17, 0.33), rng.uniform(0.70, 1.0), rng.uniform(0, math.pi)
    along = (x - centre_x) * math.cos(turn) + (y - centre_y) * math.sin(turn)
    across = (y - centre_y) * math.cos(turn) - (x - centre_x) * math.sin(turn)
    along, across = along * math.sqrt(aspect), across / math.sqrt(aspect)
    rho, theta = np.sqrt(along**2 + across**2), np.arctan2(across, along)
    order = np.arange(2, 10)
    height = ragged * rng.normal(0, 1, order.size) / (order - 1) ** 0.8
    phase = rng.uniform(0, 2 * math.pi, order.size)
    angles = np.linspace(0, 2 * math.pi, 2048, endpoint=False)
    bumps = 1 + (height[:, None] * np.cos(order[:, None] * angles + phase[:, None])).sum(axis=0)
    bumps = np.clip(bumps, 0.45, 1.8)
    bumps /= np.sqrt(np.square(bumps).mean())  # so that ragged lesions are not larger than smooth ones
    around = bumps.astype(np.float32)[(theta * (angles.size / (2 * math.pi))).astype(np.int32)]  # negative indices wrap
    edge = radius * around + 0.30 * radius * ragged * noise(rng, size, cells=12, octaves=3)
    return largest_blob(rho < edge)


def _bare_skin(skin: Skin, rng: Generator, size: int) -> Picture:
    """Draw mottled skin with furrows and pores."""
    mottling = noise(rng, size, cells=3, octaves=5)
    furrows = np.abs(noise(rng, size, cells=16, octaves=2)) + np.abs(noise(rng, size, cells=24))
    grain = noise(rng, size, cells=max(size // 3, 8))
    shade = 1 + 0.025 * mottling + skin.lines * (furrows - 1.6) * 0.6 + 0.4 * skin.lines * grain
    redness = skin.flush * (0.5 + 0.5 * noise(rng, size, cells=4, octaves=3))
    picture = plane(skin.tone) * shade * np.exp(-redness * plane((0.1, 1.0, 0.8)))
    pores = _spots(rng, size, where=np.ones((size, size), bool), count=int(rng.poisson(25)), radius=(0.003, 0.006))
    return blend(picture, plane((0.45, 0.30, 0.24)), 0.35 * pores)


def _with_pigment(picture: Picture, rng: Generator, *, signs: Signs, alpha: Field, depth: Field) -> Picture:
    """Add the pigment of the lesion to the skin, then the signs of its class."""
    size = depth.shape[0]
    inside = depth > 0
    variegation = rng.uniform(*signs.variegation)
    tones = np.tanh(1.6 * noise(rng, size, cells=3, octaves=4))  # saturates into patches of one tone
    density = np.exp(rng.normal(-0.35, 0.45) + 0.55 * variegation * tones)
    density = density * (1 + rng.uniform(0.0, 0.5) * (depth / depth.max() - 0.4))
    density = density * _network(rng, size, signs=signs) * (1 + 0.10 * noise(rng, size, cells=12, octaves=3))
    ruddy = rng.uniform(-0.2, 0.5) + variegation * 0.35 * noise(rng, size, cells=3, octaves=2)
    sooty = rng.uniform(-0.2, 0.3) + variegation * 0.45 * noise(rng, size, cells=4, octaves=2)
    absorbance = blend(plane(BROWN), plane(RED), np.clip(ruddy, 0, 1))
    absorbance = blend(absorbance, plane(BLACK), np.clip(sooty, 0, 1))
    picture = picture * np.exp(-np.clip(density, 0.08, 2.6) * alpha * absorbance)
    if rng.random() < signs.veil:
        picture = blend(picture, plane(VEIL), rng.uniform(0.35, 0.75) * alpha * _patch(rng, size))
    if rng.random() < signs.scar:
        picture = blend(picture, plane(SCAR), rng.uniform(0.30, 0.65) * alpha * _patch(rng, size))
    picture = _with_plaque(picture, rng, strength=rng.uniform(*signs.waxy), alpha=alpha)
    if rng.random() < signs.plugs:
        plugs = _spots(rng, size, where=inside, count=int(rng.integers(3, 14)), radius=(0.007, 0.018))
        picture = blend(picture, plane(PLUG), rng.uniform(0.5, 0.85) * plugs)
    if rng.random() < signs.milia:
        milia = _spots(rng, size, where=inside, count=int(rng.integers(3, 16)), radius=(0.006, 0.014))
        picture = blend(picture, plane(MILIUM), rng.uniform(0.4, 0.8) * milia)
    return picture


def _network(rng: Generator, size: int, *, signs: Signs) -> Field:
    """Draw the honeycomb of a pigment network, around 1, as three crossed waves; uneven if atypical."""
    present, atypical = rng.random() < signs.network, rng.random() < signs.atypical
    if not present:
        return np.ones((size, size), dtype=np.float32)
    x, y = coordinates(size)
    warp = 0.020 if atypical else 0.012
    x = x + warp * noise(rng, size, cells=6, octaves=2)
    y = y + warp * noise(rng, size, cells=6, octaves=2)
    waves, turn = 2 * math.pi * rng.uniform(16, 22), rng.uniform(0, math.pi)
    mesh = np.zeros((size, size), dtype=np.float32)
    for third in range(3):
        angle = turn + third * math.pi / 3
        mesh += np.cos(waves * (x * math.cos(angle) + y * math.sin(angle)))
    uneven = 1.0 if atypical else 0.4
    strength = rng.uniform(0.12, 0.38) * np.clip(1 + uneven * noise(rng, size, cells=3), 0, 2)
    return np.asarray(1 - strength * np.tanh(mesh), dtype=np.float32)


def _patch(rng: Generator, size: int) -> Field:
    """Draw soft islands, 0..1, that cover a part of the image."""
    return sigmoid(4 * (noise(rng, size, cells=3, octaves=3) - rng.uniform(0.0, 0.7)))


def _with_plaque(picture: Picture, rng: Generator, *, strength: float, alpha: Field) -> Picture:
    """Add a plaque: yellowish, with a relief lit from one side, and dark fissures."""
    size = alpha.shape[0]
    bumps = noise(rng, size, cells=9, octaves=2)
    height = alpha * (1 + 0.5 * bumps)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) * math.cos(1.0) + cv2.Sobel(height, cv2.CV_32F, 0, 1) * math.sin(1.0)
    relief = np.clip(slope * size / 128, -1, 1)
    fissures = np.exp(-np.square(noise(rng, size, cells=6, octaves=2) / 0.16)) * alpha
    yellow = strength * alpha * plane((0.02, 0.06, 0.20))
    shade = 1 - strength * (0.16 * relief + 0.38 * fissures)
    return np.asarray(picture * np.exp(-yellow) * shade, dtype=np.float32)


def _spots(rng: Generator, size: int, *, where: NDArray[np.bool_], count: int, radius: Range) -> Field:
    """Draw soft round spots, 0..1, at random pixels of `where`; `radius` is a fraction of the side."""
    canvas = np.zeros((size, size), dtype=np.uint8)
    rows, columns = np.nonzero(where)
    for pick in rng.integers(0, len(rows), count):
        centre = (int(columns[pick] * 16 + 8), int(rows[pick] * 16 + 8))
        cv2.circle(canvas, centre, int(rng.uniform(*radius) * size * 16), 255, cv2.FILLED, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.004 * size, 0.3))
    return np.asarray(soft / 255.0, dtype=np.float32)


def _with_hair(picture: Picture, skin: Skin, rng: Generator) -> Picture:
    """Draw curved, tapering hairs over the lesion, each with a faint shadow."""
    size, fine = picture.shape[-1], 3
    canvas = np.zeros((size * fine, size * fine), dtype=np.uint8)
    lie = rng.uniform(0, 2 * math.pi)
    steps = np.linspace(0, 1, 13)[:, None]
    for _ in range(int(rng.poisson(skin.hairs))):
        angle = lie + rng.normal(0, 0.7)
        root = rng.uniform(-0.15, 1.15, 2)
        tip = root + rng.uniform(0.25, 0.95) * np.array((math.cos(angle), math.sin(angle)))
        bend = (root + tip) / 2 + rng.normal(0, 0.10, 2)
        curve = (1 - steps) ** 2 * root + 2 * steps * (1 - steps) * bend + steps**2 * tip
        points = np.rint(curve * size * fine).astype(np.int32)
        width = rng.uniform(0.003, 0.011) * size * fine
        for part, taper in enumerate((1.0, 0.8, 0.55)):
            piece = points[part * 4 : part * 4 + 5]
            cv2.polylines(canvas, [piece], False, 255, max(1, round(width * taper)), cv2.LINE_AA)
    cover = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    shadow = cv2.GaussianBlur(cover, (0, 0), 0.012 * size)
    return blend(picture * (1 - 0.25 * shadow), plane(skin.hair_tone), 0.88 * cover)


def _with_light(picture: Picture, skin: Skin, rng: Generator) -> Picture:
    """Apply light that falls off towards one side and towards the corners."""
    x, y = coordinates(picture.shape[-1])
    angle = skin.light_angle + rng.normal(0, 0.3)
    side = (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle)
    corner = np.square(x - 0.5) + np.square(y - 0.5)
    light = (1 + skin.light_slope * side) * (1 - skin.vignette * (4.8 * np.square(corner) + 0.3 * corner))
    return np.asarray(picture * np.clip(light * rng.normal(1, 0.04), 0.03, 1.4), dtype=np.float32)
