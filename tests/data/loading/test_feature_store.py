"""The feature store on disk: what is read is what was added, whatever happened in between."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from s4mi.data.loading.feature_shard import Features, Ids, pixel_ids, shard_images
from s4mi.data.loading.feature_store import FeatureFolder
from s4mi.errors import S4miError

INFO = {"extractor": "drawn"}


def drawn(count: int, *, first: int = 0) -> tuple[Ids, Features]:
    """Ids and features of images by their number."""
    numbers = range(first, first + count)
    ids = np.array([hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in numbers], dtype="S16")
    pooled = np.stack([np.random.default_rng(n).normal(size=24).astype(np.float16) for n in numbers])
    maps = np.stack([np.random.default_rng(n).normal(size=(4, 3, 3)).astype(np.float16) for n in numbers])
    return ids, {"pooled": pooled, "tokens_0": maps}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def filled(folder: Path, *, shards: int = 3, images: int = 10) -> FeatureFolder:
    store = FeatureFolder(folder, INFO)
    with store.adding():
        for number in range(shards):
            store.add(*drawn(images, first=number * images))
    return store


def test_features_are_read_as_they_were_added_in_any_order(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    ids, features = drawn(30)
    order = np.random.default_rng(0).permutation(30)
    found, read = FeatureFolder(tmp_path / "store", INFO).read(ids[order])
    assert found.all()
    for name, expected in features.items():
        assert read[name].dtype == np.float16
        np.testing.assert_array_equal(read[name], expected[order])


def test_an_id_asked_for_twice_is_read_twice_and_an_unknown_one_not(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    ids, features = drawn(40)
    asked = np.array([3, 35, 3, 12])
    found, read = store.read(ids[asked])
    assert found.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(read["pooled"], features["pooled"][[3, 3, 12]])


def test_shards_are_safetensors_with_the_ids(tmp_path: Path) -> None:
    filled(tmp_path / "store", shards=1)
    (path,) = (tmp_path / "store").glob("*.safetensors")
    ids, features = drawn(10)
    tensors = load_file(path)
    assert tensors["ids"].tobytes() == ids.tobytes()
    np.testing.assert_array_equal(tensors["tokens_0"], features["tokens_0"])


def test_ids_that_end_in_zero_bytes_are_told_apart(tmp_path: Path) -> None:
    ids = np.array([b"a" * 15 + b"\0", b"a" * 14 + b"\0\0", b"\0" * 16], dtype="S16")
    store = FeatureFolder(tmp_path / "store", INFO)
    with store.adding():
        store.add(ids, {"pooled": np.arange(3, dtype=np.float16)[:, None]})
    found, read = FeatureFolder(tmp_path / "store", INFO).read(ids[[2, 0, 1]])
    assert found.all()
    assert read["pooled"].ravel().tolist() == [2, 0, 1]


def test_ids_are_those_of_equal_pixels_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    images[2] = images[0]
    changed = images.copy()
    changed[1, 0, 0, 0] ^= 1
    ids = pixel_ids(images)
    assert ids[0] == ids[2]
    assert len(set(ids.tolist())) == 3
    assert (pixel_ids(changed) == ids).tolist() == [True, False, True, True]
    assert pixel_ids(images.reshape(4, 4, 9, 3))[0] != ids[0]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header", "ids"])
def test_a_damaged_shard_counts_as_missing_and_is_made_again(tmp_path: Path, damage: str) -> None:
    filled(tmp_path / "store")
    before = contents(tmp_path / "store")
    ids, features = drawn(30)
    name = next(path for path in before if path.endswith(".safetensors"))
    path, raw = tmp_path / "store" / name, bytearray(before[name])
    where = {"flip": len(raw) - 2, "header": 20, "ids": raw.find(load_file(path)["ids"].tobytes())}
    if damage in where:
        raw[where[damage]] ^= 1
    path.write_bytes({"cut": bytes(raw[:-10]), "empty": b""}.get(damage, bytes(raw)))
    store = FeatureFolder(tmp_path / "store", INFO)
    found, read = store.read(ids)
    assert found.sum() == 20
    np.testing.assert_array_equal(read["pooled"], features["pooled"][found])
    with store.adding():
        missing = np.flatnonzero(~store.stored(ids))
        store.add(ids[missing], {key: array[missing] for key, array in features.items()})
    assert contents(tmp_path / "store") == before
    assert store.read(ids)[0].all()


def test_a_shard_added_by_another_process_is_found(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", shards=1)
    ids, _ = drawn(20)
    assert store.stored(ids).sum() == 10
    other = FeatureFolder(tmp_path / "store", INFO)
    with other.adding():
        other.add(*drawn(10, first=10))
    assert store.stored(ids).all()


def test_the_second_to_add_waits_for_the_first(tmp_path: Path) -> None:
    events = []

    def add() -> None:
        with FeatureFolder(tmp_path / "store", INFO).adding():
            events.append("second")

    with FeatureFolder(tmp_path / "store", INFO).adding():
        thread = threading.Thread(target=add)
        thread.start()
        time.sleep(0.2)
        events.append("first")
    thread.join(10)
    assert events == ["first", "second"]


def test_a_full_disk_is_one_line_and_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "store", shards=1)
    before = contents(tmp_path / "store")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(S4miError, match=r"the disk is full; free some space") as error, store.adding():
        store.add(*drawn(10, first=10))
    assert "\n" not in str(error.value)
    assert contents(tmp_path / "store") == before


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(S4miError, match=r"cannot store features \(.*\); set data.cache"):
        filled(tmp_path / "file" / "store")


def test_a_folder_that_an_erasure_removed_meanwhile_is_one_line_and_made_again(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", shards=1)
    with store.adding():
        shutil.rmtree(tmp_path / "store")
        with pytest.raises(S4miError, match=r"removed meanwhile, .* run the same command again"):
            store.add(*drawn(10, first=10))
    again = filled(tmp_path / "store")
    assert again.read(drawn(30)[0])[0].all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_read(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    (tmp_path / "store").chmod(0o555)
    assert FeatureFolder(tmp_path / "store", INFO).read(drawn(30)[0])[0].all()


def test_reading_a_few_images_does_not_read_the_store(tmp_path: Path) -> None:
    store = FeatureFolder(tmp_path / "store", INFO)
    large = np.zeros((64, 256, 256), dtype=np.float16)  # 8 MB
    ids, _ = drawn(64)
    with store.adding():
        store.add(ids, {"tokens_0": large})
    reader = FeatureFolder(tmp_path / "store", INFO)
    tracemalloc.start()
    reader.read(ids[:2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(("size", "expected"), [(768, 256), (2**20, 64), (2**22, 32), (2**26, 32)])
def test_shards_are_whole_batches_of_bounded_size(size: int, expected: int) -> None:
    assert shard_images(size, batch=32) == expected


FILL = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_feature_store import INFO, drawn
from s4mi.data.loading.feature_store import FeatureFolder
import numpy as np
store = FeatureFolder(Path(sys.argv[1]), INFO)
ids, features = drawn(200)
print("ready", flush=True)
with store.adding():
    missing = np.flatnonzero(~store.stored(ids))
    for start in range(0, len(missing), 10):
        chunk = missing[start : start + 10]
        store.add(ids[chunk], {{name: array[chunk] for name, array in features.items()}})
        time.sleep(0.002)
"""


@pytest.mark.slow
def test_killed_ten_times_the_store_equals_an_undisturbed_one_to_the_byte(tmp_path: Path) -> None:
    program = [sys.executable, "-c", FILL.format(tests=str(Path(__file__).parent))]
    subprocess.run([*program, tmp_path / "undisturbed"], check=True, stdout=subprocess.DEVNULL)
    generator, killed = np.random.default_rng(0), 0
    for _ in range(10):
        process = subprocess.Popen([*program, tmp_path / "killed"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(generator.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        killed += process.returncode == -signal.SIGKILL
    (tmp_path / "killed").mkdir(exist_ok=True)
    (tmp_path / "killed" / ".adding-leftover.safetensors").write_bytes(b"half")
    subprocess.run([*program, tmp_path / "killed"], check=True, stdout=subprocess.DEVNULL)
    assert killed > 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_processes_at_once_write_what_one_writes(tmp_path: Path) -> None:
    program = [sys.executable, "-c", FILL.format(tests=str(Path(__file__).parent))]
    subprocess.run([*program, tmp_path / "one"], check=True, stdout=subprocess.DEVNULL)
    both = [subprocess.Popen([*program, tmp_path / "two"], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
