"""Local binary patterns against scikit-image's."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import local_binary_pattern

from s4mi.nets.local_binary_patterns import local_binary_patterns
from s4mi.nets.texture_features import PATTERNS


@pytest.mark.parametrize(("points", "radius"), PATTERNS)
def test_the_codes_are_scikit_images(points: int, radius: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(60, 71)).astype(np.uint8)
    smooth = ndimage.gaussian_filter(noise, 2)
    for image in (noise, smooth):
        theirs = local_binary_pattern(image, points, radius, method="uniform")
        ours = local_binary_patterns(image, points, radius)
        # Neighbours that are equal up to rounding may count as smaller there.
        assert (ours == theirs).mean() > 0.99
        shares = [np.bincount(codes.ravel().astype(int), minlength=points + 2) / codes.size for codes in (ours, theirs)]
        np.testing.assert_allclose(shares[0], shares[1], atol=0.01)


@pytest.mark.parametrize(("points", "radius"), PATTERNS)
@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_area_is_one_code(points: int, radius: int, value: int) -> None:
    codes = local_binary_patterns(np.full((20, 20), value, dtype=np.uint8), points, radius)
    inside = codes[radius:-radius, radius:-radius]
    assert (inside == points).all()


def test_codes_of_a_quarter_turn_are_turned() -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(30, 30)).astype(np.uint8)
    turned = local_binary_patterns(np.rot90(image).copy(), 8, 1)
    assert (turned == np.rot90(local_binary_patterns(image, 8, 1))).mean() > 0.99


def test_a_bright_pixel_among_dark_ones_has_code_zero() -> None:
    image = np.zeros((5, 5), dtype=np.uint8)
    image[2, 2] = 9
    codes = local_binary_patterns(image, 8, 1)
    assert codes[2, 2] == 0
    assert codes[2, 1] == 8  # all its neighbours are at least as bright
