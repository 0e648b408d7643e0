"""Images and masks of every colour space, bit depth, format and compression, with Pillow as the oracle."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from made_tiff import pack, write_tiff
from s4mi.data.files import read_frame, read_frames, read_header
from s4mi.data.formats.frame import ImageError
from s4mi.data.images import image_size, read_image
from s4mi.data.masks import foreground_share, mask_file_values, read_mask, read_mask_frame

RGB = np.random.default_rng(0).integers(0, 256, (20, 27, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]
DISC = (np.arange(20)[:, None] - 10) ** 2 + (np.arange(27)[None] - 13) ** 2 < 26  # 81 of 540 pixels: 15 %
CONVERTED = ("CMYK", "LAB", "YCbCr")


def picture(mode: str) -> Image.Image:
    colours = Image.fromarray(RGB)
    if mode in ("RGBA", "LA"):
        opaque = Image.fromarray(RGB if mode == "RGBA" else GREY)
        opaque.putalpha(Image.fromarray(RGB[:, :, 1]))
        return opaque
    if mode == "LAB":
        return Image.merge("LAB", colours.split())
    if mode == "I;16":
        return Image.fromarray(GREY.astype(np.uint16))
    if mode == "F":
        return Image.fromarray(GREY.astype(np.float32))
    return Image.fromarray(DISC) if mode == "1" else colours.convert("P" if mode == "P" else mode)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()


TIFF = {
    "raw": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", *CONVERTED),
    "tiff_lzw": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK"),
    "tiff_adobe_deflate": ("1", "L", "P", "RGB", "RGBA", "I;16", "F", "CMYK"),
    "packbits": ("1", "L", "P", "RGB", "RGBA", "I;16"),
    "jpeg": ("L", "RGB", "YCbCr", "CMYK"),
    "zstd": ("1", "L", "P", "RGB", "I;16", "F"),
    "group3": ("1",),
    "group4": ("1",),
}
OTHERS = {
    ".png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    ".bmp": ("1", "L", "P", "RGB"),
    ".gif": ("1", "L", "P", "RGB"),
    ".jpg": ("L", "RGB", "CMYK", "YCbCr"),
    ".webp": ("RGB", "RGBA"),
}
CASES = [(".tif", compression, mode) for compression, modes in TIFF.items() for mode in modes]
CASES += [(suffix, "", mode) for suffix, modes in OTHERS.items() for mode in modes]


def save(path: Path, compression: str, mode: str) -> None:
    try:
        picture(mode).save(path, **({"compression": compression} if compression else {}))
    except OSError as error:  # a Pillow without this codec
        pytest.skip(f"this Pillow does not write {compression or path.suffix} ({error})")


@pytest.mark.parametrize(("suffix", "compression", "mode"), CASES)
def test_every_kind_of_image_and_mask_is_as_pillow_displays_it(
    tmp_path: Path, suffix: str, compression: str, mode: str
) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, compression, mode)
    image = opened(path)
    stored, header = read_frame(path).values, read_header(path)
    assert (header.height, header.width) == stored.shape[:2] == (20, 27)
    assert header.channels == {"1": 1, "L": 1, "LA": 2, "RGBA": 4, "I;16": 1, "F": 1}.get(image.mode, 3)
    if image.mode in ("I;16", "F"):
        assert np.array_equal(stored, np.asarray(image))
        assert header.dtype == str(stored.dtype) == ("uint16" if image.mode == "I;16" else "float32")
    else:
        flat = image.convert("L" if image.mode == "LA" else "RGB").convert("RGB")
        assert np.array_equal(read_image(path), np.asarray(flat))
    codes = read_mask_frame(path).values
    if image.mode in ("1", "L", "I;16", "F") or (image.mode == "P" and suffix != ".gif"):
        assert np.array_equal(codes, np.asarray(image))
    else:
        assert np.array_equal(codes[:, :, :3] if codes.ndim == 3 else codes, np.asarray(image.convert(
            "L" if image.mode == "LA" else "RGB")))  # fmt: skip


PACKED = [case for case in itertools.product((1, 2, 4, 8), (0, 1), (1, 2)) if case != (8, 0, 2)]  # Pillow fails at it


@pytest.mark.parametrize(("bits", "photometric", "order"), PACKED)
def test_packed_grey_is_as_pillow_displays_it(tmp_path: Path, bits: int, photometric: int, order: int) -> None:
    data = pack(GREY >> (8 - bits), bits)
    write_tiff(tmp_path / "a.tif", data, (20, 27), bits, {262: photometric, 266: order})
    oracle = np.asarray(opened(tmp_path / "a.tif"))
    assert np.array_equal(read_mask_frame(tmp_path / "a.tif").values, oracle)
    assert np.array_equal(read_image(tmp_path / "a.tif")[:, :, 0], oracle.astype(np.uint8) * (255 if bits == 1 else 1))


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535), (np.uint32, 2**32 - 1)])
def test_white_is_zero_is_inverted_at_every_depth(tmp_path: Path, dtype: type, most: int) -> None:
    values = GREY.astype(dtype)
    for compression in (None, "zlib"):
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", compression=compression)
        for read in (read_frame, read_mask_frame):
            assert np.array_equal(read(tmp_path / "a.tif").values, most - values)


def test_twelve_packed_bits_keep_their_values(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 16
    write_tiff(tmp_path / "a.tif", pack(values, 12), (20, 27), 12, {262: 1})
    assert np.array_equal(read_frame(tmp_path / "a.tif").values, values)


def test_numbers_without_a_range_cannot_be_inverted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.float32), photometric="miniswhite")
    with pytest.raises(ImageError, match="floating-point numbers in which white is zero; save it as black is zero"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_white_is_zero_mask_has_the_foreground_that_viewers_show(
    tmp_path: Path, bits: int, compression: str | None
) -> None:
    shown = DISC if bits == 1 else DISC.astype(np.uint8) * 255
    stored = ~shown
    assert stored.mean() > 0.8 * stored.max()
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", compression=compression)
    foreground = 1 if bits == 1 else 255
    assert mask_file_values(tmp_path / "a.tif") == (0, foreground)
    mask = read_mask(tmp_path / "a.tif", {0: "background", foreground: "lesion"})
    assert np.array_equal(mask, DISC)
    assert foreground_share(mask) == pytest.approx(0.15)
    assert np.array_equal(read_image(tmp_path / "a.tif")[:, :, 0], DISC * 255)


@pytest.mark.parametrize("mode", CONVERTED)
def test_other_colour_spaces_are_converted_to_rgb(tmp_path: Path, mode: str) -> None:
    smooth = np.stack(np.broadcast_arrays(*np.ogrid[0:200:40j, 0:250:50j], 90), axis=2).astype(np.uint8)
    image = Image.fromarray(smooth)
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
        assert image is not None
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - smooth).mean() < 1.5
    assert (read_header(tmp_path / "a.tif").channels, read_header(tmp_path / "a.tif").dtype) == (3, "uint8")


def test_a_colour_space_that_nothing_converts_is_refused_by_name(tmp_path: Path) -> None:
    write_tiff(tmp_path / "cfa.tif", GREY.tobytes(), (20, 27), 8, {262: 32803})
    with pytest.raises(ImageError, match="colour space CFA, which is not supported; convert it to RGB"):
        read_image(tmp_path / "cfa.tif")
    tifffile.imwrite(tmp_path / "deep.tif", RGB.astype(np.uint16), photometric="cielab")
    with pytest.raises(ImageError, match="16 bits of CIELAB, which is not supported"):
        read_image(tmp_path / "deep.tif")


def test_subsampled_chroma_without_compression_is_refused(tmp_path: Path) -> None:
    tags: dict[int, int | tuple[int, int]] = {262: 6, 277: 3, 530: (2, 2)}
    write_tiff(tmp_path / "a.tif", bytes(20 * 28 * 3 // 2), (20, 28), 8, tags)
    with pytest.raises(ImageError, match="8 bits of YCBCR, which is not supported"):
        read_image(tmp_path / "a.tif")


def test_transparency_of_grey_is_dropped_and_other_samples_are_refused(tmp_path: Path) -> None:
    for kind in ("unassalpha", "assocalpha"):
        tifffile.imwrite(tmp_path / "a.tif", RGB[:, :, :2], photometric="minisblack", planarconfig="contig",
                         extrasamples=[kind])  # fmt: skip
        assert np.array_equal(read_frame(tmp_path / "a.tif").values, GREY)
        assert read_header(tmp_path / "a.tif").channels == 2
    for planar in ("contig", "separate"):
        four = np.stack([GREY] * 4, axis=2 if planar == "contig" else 0)
        tifffile.imwrite(tmp_path / "b.tif", four, photometric="minisblack", planarconfig=planar)
        with pytest.raises(ImageError, match="4 samples per pixel that are not colours; save each as a page"):
            read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("writer", ["imagej", "shaped", "imagej-rgb", "volumetric"])
def test_every_plane_of_a_stack_in_one_page_is_read(tmp_path: Path, writer: str) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
    path = tmp_path / "a.tif"
    if writer == "imagej-rgb":
        stack = np.stack([stack[:3].transpose(1, 2, 0), stack[1:].transpose(1, 2, 0)])
    if writer == "volumetric":
        tifffile.imwrite(path, stack, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    else:
        metadata = {"axes": "ZYX"} if writer == "imagej" else None if writer == "imagej-rgb" else {}
        options = {"photometric": "minisblack"} if writer == "shaped" else {"imagej": True}
        tifffile.imwrite(path, stack, truncate=True, metadata=metadata, **options)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    assert read_header(path).frames == len(stack)
    assert image_size(path) == (32, 48)
    assert np.array_equal([frame.values for frame in read_frames(path)], stack)
    assert np.array_equal(read_mask_frame(path).values, stack[0])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_planes_keep_their_depth_and_photometric(tmp_path: Path, dtype: type) -> None:
    stack = np.random.default_rng(0).integers(0, 4000, (3, 6, 7)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, truncate=True)
    assert np.array_equal([frame.values for frame in read_frames(tmp_path / "a.tif")], stack)
    if dtype is np.uint16:
        tifffile.imwrite(tmp_path / "b.tif", stack, photometric="miniswhite", truncate=True)
        assert np.array_equal([frame.values for frame in read_frames(tmp_path / "b.tif")], 65535 - stack)


def test_planes_that_the_file_lacks_are_missed(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (5, 20, 27), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"}, truncate=True)
    assert read_header(tmp_path / "a.tif").frames == 5
    contents = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(contents[:-600])
    with pytest.raises(ImageError, match="describes 5 planes, of which only the first can be found"):
        read_frame(tmp_path / "a.tif", 4)


def test_deep_colours_that_pillow_would_reduce_are_refused_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not features.check("libtiff"):
        pytest.skip("this Pillow has no libtiff")
    deep = RGB.astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    assert np.array_equal(read_frame(tmp_path / "a.tif").values, deep)

    def lacks(*_: object, **__: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", lacks)
    monkeypatch.setattr("s4mi.data.formats.tiff_pixels.find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r"16 bits of RGB, which needs another package; pip install 's4mi\[tiff\]'"):
        read_frame(tmp_path / "a.tif")
