import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.duplicates import thumbnail
from s4mi.data.images import read_image
from s4mi.data.loading.thumbnail_store import STORE_NAME, dataset_thumbnails, forget_thumbnails
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError


def test_thumbnails_are_those_of_the_images_and_are_decoded_once(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    decoded: list[int] = []
    digests, thumbnails = dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    naive = np.stack([thumbnail(read_image(row.image, manifest.spec.rule)) for row in manifest.rows])
    np.testing.assert_array_equal(thumbnails, naive)
    assert decoded == [*range(1, len(naive) + 1)]
    decoded.clear()
    again, kept = dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    assert (decoded, again) == ([], digests)
    np.testing.assert_array_equal(kept, naive)


def test_another_intensity_rule_is_another_thumbnail(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    dataset_thumbnails(manifest, tmp_path)
    other = replace(manifest, spec=manifest.spec.model_copy(update={"intensity": "range"}))
    decoded: list[int] = []
    dataset_thumbnails(other, tmp_path, progress=lambda done, _: decoded.append(done))
    assert len(decoded) == len(manifest.rows)


def test_a_damaged_store_is_built_again(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    _, thumbnails = dataset_thumbnails(manifest, tmp_path)
    (tmp_path / STORE_NAME).write_bytes(b"no database" * 100)
    np.testing.assert_array_equal(dataset_thumbnails(manifest, tmp_path)[1], thumbnails)


def test_an_unreadable_image_is_named_with_its_line(plain_images: object, tmp_path: Path) -> None:
    manifest = plain_images("a.png", "b.png")  # type: ignore[operator]
    (manifest.folder / "images" / "b.png").write_bytes(b"no image")
    with pytest.raises(S4miError, match=r"manifest\.csv:3: image 'b\.png' "):
        dataset_thumbnails(manifest, tmp_path / "cache")
    Image.new("L", (8, 8)).save(manifest.folder / "images" / "b.png")
    assert len(dataset_thumbnails(manifest, tmp_path / "cache")[1]) == 2


def test_only_the_owner_may_read_thumbnails(lesions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    dataset_thumbnails(load_manifest(lesions), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_thumbnails_of_given_files_are_forgotten_without_a_trace(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    digests, thumbnails = dataset_thumbnails(manifest, tmp_path)
    store = tmp_path / STORE_NAME
    assert all(thumbnails[n].tobytes()[:64] in store.read_bytes() for n in (3, 4))
    forget_thumbnails(tmp_path, [digests[3]])
    assert thumbnails[3].tobytes()[:64] not in store.read_bytes()
    assert thumbnails[4].tobytes()[:64] in store.read_bytes()
    decoded: list[int] = []
    dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    assert decoded == [1]
    store.write_bytes(b"no database" * 100)
    forget_thumbnails(tmp_path, digests)
    forget_thumbnails(tmp_path, digests)
    assert not store.exists()
