"""All slices of a series or volume have one intensity stretch, and padding counts in no percentile."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.series import series_limits
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import

pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")
from dicom_files import write_dicom

RESCALE = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def slices(count: int = 6) -> np.ndarray[Any, Any]:
    """Stored values: air, 40 HU in a corner, and bone that grows from slice to slice."""
    stack = np.zeros((count, 32, 32), np.int16)
    stack[:, :8, :8] = 1064
    for number in range(count):
        stack[number, 20:, 20:] = 1200 + 200 * number
    return stack


def series(folder: Path, stack: np.ndarray[Any, Any], **attributes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, stored in enumerate(stack):
        write_dicom(
            folder / f"{number}.dcm", stored, **{"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", **attributes}
        )
    return folder


def imported(source: Path, out: Path, rule: str = "percentiles:0.1:99.9") -> ImportResult:
    options = ImportOptions(intensity=Intensity.parse(rule))
    return write_import(read_folder(source), out, naming=DatasetNaming("x"), options=options)


def greys(written: ImportResult, at: tuple[int, int] = (0, 0)) -> list[int]:
    return [int(read_image(row.image)[at][0]) for row in sorted(written.rows, key=lambda row: row.id)]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_one_value_is_one_grey_in_all_slices_of_a_series(tmp_path: Path, photometric: str) -> None:
    source = series(tmp_path / "in", slices(), PhotometricInterpretation=photometric, **RESCALE)
    written = imported(source, tmp_path / "out", "percentiles:0:100")
    grey = round(255 * 1064 / 2200)
    assert greys(written) == [grey if photometric == "MONOCHROME2" else 255 - grey] * 6
    assert "its series" in written.spec.conversion


def test_the_files_of_a_series_are_shown_as_its_multi_frame_file(tmp_path: Path) -> None:
    series(tmp_path / "files", slices(), **RESCALE)
    (tmp_path / "whole").mkdir()
    write_dicom(tmp_path / "whole" / "a.dcm", slices(), SeriesInstanceUID="1.2.3", **RESCALE)
    files, whole = imported(tmp_path / "files", tmp_path / "a"), imported(tmp_path / "whole", tmp_path / "b")
    for one, other in zip(files.rows, whole.rows, strict=True):
        np.testing.assert_array_equal(read_image(one.image), read_image(other.image))


@pytest.mark.parametrize(("value", "dtype"), [(-2000, np.int16), (0, np.uint16), (63536, np.int16)])
def test_padding_counts_in_no_percentile(tmp_path: Path, value: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    inside = rng.integers(900, 1100, (4, 32, 32)).astype(dtype)
    padded = inside.copy()
    padded[:, :, 16:] = np.array(value).astype(dtype)
    how: dict[str, Any] = {"PixelPaddingValue": value if value < 32768 else value - 65536}
    series(tmp_path / "padded", padded, **how, **RESCALE)
    series(tmp_path / "cut", np.ascontiguousarray(inside[:, :, :16]), **RESCALE)
    series(tmp_path / "single" / "in", padded[:1], **how, **RESCALE)
    series(tmp_path / "single" / "cut", np.ascontiguousarray(inside[:1, :, :16]), **RESCALE)
    for one, other in (("padded", "cut"), ("single/in", "single/cut")):
        shown = imported(tmp_path / one, tmp_path / "out" / one).rows
        alone = imported(tmp_path / other, tmp_path / "out" / other).rows
        for row, expected in zip(shown, alone, strict=True):
            np.testing.assert_array_equal(read_image(row.image)[:, :16], read_image(expected.image))


def test_a_range_of_padding_counts_in_no_percentile(tmp_path: Path) -> None:
    stored = np.full((16, 16), 500, np.int16)
    stored[:4], stored[4:8], stored[8:12] = -2000, -1990, 300
    path = write_dicom(tmp_path / "a.dcm", stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)
    shown = read_image(path, Intensity("percentiles", 0, 100))[:, :, 0]
    assert list(shown[::4, 0]) == [0, 0, 0, 255]
    only = write_dicom(tmp_path / "b.dcm", np.full((4, 4), -2000, np.int16), PixelPaddingValue=-2000)
    assert read_image(only).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("rule", "window"), list(product(("percentiles:1:99", "window:0:2000", "range"), (False, True)))
)
def test_only_percentiles_without_a_window_are_shared(tmp_path: Path, rule: str, window: bool) -> None:
    more = {"WindowCenter": 1000, "WindowWidth": 500} if window else {}
    source = series(tmp_path / "in", slices(), **more)
    files = sorted(source.iterdir())
    limits = series_limits(files, Intensity.parse(rule))
    assert len(set(limits.values())) == (1 if rule.startswith("percentiles") and not window else 0)
    other = series(tmp_path / "other", slices()[:1], SeriesInstanceUID="1.2.4")
    assert not series_limits([*other.iterdir()], Intensity.parse(rule))
    expected = [int(read_image(path, Intensity.parse(rule), limits=limits.get(path))[0, 0, 0]) for path in files]
    assert greys(imported(source, tmp_path / "out", rule)) == expected
