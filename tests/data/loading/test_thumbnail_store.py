import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.images import read_image
from s4mi.data.loading import thumbnail_store
from s4mi.data.loading.thumbnail_store import STORE_NAME, dataset_thumbnails, forget_thumbnails
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.thumbnails import Thumbnails, describe, thumbnail
from s4mi.errors import S4miError


@pytest.fixture
def all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the thumbnails of all files, as of large ones."""
    monkeypatch.setattr(thumbnail_store, "is_kept", lambda size: True)


def assert_those_of(manifest: Manifest, thumbnails: Thumbnails) -> None:
    assert len(thumbnails) == len(manifest.rows)
    for number, row in enumerate(manifest.rows):
        naive = thumbnail(read_image(row.image, manifest.spec.rule))
        np.testing.assert_array_equal(thumbnails.pixels(number), naive)
        assert int(thumbnails.hashes[number]) == describe(naive).hash
        np.testing.assert_array_equal(thumbnails.colours[number], np.float32(describe(naive).colour))


@pytest.mark.parametrize("kept", [True, False])
def test_thumbnails_are_those_of_the_images_and_are_decoded_once(
    lesions: Path, tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail_store, "is_kept", lambda size: kept)
    manifest = load_manifest(lesions)
    decoded: list[int] = []
    digests, thumbnails = dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    assert_those_of(manifest, thumbnails)
    assert decoded == [*range(1, len(manifest.rows) + 1)]
    decoded.clear()
    again, stored = dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    assert (decoded, again) == ([], digests)
    assert_those_of(manifest, stored)


@pytest.mark.long
def test_what_is_kept_is_at_most_a_tenth_of_the_files(tmp_path: Path) -> None:
    """Small files have no thumbnail but a description."""
    generator = np.random.default_rng(0)
    rows = ["id,image,mask,label,group,split"]
    for number in range(300):
        side = 24 if number < 290 else 130
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number},{number}.png,,a,,")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "dataset.yaml").write_text("name: small\ntasks: [multiclass]\nclasses: [a, b]\n")
    manifest = load_manifest(tmp_path)
    assert_those_of(manifest, dataset_thumbnails(manifest, tmp_path / "cache")[1])
    with closing(sqlite3.connect(tmp_path / "cache" / STORE_NAME)) as database:
        assert database.execute("SELECT count(*) FROM pixels").fetchone() == (10,)
    images = sum(row.image.stat().st_size for row in manifest.rows)
    assert (tmp_path / "cache" / STORE_NAME).stat().st_size <= 0.1 * images


def test_a_store_of_the_first_format_is_replaced(lesions: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / STORE_NAME)) as database, database:
        database.execute("CREATE TABLE thumbnails (key TEXT PRIMARY KEY, pixels BLOB)")
        database.execute("INSERT INTO thumbnails VALUES ('1 0 rule digest', ?)", (b"secret" * 512,))
    manifest = load_manifest(lesions)
    assert_those_of(manifest, dataset_thumbnails(manifest, tmp_path)[1])
    assert b"secret" not in (tmp_path / STORE_NAME).read_bytes()


def test_another_intensity_rule_is_another_thumbnail(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    dataset_thumbnails(manifest, tmp_path)
    other = replace(manifest, spec=manifest.spec.model_copy(update={"intensity": "range"}))
    decoded: list[int] = []
    dataset_thumbnails(other, tmp_path, progress=lambda done, _: decoded.append(done))
    assert len(decoded) == len(manifest.rows)


def test_a_damaged_store_is_built_again(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    dataset_thumbnails(manifest, tmp_path)
    (tmp_path / STORE_NAME).write_bytes(b"no database" * 100)
    assert_those_of(manifest, dataset_thumbnails(manifest, tmp_path)[1])


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


@pytest.mark.usefixtures("all_kept")
def test_thumbnails_of_given_files_are_forgotten_without_a_trace(lesions: Path, tmp_path: Path) -> None:
    manifest = load_manifest(lesions)
    digests, stored = dataset_thumbnails(manifest, tmp_path)
    thumbnails = {number: stored.pixels(number) for number in (3, 4)}
    store = tmp_path / STORE_NAME
    assert all(thumbnails[n].tobytes()[:64] in store.read_bytes() for n in (3, 4))
    forget_thumbnails(tmp_path, [digests[3]])
    assert thumbnails[3].tobytes()[:64] not in store.read_bytes()
    assert bytes.fromhex(digests[3]) not in store.read_bytes()
    assert thumbnails[4].tobytes()[:64] in store.read_bytes()
    decoded: list[int] = []
    dataset_thumbnails(manifest, tmp_path, progress=lambda done, _: decoded.append(done))
    assert decoded == [1]
    store.write_bytes(b"no database" * 100)
    forget_thumbnails(tmp_path, digests)
    assert b"no database" not in store.read_bytes()
    store.unlink()
    forget_thumbnails(tmp_path, digests)
    assert not store.exists()
