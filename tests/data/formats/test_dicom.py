"""DICOM files written by pydicom, read back as the values that pydicom itself, or a hand, makes of them."""

from pathlib import Path

import numpy as np
import pytest

from s4mi.data.files import is_image_file, read_frame, read_frames, read_header
from s4mi.data.formats import dicom, dicom_series
from s4mi.data.formats.frame import ImageError
from s4mi.data.images import read_image

pydicom = pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")
from dicom_files import ramp, write_dicom  # noqa: E402


def test_values_are_rescaled_and_seen_through_the_files_window(tmp_path: Path) -> None:
    stored = (ramp(4096) - 0).astype(np.int16)
    path = write_dicom(
        tmp_path / "ct.dcm", stored, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400
    )
    frame = read_frame(path)
    assert np.array_equal(frame.values, stored * 2.0 - 1024)
    by_pydicom = pydicom.pixels.apply_windowing(stored * 2.0 - 1024, pydicom.dcmread(path))
    shown = read_image(path)[:, :, 0]
    expected = (by_pydicom - by_pydicom.min()) / (by_pydicom.max() - by_pydicom.min()) * 255
    assert np.abs(shown - expected).max() <= 1


def test_of_several_windows_the_first_counts(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), WindowCenter=[100, 9], WindowWidth=[51, 3])
    assert read_frame(path).window == (100 - 0.5 - 25, 100 - 0.5 + 25)


@pytest.mark.parametrize(("function", "window"), [("LINEAR", (74.5, 124.5)), ("LINEAR_EXACT", (74.5, 125.5))])
def test_the_window_is_the_one_of_the_standard(tmp_path: Path, function: str, window: tuple[float, float]) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), WindowCenter=100, WindowWidth=51, VOILUTFunction=function)
    assert read_frame(path).window == window


def test_monochrome1_is_shown_the_other_way_round(tmp_path: Path) -> None:
    bright = write_dicom(tmp_path / "two.dcm", ramp(), WindowCenter=128, WindowWidth=200)
    dark = write_dicom(
        tmp_path / "one.dcm", ramp(), WindowCenter=128, WindowWidth=200, PhotometricInterpretation="MONOCHROME1"
    )
    assert np.abs(read_image(bright).astype(int) + read_image(dark) - 255).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_eight_bits_are_seen_through_their_window_too(tmp_path: Path, photometric: str) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        ramp(dtype=np.uint8),
        WindowCenter=100,
        WindowWidth=21,
        PhotometricInterpretation=photometric,
    )
    shown = read_image(path)[:, :, 0]
    assert set(np.unique(shown[:5])) == {255 if photometric == "MONOCHROME1" else 0}


def test_frames_come_one_by_one_in_order(tmp_path: Path) -> None:
    stack = np.stack([ramp() + 1000 * n for n in range(5)]).astype(np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stack)
    assert read_header(path).frames == 5
    for number, frame in enumerate(read_frames(path)):
        assert np.array_equal(frame.values, stack[number])


def test_colours_stay_colours(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    path = write_dicom(
        tmp_path / "a.dcm", stored, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0
    )
    assert np.array_equal(read_image(path), stored)
    assert read_header(path).channels == 3


@pytest.mark.parametrize("bits", [16, 8])
def test_a_palette_becomes_colours(tmp_path: Path, bits: int) -> None:
    """Some devices write entries of 8 bits into tables of 16, which are black otherwise."""
    table = np.random.default_rng(0).integers(0, 2**bits, (3, 256), dtype=np.uint16)
    lut = {
        f"{name}PaletteColorLookupTable{what}": value
        for row, name in zip(table, ("Red", "Green", "Blue"), strict=True)
        for what, value in (("Descriptor", [256, 0, 16]), ("Data", row.tobytes()))
    }
    path = write_dicom(tmp_path / "a.dcm", ramp(dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", **lut)
    assert np.array_equal(read_image(path), np.moveaxis(table >> (bits - 8), 0, -1)[ramp()])


def test_a_file_without_extension_is_recognised_by_its_preamble(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "IM0001", ramp())
    (tmp_path / "README").write_text("read me")
    assert is_image_file(path)
    assert not is_image_file(tmp_path / "README")
    assert np.array_equal(read_frame(path).values, ramp())


def test_identifiers_are_listed_and_the_patient_gets_a_pseudonym(tmp_path: Path) -> None:
    one = write_dicom(tmp_path / "a.dcm", ramp(), PatientName="Test^Only", PatientID="17", StudyID="")
    same = write_dicom(tmp_path / "b.dcm", ramp(), PatientID="17", BurnedInAnnotation="YES")
    other = write_dicom(tmp_path / "c.dcm", ramp(), PatientID="18", PatientIdentityRemoved="YES")
    none = write_dicom(tmp_path / "d.dcm", ramp())
    assert [dicom.identifiers(path) for path in (one, other, none)] == [("PatientName", "PatientID"), (), ()]
    assert [dicom.burnt_in(path) for path in (one, same)] == [False, True]
    patients = [dicom_series.read_source(path).patient for path in (one, same, other, none)]
    assert patients[0] == patients[1] != patients[2]
    assert patients[0] != "17"
    assert patients[3] is None


def test_files_without_images_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("hello" * 100)
    whole = write_dicom(tmp_path / "whole.dcm", ramp()).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-200])
    report = pydicom.dcmread(tmp_path / "whole.dcm")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(report, name)
    report.save_as(tmp_path / "report.dcm")
    for name, code in [("text", "not-an-image"), ("cut", "undecodable"), ("report", "not-an-image")]:
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / f"{name}.dcm")
        assert caught.value.code == code, name
        assert "\n" not in str(caught.value)


def test_without_the_package_the_error_has_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp())
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(Exception, match=r"pip install 's4mi\[dicom\]'"):
        read_header(path)
