from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.masks import decode_mask, encode_mask, mask_codes, mask_file_values, read_mask
from s4mi.records import IGNORE

BY_NUMBER: dict[int | str, str] = {0: "background", 7: "rim", 255: "core"}
BY_COLOUR: dict[int | str, str] = {"#000000": "background", "#ff0000": "rim", "#00ff80": "core"}


@pytest.mark.parametrize("coding", [BY_NUMBER, BY_COLOUR])
@given(seed=st.integers(0, 1000), height=st.integers(1, 9), width=st.integers(1, 9))
def test_decoding_inverts_encoding(coding: dict[int | str, str], seed: int, height: int, width: int) -> None:
    classes = np.random.default_rng(seed).integers(0, 3, (height, width), dtype=np.uint8)
    written = encode_mask(classes, coding)
    assert np.array_equal(decode_mask(Frame(written), coding), classes)
    if classes.any() or coding is BY_NUMBER:
        assert set(mask_codes(Frame(written))) <= set(coding)


def test_colours_are_classes_and_may_be_ignored(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 1], pixels[1, 2] = (255, 0, 0), (255, 255, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert mask_file_values(tmp_path / "a.png") == ("#000000", "#ff0000", "#ffffff")
    read = read_mask(tmp_path / "a.png", {"#000000": "background", "#ff0000": "lesion", "#ffffff": "ignore"})
    assert read.tolist() == [[0, 1, 0], [0, 0, IGNORE]]


def test_a_grey_file_of_a_data_set_with_colours_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", {"#000000": "background", "#ffffff": "lesion"}).tolist() == [[0, 1]]


def test_an_unknown_colour_is_named(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 3), dtype=np.uint8)
    pixels[0, 0] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="contains the value #010203, not in mask_values") as caught:
        read_mask(tmp_path / "a.png", BY_COLOUR)
    assert caught.value.code == "mask-value"


@pytest.mark.parametrize("values", [np.array([[0.5]]), np.array([[np.nan]]), np.array([[-1]]), np.array([[256]])])
def test_only_whole_numbers_up_to_255_code_classes(values: np.ndarray) -> None:
    with pytest.raises(ImageError) as caught:
        mask_codes(Frame(values))
    assert caught.value.code == "bad-mask"


def test_whole_numbers_of_any_type_code_classes() -> None:
    for dtype in (np.float32, np.int16, np.uint16, np.bool_):
        assert mask_codes(Frame(np.array([[0, 1]], dtype=dtype))) == (0, 1)


def test_codes_of_a_large_mask_are_all_found() -> None:
    generator = np.random.default_rng(0)
    palette = generator.integers(0, 256, (20, 3), dtype=np.uint8)
    chosen = generator.integers(0, 20, (40, 50))
    expected = sorted({"#{:02x}{:02x}{:02x}".format(*palette[k]) for k in np.unique(chosen)})
    assert list(mask_codes(Frame(palette[chosen]))) == expected


def test_several_unknown_values_are_listed_and_jpeg_gets_a_hint(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 64], [128, 255]], dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(
        ImageError, match=r"contains the values 64, 128, not in mask_values .*; add them to mask_values"
    ):
        read_mask(tmp_path / "a.png", BY_NUMBER)
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[3:9, 4:11] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg")
    with pytest.raises(
        ImageError, match=r"contains the values .*; JPEG changes values, so save masks as PNG"
    ) as caught:
        read_mask(tmp_path / "a.jpg", {0: "background", 255: "lesion"})
    assert "dataset.yaml" not in str(caught.value)


@pytest.mark.parametrize(
    "values", [{0: "background", 7: "x", 255: "ignore"}, {"#000000": "background", "#ff0000": "x", "#ffffff": "ignore"}]
)
def test_ignored_pixels_are_encoded_and_read_again(values: dict) -> None:
    classes = np.array([[0, 1, IGNORE], [IGNORE, 0, 1]], dtype=np.uint8)
    assert np.array_equal(decode_mask(Frame(encode_mask(classes, values)), values), classes)
