"""Colour, texture and shape of whole images: hand values, scikit-image's own functions, properties."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2gray, rgb2hsv, rgb2lab
from skimage.draw import disk, ellipse, rectangle
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import disk as disc
from skimage.morphology import opening

from s4mi.nets.colour_features import BINS, CHANNELS, colour_features, colours
from s4mi.nets.shape_features import SHAPE, core, foreground, shape_features, shape_of
from s4mi.nets.texture_features import DISTANCES, LEVELS, RADII, cooccurrence, granulometry, oriented_gradients

Image = NDArray[np.float32]


def noise(*, side: int = 48, seed: int = 0) -> Image:
    return np.random.default_rng(seed).random((side, side, 3)).astype(np.float32)


def drawn(rows: NDArray[np.intp], columns: NDArray[np.intp], *, side: int = 64) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[rows, columns] = True
    return mask


def painted(mask: NDArray[np.bool_], inside: tuple[float, ...], outside: tuple[float, ...]) -> Image:
    return np.where(mask[..., None], inside, outside).astype(np.float32)


# Colour


def test_channels_are_scikit_images() -> None:
    image = noise()
    split = colours(image)
    named = dict(zip(CHANNELS, split.stack, strict=True))
    hsv, lab = rgb2hsv(image), rgb2lab(image)
    np.testing.assert_allclose(split.hue, hsv[..., 0], atol=1e-4)
    np.testing.assert_allclose(named["hue x"], hsv[..., 1] * np.cos(2 * np.pi * hsv[..., 0]), atol=1e-3)
    np.testing.assert_allclose(named["saturation"], hsv[..., 1], atol=1e-5)
    np.testing.assert_allclose(named["value"], hsv[..., 2], atol=1e-5)
    np.testing.assert_allclose(named["lightness"], lab[..., 0] / 100, atol=1e-4)
    np.testing.assert_allclose(named["b"], lab[..., 2] / 100, atol=1e-4)
    np.testing.assert_allclose(split.grey, rgb2gray(image) * 255, atol=0.51)


def test_histograms_are_numpys() -> None:
    image = noise()
    features = colour_features(colours(image))
    for number, name in enumerate(("red", "green", "blue")):
        counts, _ = np.histogram(image[..., number], bins=BINS, range=(0, 1))
        np.testing.assert_allclose(features[f"{name} histogram"] ** 2, counts / image[..., 0].size, atol=1e-6)
    hsv = rgb2hsv(image)
    weighted, _ = np.histogram(hsv[..., 0], bins=BINS, range=(0, 1), weights=hsv[..., 1])
    np.testing.assert_allclose(features["hue histogram"] ** 2, weighted / hsv[..., 0].size, atol=1e-3)


def test_moments_are_those_of_the_channels() -> None:
    split = colours(noise())
    features, pixels = colour_features(split), split.stack.reshape(len(CHANNELS), -1).astype(np.float64)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(features["mean"], pixels.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(features["deviation"], pixels.std(axis=1), atol=1e-5)
    skewness = (centred**3).mean(axis=1) / pixels.std(axis=1) ** 3
    np.testing.assert_allclose(features["skewness"], skewness, atol=1e-3)


def test_the_centre_is_described_by_itself() -> None:
    mask = drawn(*disk((31.5, 31.5), 0.3 * 64 + 1))
    features = colour_features(colours(painted(mask, (1, 0, 0), (0, 0, 1))))
    np.testing.assert_allclose(features["centre mean"][:3], [1, 0, 0], atol=1e-6)
    assert features["mean"][0] == pytest.approx(mask.mean(), abs=1e-5)


def test_a_grey_image_has_no_hue() -> None:
    features = colour_features(colours(np.repeat(noise()[..., :1], 3, axis=2)))
    assert not features["hue histogram"].any()
    np.testing.assert_allclose(features["mean"][3:6], 0, atol=1e-6)


# Texture


def test_pairs_of_grey_levels_are_scikit_images() -> None:
    grey = colours(noise()).grey
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = graycomatrix(grey // 8, DISTANCES, angles, levels=LEVELS, symmetric=True, normed=True)
    features = cooccurrence(grey)
    for name in ("contrast", "correlation", "entropy"):
        values = graycoprops(matrix, name)
        np.testing.assert_allclose(features[f"{name} of pairs"], values.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(features[f"{name} of pairs, range"], np.ptp(values, axis=1), atol=1e-4)


def test_contrast_of_stripes_by_hand() -> None:
    grey = np.zeros((16, 16), dtype=np.uint8)
    grey[:, 1::2] = 8  # the next level
    features = cooccurrence(grey)
    # Neighbours at distance 1 differ by one level along rows and both diagonals, and not along columns.
    assert features["contrast of pairs"][0] == pytest.approx(0.75)
    assert features["contrast of pairs, range"][0] == pytest.approx(1.0)
    # At distance 2 along a diagonal, 2/√2 is rounded to one row and one column.
    assert features["contrast of pairs"][1] == pytest.approx(0.5)


def test_openings_are_scikit_images() -> None:
    grey = colours(noise()).grey
    means = [grey.mean(), *(opening(grey, disc(radius)).mean() for radius in RADII[:3])]
    np.testing.assert_allclose(granulometry(grey)["bright grains"][:3], -np.diff(means) / 255, atol=1e-6)


def test_grains_are_found_at_their_size() -> None:
    grey = np.full((64, 64), 50, dtype=np.uint8)
    for row in (12, 32, 52):
        for column in (12, 32, 52):
            grey[disk((row, column), 3.5)] = 200
    features = granulometry(grey)
    assert int(features["bright grains"].argmax()) == RADII.index(4)
    assert not features["dark grains"][:2].any()


def test_gradients_of_stripes_have_one_direction() -> None:
    stripes = np.tile((127 + 100 * np.sin(np.arange(64) / 3)).astype(np.uint8), (64, 1))
    across, along = (oriented_gradients(image)["gradients by direction"] for image in (stripes, stripes.T.copy()))
    assert across.argmax() != along.argmax()
    assert across.max() > 0.9 * across.sum()
    even = oriented_gradients(np.full((64, 64), 9, dtype=np.uint8))
    assert not any(values.any() for values in even.values())


# Shape


def test_shapes_are_scikit_images() -> None:
    mask = drawn(*ellipse(30, 34, 12, 20))
    values = dict(zip(SHAPE, shape_of(mask), strict=True))
    region = regionprops(label(mask))[0]
    for name in ("eccentricity", "solidity", "extent", "euler_number"):
        assert values[name] == pytest.approx(getattr(region, name), rel=1e-5)
    assert values["axis ratio"] == pytest.approx(region.axis_minor_length / region.axis_major_length, rel=1e-5)
    for number, moment in enumerate(region.moments_hu, start=1):
        assert values[f"Hu {number}"] == pytest.approx(np.sign(moment) * abs(moment) ** 0.5, abs=1e-6)


def test_a_disc_in_the_middle_by_hand() -> None:
    values = dict(zip(SHAPE, shape_of(drawn(*disk((32, 32), 16), side=65)), strict=True))
    assert values["distance from centre"] == pytest.approx(0, abs=1e-6)
    assert values["eccentricity"] == pytest.approx(0, abs=0.05)
    assert values["diameter"] == pytest.approx(32 / 65, rel=0.03)
    assert values["roundness"] == pytest.approx(1, abs=0.12)
    assert values["asymmetry"] == pytest.approx(0, abs=1e-6)


def test_a_half_disc_is_less_symmetric_than_a_rectangle() -> None:
    half = drawn(*disk((32, 32), 20))
    half[:, :32] = False
    symmetric, lopsided = (
        dict(zip(SHAPE, shape_of(mask), strict=True))["asymmetry"]
        for mask in (drawn(*rectangle((20, 24), (40, 50))), half)
    )
    assert symmetric < 0.02
    assert lopsided > 0.15


@pytest.mark.parametrize("invert", [False, True])
def test_the_foreground_is_the_object_whether_bright_or_dark(invert: bool) -> None:
    mask = drawn(*disk((30, 34), 14))
    grey = np.where(mask ^ invert, 200, 40).astype(np.uint8)
    assert (foreground(grey) == mask).all()
    assert (grey > threshold_otsu(grey)).sum() == (mask ^ invert).sum()


def test_the_core_is_what_differs_most_from_the_background() -> None:
    cell, nucleus = drawn(*disk((32, 32), 20)), drawn(*disk((30, 34), 8))
    grey = np.select([nucleus, cell], [40, 120], 220).astype(np.uint8)
    found = foreground(grey)
    assert (core(grey, found) == nucleus).all() or (found == nucleus).all()


def test_an_image_without_an_object_has_no_shape() -> None:
    features = shape_features(colours(np.full((32, 32, 3), 0.5, dtype=np.float32)))
    assert not any(values.any() for values in features.values())


def test_contrast_is_the_mean_inside_less_the_mean_outside() -> None:
    mask = drawn(*disk((32, 32), 15))
    features = shape_features(colours(painted(mask, (0.8, 0.2, 0.3), (0.4, 0.6, 0.5))))
    np.testing.assert_allclose(features["grey foreground contrast"][:3], [0.4, -0.4, -0.2], atol=1e-5)
    np.testing.assert_allclose(features["grey foreground colour"][:3], [0.8, 0.2, 0.3], atol=1e-5)
    assert features["grey foreground amount"][0] == pytest.approx(mask.mean(), abs=1e-6)
