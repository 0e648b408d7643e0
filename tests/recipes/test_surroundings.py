"""The peak of memory is that of one run, also where a process trains several."""

import sys

import numpy as np
import pytest
import torch

from s4mi.recipes.surroundings import forget_peak_memory, peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_a_peak_before_is_forgotten_and_one_after_is_not() -> None:
    cpu = torch.device("cpu")
    large = np.ones(200 << 20, dtype=np.uint8)
    with_large = peak_memory(cpu)
    del large
    forget_peak_memory(cpu)
    without = peak_memory(cpu)
    assert with_large - without > 150
    large = np.ones(100 << 20, dtype=np.uint8)
    assert 50 < peak_memory(cpu) - without < 150
    del large
