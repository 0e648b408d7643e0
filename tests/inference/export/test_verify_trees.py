"""A file of a forest may differ in a few pixels, where trees split otherwise; one of a network may not."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.inference.export.verify import TREES_APART, Verification, VerificationInputs, verify_export

SIDE = 32
INPUTS = VerificationInputs(np.zeros((8, SIDE, SIDE, 3), dtype=np.uint8), "8 images", real=True)
P = np.full((8, 2, SIDE, SIDE), 0.5, dtype=np.float32)


class File:
    """A file whose probabilities are 0.01 off in the first pixels of each image."""

    def __init__(self, pixels: int, by: float = 0.01) -> None:
        self.pixels, self.by = pixels, by
        self.metadata = type("Metadata", (), {"task": "segmentation"})

    def probabilities(self, images: NDArray[Any]) -> NDArray[np.float32]:
        found = np.full((len(images), 2, SIDE, SIDE), 0.5, dtype=np.float32)
        found[:, 0].reshape(len(images), -1)[:, : self.pixels] += self.by
        return found

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        return np.log(self.probabilities(images))


def verified(file: File, apart: float) -> Verification:
    return verify_export(cast(Any, file), INPUTS, (P, P), name=Path("m.onnx"), apart=apart)


def test_one_pixel_in_a_thousand_may_differ_in_a_forest() -> None:
    check = verified(File(1), TREES_APART)
    assert check.apart == pytest.approx(1 / SIDE**2)
    assert check.difference < 1e-6
    assert check.text == "1e-07 in all but 0.098 % of pixels, where trees split otherwise"
    with pytest.raises(S4miError, match=r"differ from the run's by up to 1.0e-02"):
        verified(File(2), TREES_APART)


def test_no_pixel_may_differ_otherwise() -> None:
    with pytest.raises(S4miError, match="so it was not kept"):
        verified(File(1), 0.0)
    assert verified(File(1, by=1e-5), 0.0).text == "1e-05"
    with pytest.raises(S4miError, match="so it was not kept"):
        verified(File(1, by=float("nan")), 0.0)


def test_a_probability_that_is_no_number_is_refused_in_a_forest_too() -> None:
    with pytest.raises(S4miError, match="so it was not kept"):
        verified(File(1, by=float("nan")), TREES_APART)
