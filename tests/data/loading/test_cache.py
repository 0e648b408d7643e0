import dataclasses
import errno
import multiprocessing
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.loading import cache as module
from s4mi.data.loading import cached_arrays
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.errors import S4miError
from s4mi.records import IGNORE

SIZE = (40, 50)
SIDE = 16
SPEC = """\
name: lesions
tasks: [multiclass, segmentation]
classes: [naevus, melanoma]
mask_values: {mask_values}
"""
MASK_VALUES = "{0: background, 255: lesion}"


def photo(number: int, size: tuple[int, int] = SIZE) -> Pixels:
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


def outline(number: int, size: tuple[int, int] = SIZE) -> Pixels:
    mask = np.zeros(size, dtype=np.uint8)
    mask[size[0] // 4 : size[0] // 2 + number, size[1] // 4 :] = 255
    return mask


def dataset(folder: Path, *, count: int = 3, size: tuple[int, int] = SIZE, mask_values: str = MASK_VALUES) -> Manifest:
    """Images 0, 1, … of random pixels, the first ones with masks, the last without."""
    folder.mkdir()
    (folder / "dataset.yaml").write_text(SPEC.format(mask_values=mask_values))
    lines = ["image,mask,label"]
    for number in range(count):
        Image.fromarray(photo(number, size)).save(folder / f"{number}.png")
        Image.fromarray(outline(number, size)).save(folder / f"{number}_mask.png")
        lines.append(f"{number}.png,{f'{number}_mask.png' if number < count - 1 else ''},naevus")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return load_manifest(folder)


def opened(manifest: Manifest, folder: Path, *, with_masks: bool = True, **settings: object) -> Cache:
    preprocessing = dataclasses.replace(Preprocessing(image_size=SIDE), **settings)  # type: ignore[arg-type]
    return open_cache(manifest, preprocessing, folder=folder, with_masks=with_masks)


def assert_same_contents(left: Cache, right: Cache) -> None:
    for name in ("images", "masks", "row", "size", "pixels"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return dataset(tmp_path / "set")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images decoded so far."""
    paths: list[Path] = []
    read = module.read_image

    def counted(path: Path, intensity: Intensity) -> Pixels:
        paths.append(path)
        return read(path, intensity)

    monkeypatch.setattr(module, "read_image", counted)
    return paths


def test_an_entry_is_the_image_resized(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder)
    assert cache.images.shape == (3, SIDE, SIDE, 3)
    for number in range(3):
        by_hand = cv2.resize(photo(number), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        assert np.array_equal(cache.images[number], by_hand)
    assert cache.row.tolist() == [0, 1, 2]
    assert cache.size.tolist() == [list(SIZE)] * 3


def test_an_image_of_the_right_size_is_kept_to_the_byte(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    square = dataset(tmp_path / "square", size=(SIDE, SIDE))
    assert np.array_equal(opened(square, folder).images, [photo(number, (SIDE, SIDE)) for number in range(3)])


def test_a_mask_entry_is_the_nearest_pixels_class(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder)
    assert cache.masks is not None
    rows, columns = (((np.arange(SIDE) + 0.5) * side / SIDE).astype(int) for side in SIZE)
    for number in range(2):
        assert np.array_equal(cache.masks[number], outline(number)[np.ix_(rows, columns)] == 255)


def test_an_image_without_a_mask_is_ignored_entirely(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder)
    assert cache.masks is not None
    assert (cache.masks[2] == IGNORE).all()
    assert cache.pixels[2].tolist() == [0, 0]


def test_pixels_of_each_class_are_counted(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder)
    assert cache.masks is not None
    assert cache.pixels.tolist() == [[int((mask == k).sum()) for k in (0, 1)] for mask in cache.masks]


def test_masks_are_not_read_for_a_task_without_them(manifest: Manifest, folder: Path) -> None:
    for row in manifest.rows:
        if row.mask is not None:
            row.mask.unlink()
    cache = opened(manifest, folder, with_masks=False)
    assert cache.masks is None
    assert cache.pixels.shape == (3, 0)
    assert opened(manifest, folder, with_masks=False).reused


def test_red_is_normalised_after_resizing(manifest: Manifest, folder: Path) -> None:
    stored = opened(manifest, folder, red_channel_normalisation=True).images[0]
    plain = cv2.resize(photo(0), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    red = 255 * plain[..., 0] / np.sqrt((plain**2).sum(axis=2))
    assert np.abs(stored[..., 0] - red).max() <= 0.5 + 1e-3
    assert np.array_equal(stored[..., 1:], plain[..., 1:])


def test_an_image_is_resized_through_the_intermediate_size(manifest: Manifest, folder: Path) -> None:
    between = cv2.resize(photo(0), (24, 24), interpolation=cv2.INTER_AREA)
    by_hand = cv2.resize(between, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.array_equal(opened(manifest, folder, resize_through=24).images[0], by_hand)


def test_a_page_of_the_paper_gives_twelve_entries(tmp_path: Path, folder: Path) -> None:
    page = (1408, 1876)
    cache = opened(dataset(tmp_path / "set", count=2, size=page), folder, tile=480, image_size=480)
    assert cache.images.shape == (24, 480, 480, 3)
    assert cache.row.tolist() == [0] * 12 + [1] * 12
    padded = np.zeros((3 * 480, 4 * 480, 3), dtype=np.uint8)
    padded[: page[0], : page[1]] = photo(0, page)
    tiles = padded.reshape(3, 480, 4, 480, 3).swapaxes(1, 2).reshape(12, 480, 480, 3)
    assert np.array_equal(cache.images[:12], tiles)


def test_the_padding_of_a_tile_is_ignored(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder, tile=32, image_size=32)
    assert cache.masks is not None
    padded = np.full((64, 64), IGNORE, dtype=np.uint8)
    padded[: SIZE[0], : SIZE[1]] = outline(0) // 255
    assert np.array_equal(cache.masks[:4], padded.reshape(2, 32, 2, 32).swapaxes(1, 2).reshape(4, 32, 32))
    assert cache.pixels[:4].sum() == SIZE[0] * SIZE[1]


def test_a_rotated_scan_of_16_bits_is_tiled_upright(manifest: Manifest, folder: Path) -> None:
    lying = Image.Exif()
    lying[0x0112] = 6  # orientation: a quarter turn
    scan = (photo(0, (40, 70))[:, :, 0]).astype(np.uint16) * 257
    Image.fromarray(scan).save(manifest.rows[0].image, exif=lying)
    cache = opened(manifest, folder, with_masks=False, tile=40, image_size=40)
    assert cache.size[0].tolist() == [70, 40]
    assert (cache.row == 0).sum() == 2
    upright = np.rot90(scan // 257, -1)
    assert np.abs(cache.images[0, :, :, 0].astype(int) - upright[:40]).max() <= 1  # stretched between percentiles


def test_the_entries_of_rows_are_all_their_tiles(manifest: Manifest, folder: Path) -> None:
    cache = opened(manifest, folder, tile=32)
    assert cache.row.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert cache.entries_of([2, 0]).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert cache.entries_of([]).tolist() == []


def test_a_second_open_decodes_nothing(manifest: Manifest, folder: Path, decoded: list[Path]) -> None:
    first = opened(manifest, folder)
    assert len(decoded) == 3
    again = opened(manifest, folder)
    assert len(decoded) == 3
    assert (first.reused, again.reused) == (False, True)
    assert_same_contents(first, again)


def test_a_second_open_does_not_read_the_files_again(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(manifest, folder)
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *given: pytest.fail("an unchanged file was read again"))
    assert opened(manifest, folder).reused


def change_image(manifest: Manifest) -> None:
    Image.fromarray(photo(99)).save(manifest.rows[0].image)


def change_mask(manifest: Manifest) -> None:
    assert manifest.rows[0].mask is not None
    Image.fromarray(outline(3)).save(manifest.rows[0].mask)


def change_mask_values(manifest: Manifest) -> None:
    text = SPEC.format(mask_values="{255: lesion, 0: background}")
    (manifest.folder / "dataset.yaml").write_text(text)


def remove_mask(manifest: Manifest) -> None:
    path = manifest.folder / "manifest.csv"
    path.write_text(path.read_text().replace("0_mask.png", ""))


def swap_rows(manifest: Manifest) -> None:
    path = manifest.folder / "manifest.csv"
    header, first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, second, first, *rest]) + "\n")


@pytest.mark.parametrize("change", [change_image, change_mask, change_mask_values, remove_mask, swap_rows])
def test_other_pixels_have_another_key(
    manifest: Manifest, folder: Path, change: Callable[[Manifest], None], decoded: list[Path]
) -> None:
    before = opened(manifest, folder)
    change(manifest)
    after = opened(load_manifest(manifest.folder), folder)
    assert after.key != before.key
    assert len(decoded) == 6
    assert opened(load_manifest(manifest.folder), folder).key == after.key


@pytest.mark.parametrize(
    "settings", [{"image_size": 17}, {"resize_through": 24}, {"tile": 32}, {"red_channel_normalisation": True}]
)
def test_other_settings_have_another_key(manifest: Manifest, folder: Path, settings: dict[str, object]) -> None:
    assert opened(manifest, folder, **settings).key != opened(manifest, folder).key


def test_masks_count_only_where_they_are_read(manifest: Manifest, folder: Path) -> None:
    before = opened(manifest, folder, with_masks=False)
    change_mask(manifest)
    change_mask_values(manifest)
    assert opened(load_manifest(manifest.folder), folder, with_masks=False).key == before.key


def test_a_moved_and_touched_data_set_is_the_same(
    manifest: Manifest, folder: Path, tmp_path: Path, decoded: list[Path]
) -> None:
    before = opened(manifest, folder)
    moved = Path(shutil.move(manifest.folder, tmp_path / "elsewhere"))
    for file in moved.iterdir():
        os.utime(file, (1, 1))
    after = opened(load_manifest(moved), folder)
    assert (after.key, after.reused, len(decoded)) == (before.key, True, 3)


def test_another_label_leaves_the_images_as_they_are(manifest: Manifest, folder: Path) -> None:
    before = opened(manifest, folder)
    path = manifest.folder / "manifest.csv"
    path.write_text(path.read_text().replace("naevus", "melanoma"))
    after = opened(load_manifest(manifest.folder), folder)
    assert (after.key, after.reused) == (before.key, True)


def test_swapped_files_are_noticed_though_size_and_time_agree(tmp_path: Path, folder: Path) -> None:
    manifest = dataset(tmp_path / "set", count=2)
    names = [tmp_path / "set" / f"{number}.bmp" for number in (0, 1)]
    for number, name in enumerate(names):
        Image.fromarray(photo(number)).save(name)
        os.utime(name, (1, 1))
    rows = tuple(dataclasses.replace(row, image=name) for row, name in zip(manifest.rows, names, strict=True))
    manifest = dataclasses.replace(manifest, rows=rows)
    before = opened(manifest, folder, with_masks=False)
    time.sleep(0.02)  # longer than a file system's clock ticks
    names[0].rename(tmp_path / "aside.bmp")
    names[1].rename(names[0])
    (tmp_path / "aside.bmp").rename(names[1])
    after = opened(manifest, folder, with_masks=False)
    assert after.key != before.key
    assert np.array_equal(after.images, before.images[::-1])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path, Cache]:
    """A data set, the folder of its cache, and the cache as it should be, held in memory."""
    home = tmp_path_factory.mktemp("standing")
    manifest = dataset(home / "set")
    cache = opened(manifest, home / "cache")
    assert cache.masks is not None
    in_memory = dataclasses.replace(cache, images=np.array(cache.images), masks=np.array(cache.masks))
    return manifest, home / "cache", in_memory


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@example(name="images.npy", position=0.5, bit=0)
@example(name="masks.npy", position=0.999, bit=7)
@example(name="index.npz", position=0.05, bit=0)
@given(
    name=st.sampled_from(["images.npy", "masks.npy", "index.npz"]),
    position=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_is_noticed_and_repaired(
    standing: tuple[Manifest, Path, Cache], name: str, position: float, bit: int
) -> None:
    manifest, folder, expected = standing
    opened(manifest, folder)
    file = folder / expected.key / name
    contents = bytearray(file.read_bytes())
    contents[int(position * len(contents))] ^= 1 << bit
    file.write_bytes(contents)
    given = opened(manifest, folder)
    assert_same_contents(given, expected)
    assert (given.images.dtype, given.masks is not None and given.masks.dtype) == (np.uint8, np.uint8)
    in_pixels = name != "index.npz" and int(position * len(contents)) >= 128  # the length of a header
    assert not (in_pixels and given.reused)
    assert opened(manifest, folder).reused or not in_pixels


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "thumbnails.npy", "index.npz"])
@pytest.mark.parametrize("kept", [None, 0, 100, 1000])
def test_a_lost_or_shortened_file_is_noticed_and_repaired(
    manifest: Manifest, folder: Path, name: str, kept: int | None, decoded: list[Path]
) -> None:
    before = opened(manifest, folder)
    file = folder / before.key / name
    contents = file.read_bytes()
    file.unlink()
    if kept is not None:
        file.write_bytes(contents[: min(kept, len(contents) - 1)])
    after = opened(manifest, folder)
    assert (after.reused, len(decoded)) == (False, 6)
    assert_same_contents(after, before)


def test_the_verified_sample_of_a_large_cache_includes_its_ends(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_arrays, "CHECKED_BYTES", 2 * SIDE * SIDE * 4)
    before = opened(manifest, folder)
    file = folder / before.key / "images.npy"
    contents = bytearray(file.read_bytes())
    contents[-1] ^= 1
    file.write_bytes(contents)
    assert not opened(manifest, folder).reused


def test_damaged_file_hashes_are_rebuilt(manifest: Manifest, folder: Path) -> None:
    opened(manifest, folder)
    (folder / "fingerprints.sqlite").write_bytes(b"no data base" * 100)
    assert opened(manifest, folder).reused
    with sqlite3.connect(folder / "fingerprints.sqlite") as database:
        assert database.execute("SELECT count(*) FROM files").fetchone() == (5,)
    database.close()


def test_leftovers_of_a_killed_run_are_removed(manifest: Manifest, folder: Path) -> None:
    key = opened(manifest, folder).key
    (folder / key).rename(folder / f"{key}.building-1")
    (folder / f"{key}.building-1" / "index.npz").unlink()
    cache = opened(manifest, folder)
    assert not cache.reused
    assert not list(folder.glob("*.building-*"))


def open_together(home: Path, name: str) -> tuple[bool, str, int]:
    """Open the cache at the same moment as another process does."""
    manifest = load_manifest(home / "set")
    (home / name).touch()
    until = time.monotonic() + 30
    while not ((home / "first").exists() and (home / "second").exists()):
        assert time.monotonic() < until, "the other process did not come"
        time.sleep(0.001)
    cache = opened(manifest, home / "cache")
    return cache.reused, cache.key, int(np.asarray(cache.images).sum(dtype=np.int64))


@pytest.mark.long
def test_two_processes_that_start_together_decode_once(tmp_path: Path) -> None:
    dataset(tmp_path / "set", count=20, size=(200, 200))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(open_together, [tmp_path] * 2, ["first", "second"]))
    assert sorted(reused for reused, _, _ in results) == [False, True]
    assert results[0][1:] == results[1][1:]
    assert not list((tmp_path / "cache").glob("*.building-*"))


def test_a_corrupt_image_is_named_with_its_line_and_the_rest_are_counted(manifest: Manifest, folder: Path) -> None:
    for number in (1, 2):
        file = manifest.rows[number].image
        file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(S4miError) as caught:
        opened(manifest, folder)
    message = str(caught.value)
    assert message.startswith(f"{manifest.folder / 'manifest.csv'}:3: image '1.png' cannot be decoded")
    assert "and 1 more; see all with: s4mi data check" in message
    assert "\n" not in message
    assert not list(folder.glob("*.building-*"))


def test_a_file_that_is_not_an_image_is_named(manifest: Manifest, folder: Path) -> None:
    manifest.rows[1].image.write_text("not an image")
    with pytest.raises(S4miError, match=r"manifest\.csv:3: image '1\.png' is not an image; [^\n]*$"):
        opened(manifest, folder)


def test_a_mask_of_another_size_is_named_with_both(manifest: Manifest, folder: Path) -> None:
    Image.fromarray(outline(0, (20, 30))).save(manifest.folder / "1_mask.png")
    with pytest.raises(S4miError, match=r"csv:3: mask '1_mask\.png' is 20×30 but its image is 40×50; re-export"):
        opened(manifest, folder)


def test_a_mask_value_without_a_name_is_named(manifest: Manifest, folder: Path) -> None:
    Image.fromarray(np.full(SIZE, 7, dtype=np.uint8)).save(manifest.folder / "0_mask.png")
    with pytest.raises(S4miError, match=r"csv:2: mask '0_mask\.png' contains the value 7, not in mask_values"):
        opened(manifest, folder)


def test_a_removed_file_is_named(manifest: Manifest, folder: Path) -> None:
    manifest.rows[1].image.unlink()
    with pytest.raises(S4miError, match=r"1\.png: cannot be read \(No such file or directory\); [^\n]*$"):
        opened(manifest, folder)


def full(*given: object, **named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "function",
    [
        "s4mi.data.loading.cache.os.posix_fallocate"
        if hasattr(os, "posix_fallocate")
        else "numpy.lib.format.open_memmap",
        "s4mi.data.loading.cache.np.savez",
        "s4mi.data.loading.cache.file_lock",
    ],
)
def test_a_full_disk_is_one_line_and_leaves_no_partial_cache(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(function, full)
        with pytest.raises(S4miError, match=r"cannot write the image cache \(.*No space left.*\); set data\.cache"):
            opened(manifest, folder)
    assert not list(folder.glob("*.building-*"))
    assert not opened(manifest, folder).reused


def test_a_cache_folder_that_is_a_file_is_one_line(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(S4miError, match=r"cannot write the image cache \([^\n]*\); set data\.cache to another disk$"):
        opened(manifest, tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_line(manifest: Manifest, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(S4miError, match=r"cannot write the image cache \([^\n]*\); set data\.cache to another disk$"):
        opened(manifest, folder)


def test_progress_is_reported_for_every_image(manifest: Manifest, folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    open_cache(
        manifest,
        Preprocessing(image_size=SIDE),
        folder=folder,
        with_masks=True,
        progress=lambda done, of: steps.append((done, of)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
