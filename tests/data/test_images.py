import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from s4mi.data.files import read_header
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import image_size, normalise_red, read_image, resize_image, resize_mask
from s4mi.data.loading.tiles import TileGrid
from s4mi.data.masks import mask_file_values, read_mask
from s4mi.errors import S4miError
from s4mi.records import IGNORE

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
colour_images = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
ORIENTATION = 0x0112


def photo(height: int = 12, width: int = 17, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def error_of(path: Path) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    return caught.value.code, str(caught.value)


@one_folder
@given(pixels=colour_images, ending=st.sampled_from([".png", ".bmp", ".tif"]))
def test_a_losslessly_saved_image_is_read_unchanged(tmp_path: Path, pixels: np.ndarray, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    Image.fromarray(pixels).save(path)
    assert np.array_equal(read_image(path), pixels)


def test_grey_is_repeated_and_transparency_dropped(tmp_path: Path) -> None:
    grey, rgb = photo()[:, :, 0], photo()
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([rgb, grey])).save(tmp_path / "alpha.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.dstack([grey] * 3))
    assert np.array_equal(read_image(tmp_path / "alpha.png"), rgb)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, lambda a: np.rot90(a))],
)
def test_a_rotated_photograph_is_set_upright(tmp_path: Path, orientation: int, upright) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(photo()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), upright(photo()))
    assert image_size(tmp_path / "a.png") == read_image(tmp_path / "a.png").shape[:2]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_the_size_in_the_header_is_the_size_of_the_pixels(tmp_path: Path, name: str) -> None:
    Image.fromarray(photo(7, 11)).save(tmp_path / name)
    assert image_size(tmp_path / name) == read_image(tmp_path / name).shape[:2] == (7, 11)


def test_the_size_of_a_jpeg_is_known_without_its_pixels(tmp_path: Path) -> None:
    Image.fromarray(photo(100, 90)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:1000])
    assert image_size(tmp_path / "a.jpg") == (100, 90)
    assert error_of(tmp_path / "a.jpg")[0] == "undecodable"


def test_the_first_page_of_a_tiff_stack_is_read(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 256, (8, 5, 6), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "a.tif")[:, :, 0], pages[0])


def test_grey_files_are_distinguished_by_their_header(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "colour.png")
    Image.fromarray(photo()[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(photo()[:, :, 0].astype(np.uint16)).save(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "grey.tif", photo()[:, :, 0])
    tifffile.imwrite(tmp_path / "colour.tif", photo(), photometric="rgb")
    grey = {path.name: read_header(path).channels < 3 for path in tmp_path.iterdir()}
    assert grey == {
        "colour.png": False, "grey.png": True, "deep.png": True, "grey.tif": True, "colour.tif": False
    }  # fmt: skip


@given(values=arrays(np.uint16, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_stretching_keeps_the_order_of_the_values(values: np.ndarray) -> None:
    stretched = Intensity().to_uint8(values).astype(int)
    order = np.argsort(values, axis=None)
    assert (np.diff(stretched.ravel()[order]) >= 0).all()
    if values.min() < values.max():
        assert (stretched.min(), stretched.max()) == (0, 255)


def test_sixteen_bits_are_stretched_between_percentiles(tmp_path: Path) -> None:
    values = np.arange(0, 10_000, dtype=np.uint16).reshape(100, 100)
    Image.fromarray(values).save(tmp_path / "a.png")
    low, high = np.percentile(values, (0.1, 99.9))
    expected = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)
    assert np.abs(read_image(tmp_path / "a.png")[:, :, 0] - expected).max() <= 1


def test_an_image_without_a_finite_pixel_is_refused() -> None:
    with pytest.raises(ImageError, match="no finite pixel"):
        Intensity().to_uint8(np.full((3, 3), np.nan))


def test_each_kind_of_broken_file_has_its_code(tmp_path: Path) -> None:
    Image.fromarray(photo(64, 64)).save(tmp_path / "whole.jpg")
    half = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(half[: len(half) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.jpg").write_text("these are notes")
    (tmp_path / "text.tif").write_text("these are notes")
    expected = {
        "half.jpg": ("undecodable", "truncated"),
        "empty.png": ("empty-file", "0 bytes"),
        "empty.tif": ("empty-file", "0 bytes"),
        "text.jpg": ("not-an-image", "is not an image"),
        "text.tif": ("not-an-image", "is not a TIFF"),
        "none.png": ("missing-file", "does not exist"),
        "none.tif": ("missing-file", "does not exist"),
    }
    for name, (code, words) in expected.items():
        found, message = error_of(tmp_path / name)
        assert found == code, name
        assert words in message, name


@settings(one_folder, max_examples=60)
@given(
    data=st.data(),
    ending=st.sampled_from([".png", ".jpg", ".tif", ".bmp", ".webp"]),
    cut=st.floats(0.0, 1.0),
)
def test_a_broken_file_gives_pixels_or_one_line_and_never_another_exception(
    tmp_path: Path, data: st.DataObject, ending: str, cut: float
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, Image.registered_extensions()[ending])
    contents = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"a{ending}"
    path.write_bytes(contents[: int(len(contents) * cut)])
    messages = []
    for read in (read_image, image_size, read_header, mask_file_values):
        try:
            read(path)
        except S4miError as error:
            messages.append(str(error))
    assert not any("\n" in message for message in messages)


def test_a_mask_becomes_class_indices_in_the_order_of_its_names(tmp_path: Path) -> None:
    values = np.array([[0, 3, 7], [9, 255, 3]], dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    names = {0: "background", 7: "core", 3: "rim", 9: "core", 255: "ignore"}
    assert read_mask(tmp_path / "a.png", names).tolist() == [[0, 2, 1], [1, IGNORE, 2]]


def test_a_one_bit_mask_holds_zero_and_one_and_a_palette_mask_its_indices(tmp_path: Path) -> None:
    bits = photo()[:, :, 0] > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    palette = Image.fromarray(bits.astype(np.uint8) * 2, mode="P")
    palette.putpalette([200, 10, 10, 0, 0, 0, 30, 30, 90])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "bits.png", {0: "background", 1: "lesion"}), bits)
    assert np.array_equal(read_mask(tmp_path / "palette.png", {0: "background", 2: "lesion"}), bits)
    assert mask_file_values(tmp_path / "palette.png") == (0, 2)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_sixteen_bit_mask_is_read_when_its_numbers_are_small(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 2], [2, 1]], dtype=np.uint16)
    (tifffile.imwrite if name.endswith("tif") else lambda path, a: Image.fromarray(a).save(path))(
        tmp_path / name, values
    )
    assert read_mask(tmp_path / name, {0: "a", 1: "b", 2: "c"}).tolist() == values.tolist()


def test_an_invalid_mask_is_refused_with_its_value(tmp_path: Path) -> None:
    names = {0: "background", 1: "lesion"}
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(tmp_path / "scaled.png")
    Image.fromarray(np.array([[0, 256]], dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(photo()).save(tmp_path / "colour.png")
    for name, code, words in [
        ("scaled.png", "mask-value", r"contains the value 255, not in mask_values \(0, 1\)"),
        ("deep.png", "bad-mask", "values up to 256"),
        ("colour.png", "bad-mask", "colour image"),
    ]:
        with pytest.raises(ImageError, match=words) as caught:
            read_mask(tmp_path / name, names)
        assert caught.value.code == code


@given(
    mask=arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, IGNORE])
    ),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_resizing_a_mask_invents_no_class(mask: np.ndarray, size: tuple[int, int]) -> None:
    resized = resize_mask(mask, size)
    assert resized.shape == size
    assert set(np.unique(resized)) <= set(np.unique(mask))


@given(colour=st.tuples(*[st.integers(0, 255)] * 3), size=st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_resizing_one_colour_gives_that_colour(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    resized = resize_image(np.full((9, 13, 3), colour, dtype=np.uint8), size)
    assert resized.shape == (*size, 3)
    assert (resized == np.array(colour)).all()


@given(pixels=colour_images)
def test_red_is_its_share_of_the_colour_vector_and_green_and_blue_stay(pixels: np.ndarray) -> None:
    result = normalise_red(pixels)
    for before, after in zip(pixels.reshape(-1, 3).tolist(), result.reshape(-1, 3).tolist(), strict=True):
        norm = sum(value**2 for value in before) ** 0.5
        assert abs(after[0] - (255 * before[0] / norm if norm else 0)) <= 0.501
        assert after[1:] == before[1:]


def test_a_page_of_the_paper_is_cut_into_three_by_four_tiles() -> None:
    assert len(TileGrid(height=1408, width=1876, tile=480).corners) == 3 * 4


@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(1, 20))
def test_stitched_tiles_are_the_page(height: int, width: int, tile: int) -> None:
    page = photo(height, width)
    grid = TileGrid(height, width, tile)
    tiles = np.stack([grid.cut(page, corner) for corner in grid.corners]).astype(np.float32)
    assert tiles.shape[1:] == (tile, tile, 3)
    assert np.array_equal(grid.stitch(tiles.transpose(0, 3, 1, 2)), page.transpose(2, 0, 1))
