"""Means over images say whether their interval is widened."""

import numpy as np
import pytest

from s4mi.inference.mean_interval import mean_of


@pytest.mark.parametrize(("images", "few"), [(5, True), (60, False)])
def test_few_images_widen_the_interval_of_a_share_and_say_so(images: int, few: bool) -> None:
    mean = mean_of(np.random.default_rng(0).uniform(0.4, 0.6, images).tolist())
    assert mean is not None
    assert (mean.n, mean.few) == (images, few)


def test_differences_of_few_images_are_widened_and_those_of_many_are_not() -> None:
    rng = np.random.default_rng(1)
    few, many = (mean_of(rng.normal(0.2, 0.1, n).tolist(), limits=(-1.0, 1.0)) for n in (10, 60))
    assert few is not None
    assert many is not None
    assert (few.few, many.few) == (True, False)
    assert many.high - many.low == pytest.approx(4 * 0.1 / 60**0.5, rel=0.3), "as Student's, where nothing is skewed"


def test_differences_that_are_all_alike_do_not_exclude_others() -> None:
    for images in (5, 60):
        mean = mean_of([0.0] * images, limits=(-1.0, 1.0))
        assert mean is not None
        assert -1 <= mean.low < 0 < mean.high <= 1
