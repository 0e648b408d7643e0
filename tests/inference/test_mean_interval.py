"""Means over images say whether their interval is widened."""

import numpy as np
import pytest

from s4mi.inference.mean_interval import mean_of


@pytest.mark.parametrize(("images", "few"), [(5, True), (60, False)])
def test_few_images_widen_the_interval_of_a_share_and_say_so(images: int, few: bool) -> None:
    mean = mean_of(np.random.default_rng(0).uniform(0.4, 0.6, images).tolist())
    assert mean is not None
    assert (mean.n, mean.few) == (images, few)


def test_differences_have_an_interval_that_is_not_widened() -> None:
    mean = mean_of([0.1, -0.1, 0.2], limits=(-1.0, 1.0))
    assert mean is not None
    assert not mean.few
