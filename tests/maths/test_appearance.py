"""Statistics of what images look like, against their definitions."""

import numpy as np
import pytest

from s4mi.maths.appearance import appearance, distance, distances_of_left_out, mean_and_covariance


@pytest.mark.parametrize("shape", [(5, 17, 12, 3), (2, 1, 9, 3), (2, 9, 1, 3), (3, 2, 2, 3)])
def test_statistics_are_those_of_the_definition(shape: tuple[int, int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for image, found in zip(images.astype(np.float64), appearance(images), strict=True):
        grey, (height, width) = image.mean(axis=2), image.shape[:2]
        centre = np.zeros((height, width), dtype=bool)
        centre[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
        steps = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1) if grey.shape[axis] > 1]
        outer = grey[~centre].mean() if (~centre).any() else 0.0
        expected = [
            *image.mean(axis=(0, 1)), grey.std(), (image.max(axis=2) - image.min(axis=2)).mean(), np.mean(steps),
            outer - grey[centre].mean(),
        ]  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_no_images_have_no_statistics() -> None:
    assert appearance(np.zeros((0, 4, 4, 3), dtype=np.uint8)).shape == (0, 7)


@pytest.mark.parametrize(("count", "most"), [(3, None), (40, None), (40, 7)])
def test_distances_of_left_out_are_those_from_the_other_rows(count: int, most: int | None) -> None:
    values = np.random.default_rng(1).normal(100, 20, (count, 7))
    chosen = np.unique(np.linspace(0, count - 1, most or count).astype(int))
    expected = [distance(values[n], *mean_and_covariance(np.delete(values, n, axis=0))) for n in chosen]
    np.testing.assert_allclose(distances_of_left_out(values, most=most), expected, rtol=1e-9)
