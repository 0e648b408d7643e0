"""Rows of the report on formats that need no file of their own."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.files import read_frame
from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.sources.folder import read_folder
from s4mi.errors import S4miError
from s4mi.inference.input_files import find_images


@pytest.mark.parametrize("suffix", [".svs", ".ndpi", ".qptiff"])
def test_whole_slides_are_named_with_what_to_do(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / f"slide{suffix}").write_bytes(b"II*\0")
    with pytest.raises(S4miError, match=r"cut whole slides into tiles first"):
        check_path(tmp_path)
    Image.new("RGB", (4, 4), (3, 2, 1)).save(tmp_path / "a.png")
    (finding,) = [one for one in read_folder(tmp_path).findings if one.code == "left-out"]
    assert f"slide{suffix}" in finding.message
    assert "cut whole slides into tiles" in finding.message
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        assert [file.name for file in find_images([tmp_path])] == ["a.png"]
    assert "1 whole slide left out" in caplog.text


def test_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pixels = np.dstack([grey, np.full_like(grey, 255)])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[:, :, 0], grey)


@pytest.mark.parametrize(("most", "white"), [(4095, 4095), (None, 65535), (65535, 65535), (1000, 65535)])
def test_twelve_bits_in_sixteen_are_inverted_in_their_range(tmp_path: Path, most: int | None, white: int) -> None:
    values = np.array([[0, 4095], [100, 2000]], dtype=np.uint16)
    tags = [] if most is None else [(281, "H", 1, most, True)]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", extratags=tags)
    np.testing.assert_array_equal(read_frame(tmp_path / "a.tif").values, white - values)


def test_lossless_jpeg_in_dicom_is_decoded_as_gdcm_encodes_it(tmp_path: Path) -> None:
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm is in the extra `dicom`")
    dicom_files = pytest.importorskip("dicom_files", reason="pydicom is in the extra `dicom`")
    values = np.random.default_rng(0).integers(0, 4096, (16, 18)).astype(np.uint16)
    plain = dicom_files.write_dicom(tmp_path / "plain.dcm", values)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert b"1.2.840.10008.1.2.4.70" in (tmp_path / "packed.dcm").read_bytes()
    np.testing.assert_array_equal(read_frame(tmp_path / "packed.dcm").values, values)


def test_the_text_says_which_window_wins(tmp_path: Path) -> None:
    from s4mi.data.sources.conversion import describe_conversion
    from s4mi.data.sources.types import EmbeddedImage, FoundDataset

    found = FoundDataset(tmp_path, "x", (), embedded={tmp_path / "a.png": EmbeddedImage(tmp_path / "a.dcm")})
    assert "own window" in describe_conversion(found, Intensity())
    assert "own window" not in describe_conversion(found, Intensity.parse("window:0:9"))


def test_a_whole_method_is_replaced_by_its_name() -> None:
    from s4mi.config import make_run_config
    from s4mi.config.yaml_file import apply_overrides

    contents = {"data": {"path": "x"}, "method": {"name": "dino", "prototypes": 64, "hidden": 32}}
    config = make_run_config(apply_overrides(contents, ["method=simclr"]), origin="f")
    assert config.method.name == "simclr"
