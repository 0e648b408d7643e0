"""Areas, components and centroids are those of scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from s4mi.maths.regions import measure


@settings(max_examples=100, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_they_are_those_of_scipy(mask: np.ndarray) -> None:
    found = measure(mask)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert (found.pixels, found.components) == (mask.sum(), count)
    if not count:
        assert (found.largest, found.centre) == (0, None)
        return
    assert found.largest == np.bincount(labels.ravel())[1:].max()
    assert found.centre == pytest.approx(ndimage.center_of_mass(mask))
