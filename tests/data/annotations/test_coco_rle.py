"""Run lengths are decoded as by pycocotools, and refused where it would leave a mask undefined."""

import numpy as np
import pycocotools.mask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.annotations.coco_rle import decode_runs, parse_counts


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.5, 0.98]))
def test_masks_are_those_of_pycocotools(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    runs = pycocotools.mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    np.testing.assert_array_equal(decode_runs(runs["counts"].decode("ascii"), (height, width)), mask)
    np.testing.assert_array_equal(decode_runs(parse_counts(runs["counts"]), (height, width)), mask)


def test_long_runs_are_read() -> None:
    mask = np.zeros((3000, 2000), dtype=np.uint8, order="F")
    mask[1000:, 1900] = 1
    runs = pycocotools.mask.encode(mask)
    np.testing.assert_array_equal(decode_runs(runs["counts"], (3000, 2000)), mask == 1)


@pytest.mark.parametrize("counts", ["", "1", "o", "~~", [1, 2], [-1, 17], [16.0], [True, 15], None, 5, "01"])
def test_runs_that_do_not_add_up_are_refused(counts: object) -> None:
    with pytest.raises(ValueError, match="its counts"):
        decode_runs(counts, (4, 4))
