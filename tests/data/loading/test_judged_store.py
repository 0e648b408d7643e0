"""What was compared is kept by content, privately, and without a trace of erased images; damaged it is absent."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from s4mi.data.loading import judged_store
from s4mi.data.loading.judged_store import FOLDER, ImageSet, JudgedSet, JudgedStore


def images(count: int, *, kind: bytes = b"kind", about: bytes = b"about", seed: int = 0) -> ImageSet:
    digests = np.random.default_rng(seed).integers(0, 256, (count, 16), dtype=np.uint8)
    return ImageSet(digests, np.arange(count, dtype=np.int32) // 2, kind, about)


def judged(of: ImageSet, pairs: list[tuple[int, int]], *, complete: bool = True) -> JudgedSet:
    first, second = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    similarity = np.linspace(0.9, 1, len(pairs))
    return JudgedSet(of, first, second, similarity, np.arange(len(pairs)) % 2 == 0, complete, "a note")


def assert_equal(one: JudgedSet | None, other: JudgedSet) -> None:
    assert one is not None
    assert (one.images.key, one.complete, one.note) == (other.images.key, other.complete, other.note)
    for name in ("first", "second", "similarity", "same"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def files(cache: Path) -> list[Path]:
    return sorted((cache / FOLDER).iterdir())


def test_what_was_put_is_found_again_for_the_same_images_only(tmp_path: Path) -> None:
    store, of = JudgedStore(tmp_path), images(9)
    assert store.get(of) is None
    store.put(judged(of, [(0, 3), (2, 8)]))
    assert_equal(store.get(of), judged(of, [(0, 3), (2, 8)]))
    for other in (images(9, seed=1), images(9, kind=b"x"), images(9, about=b"x"), images(8)):
        assert store.get(other) is None
    assert [len(one.images.digests) for one in store.others(images(5))] == [9]
    assert list(store.others(images(5, kind=b"x"))) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    JudgedStore(tmp_path / "cache").put(judged(images(4), [(0, 2)]))
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / FOLDER).stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path / "cache")] == [0o600]


def test_a_damaged_file_counts_as_absent_and_is_replaced(tmp_path: Path) -> None:
    store, of = JudgedStore(tmp_path), images(20)
    whole = judged(of, [(0, 3), (2, 18)])
    store.put(whole)
    (path,) = files(tmp_path)
    contents = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(contents)
        where = int(generator.integers(len(damaged)))
        damaged[where] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged[: where + 1] if generator.random() < 0.3 else damaged)
        found = store.get(of)
        if found is not None:  # what is damaged does not matter, such as a date
            assert_equal(found, whole)
    for broken in (b"", b"no archive", contents[: len(contents) // 2]):
        path.write_bytes(broken)
        assert store.get(of) is None
        assert list(store.others(images(3))) == []
    store.put(whole)
    assert_equal(store.get(of), whole)


def test_pairs_of_images_that_are_not_there_are_not_believed(tmp_path: Path) -> None:
    store, of = JudgedStore(tmp_path), images(4)
    for pairs in ([(0, 4)], [(-1, 2)], [(2, 2)], [(3, 1)]):
        store.put(judged(of, pairs))
        assert store.get(of) is None


def test_erased_images_leave_no_trace_and_the_pairs_of_others_stay(tmp_path: Path) -> None:
    store, of = JudgedStore(tmp_path), images(6)
    store.put(judged(of, [(0, 1), (0, 3), (2, 4), (4, 5)]))
    other = images(3, seed=9)
    store.put(judged(other, [(0, 1)]))
    store.forget([of.digests[0].tobytes().hex(), of.digests[5].tobytes().hex()])
    assert all(of.digests[n].tobytes() not in path.read_bytes() for path in files(tmp_path) for n in (0, 5))
    assert store.get(of) is None
    rest = next(one for one in store.others(of) if len(one.images.digests) == 4)
    np.testing.assert_array_equal(rest.images.digests, of.digests[1:5])
    assert list(zip(rest.first.tolist(), rest.second.tolist(), strict=True)) == [(1, 3)]
    assert_equal(store.get(other), judged(other, [(0, 1)]))
    store.forget(digest.tobytes().hex() for digest in (*of.digests, *other.digests))
    assert files(tmp_path) == []


def test_a_damaged_file_is_removed_by_an_erasure_as_nobody_can_tell_what_it_holds(tmp_path: Path) -> None:
    store, of = JudgedStore(tmp_path), images(6)
    store.put(judged(of, [(0, 1)]))
    files(tmp_path)[0].write_bytes(files(tmp_path)[0].read_bytes()[:-40])
    store.forget([])
    assert files(tmp_path) == []


def test_the_newest_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_store, "MOST_FILES", 3)
    store = JudgedStore(tmp_path)
    for seed in range(5):
        of = images(4, seed=seed)
        store.put(judged(of, [(0, 1)]))
        os.utime(tmp_path / FOLDER / f"{of.key}.npz", (seed, seed))
    assert [store.get(images(4, seed=seed)) is not None for seed in range(5)] == [False, False, True, True, True]


def test_a_full_or_read_only_disk_is_said_and_nothing_else_happens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    JudgedStore(tmp_path).put(judged(images(4), [(0, 1)]))
    assert "cannot keep which images were compared" in caplog.text
    assert JudgedStore(tmp_path).get(images(4)) is None
