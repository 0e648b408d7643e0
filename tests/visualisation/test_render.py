"""Sheets are cached by key, and a cache that is not writable is no error."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.visualisation.render import SheetCache, compact, key_of


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PHOTO = png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
FLAT = png(np.full((64, 64, 3), 200, dtype=np.uint8))


@pytest.mark.parametrize(("original", "ending"), [(PHOTO, "jpg"), (FLAT, "png")])
def test_a_stored_sheet_is_found(tmp_path: Path, original: bytes, ending: str) -> None:
    picture = compact(original)
    cache, key = SheetCache(tmp_path), key_of(["a", 1])
    assert cache.get("masks", key) is None
    cache.put("masks", key, picture)
    assert cache.get("masks", key) == picture
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == [f"masks-{key}.{ending}"]
    assert cache.get("cases", key) is None


def test_different_contents_have_different_keys() -> None:
    keys = [key_of(contents) for contents in ([], ["a"], ["a", 1], [["a"], 1], ["a", 0.1 + 0.2])]
    assert len(set(keys)) == len(keys)
    assert key_of(["é", 1.5, ("x",)]) == key_of(["é", 1.5, ["x"]])


def test_a_damaged_file_is_not_used(tmp_path: Path) -> None:
    cache = SheetCache(tmp_path)
    cache.put("masks", key_of([1]), compact(PHOTO))
    (path,) = (tmp_path / "sheets").iterdir()
    path.write_bytes(path.read_bytes()[:10])
    assert cache.get("masks", key_of([1])) is None


def test_unused_sheets_are_deleted_and_other_files_kept(tmp_path: Path) -> None:
    SheetCache(tmp_path).put("masks", key_of([1]), compact(PHOTO))
    (tmp_path / "sheets" / "mine.png").write_bytes(FLAT)
    cache = SheetCache(tmp_path)
    cache.put("cases", key_of([2]), compact(PHOTO))
    cache.prune()
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == [f"cases-{key_of([2])}.jpg", "mine.png"]


def test_a_folder_that_is_not_writable_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "sheets").write_text("in the way", encoding="utf-8")
    cache = SheetCache(tmp_path)
    cache.put("masks", key_of([1]), PHOTO)
    assert cache.get("masks", key_of([1])) is None
    cache.prune()


def test_a_photograph_gets_smaller_with_little_loss() -> None:
    y, x = np.mgrid[0:128, 0:128]
    smooth = np.stack([128 + 60 * np.sin(x / 9), 128 + 60 * np.cos(y / 7), x + y], axis=-1)
    pixels = np.clip(smooth + np.random.default_rng(0).normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)
    small = compact(png(pixels))
    assert len(small) < len(png(pixels)) / 3
    assert np.abs(np.asarray(Image.open(io.BytesIO(small))).astype(int) - pixels).mean() < 3
