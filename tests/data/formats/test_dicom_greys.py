"""The same greys, however a DICOM file declares them: MONOCHROME1 or 2, with an identity rescale or none."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.data.files import read_frame
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.masks import mask_file_values
from s4mi.data.volumes import read_rgb_frames

pydicom = pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")
from dicom_files import write_dicom  # noqa: E402

PICTURE = np.linspace(120, 140, 16 * 16).astype(np.uint8).reshape(16, 16)
IDENTITY = {"RescaleSlope": 1, "RescaleIntercept": 0}
WINDOW = {"WindowCenter": 130, "WindowWidth": 15}
TYPES = (np.uint8, np.uint16, np.int16)
RULES = ("percentiles:0.1:99.9", "percentiles:1:90", "window:125:138", "range")


@pytest.mark.parametrize("rescale", [{}, IDENTITY, {"RescaleSlope": "1.0", "RescaleIntercept": "0.0"}])
def test_eight_bits_stay_as_they_are_or_become_255_minus_v(tmp_path: Path, rescale: dict[str, Any]) -> None:
    two = write_dicom(tmp_path / "two.dcm", PICTURE, **rescale)
    one = write_dicom(tmp_path / "one.dcm", PICTURE, PhotometricInterpretation="MONOCHROME1", **rescale)
    np.testing.assert_array_equal(read_image(two)[:, :, 0], PICTURE)
    np.testing.assert_array_equal(read_image(one)[:, :, 0], 255 - PICTURE)


@pytest.mark.parametrize(
    ("dtype", "rule", "window", "frames"), list(product(TYPES, RULES, ({}, WINDOW), (1, 3)))
)  # fmt: skip
def test_monochrome1_is_the_negative_of_monochrome2_and_an_identity_rescale_is_none(
    tmp_path: Path, dtype: type, rule: str, window: dict[str, Any], frames: int
) -> None:
    stored = PICTURE.astype(dtype) if frames == 1 else np.stack([PICTURE.astype(dtype) + n for n in range(frames)])
    shown = {}
    for photometric, rescale in product(("MONOCHROME2", "MONOCHROME1"), ({}, IDENTITY)):
        name = f"{photometric}-{len(rescale)}"
        path = write_dicom(
            tmp_path / f"{name}.dcm", stored.astype(dtype), PhotometricInterpretation=photometric, **rescale, **window
        )
        shown[name] = np.stack(read_rgb_frames(path, Intensity.parse(rule))).astype(int)
    np.testing.assert_array_equal(shown["MONOCHROME2-2"], shown["MONOCHROME2-0"])
    np.testing.assert_array_equal(shown["MONOCHROME1-2"], shown["MONOCHROME1-0"])
    assert np.abs(shown["MONOCHROME1-0"] + shown["MONOCHROME2-0"] - 255).max() <= 1  # 1: rounding of a half


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_mask_has_the_values_that_viewers_show(tmp_path: Path, photometric: str) -> None:
    bright = np.where(PICTURE > 135, 255, 0).astype(np.uint8)
    stored = 255 - bright if photometric == "MONOCHROME1" else bright
    write_dicom(tmp_path / "m.dcm", stored, PhotometricInterpretation=photometric)
    assert mask_file_values(tmp_path / "m.dcm") == (0, 255)
    write_dicom(tmp_path / "w.dcm", stored.astype(np.uint16), PhotometricInterpretation="MONOCHROME1")
    with pytest.raises(ImageError, match="uint16 values in MONOCHROME1"):
        mask_file_values(tmp_path / "w.dcm")


def test_values_of_a_real_rescale_are_those_of_pydicom(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE, RescaleSlope=1, RescaleIntercept=-3)
    np.testing.assert_array_equal(read_frame(path).values, PICTURE - 3.0)
