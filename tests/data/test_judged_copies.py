"""Pairs are judged once: with what is kept the verdicts are the same, and only new images are looked at."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s4mi.data import judged_copies
from s4mi.data.checks.check import check_path
from s4mi.data.copies import Copy, find_copies
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.judged_copies import judge
from s4mi.data.loading.judged_store import FOLDER, ImageSet, JudgedSet, JudgedStore
from s4mi.data.loading.thumbnail_store import dataset_digests
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.spec import DatasetSpec
from s4mi.data.thumbnails import Thumbnails, in_memory, thumbnail
from s4mi.recipes.split import split_dataset

LESIONS = [drawing.image for drawing in draw_lesions(12, size=64, seed=5)]


def saved(image: Pixels, quality: int) -> Pixels:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


IMAGES = [*LESIONS, *(saved(image, 80) for image in LESIONS[:6]), *(saved(image, 60) for image in LESIONS[:3])]
"""12 images; of the first six a copy, and of the first three another."""
ALIKE = {
    (i, j) for k in range(6) for of in [[k, 12 + k, *([18 + k] if k < 3 else [])]] for i in of for j in of if i < j
}


def image_set(numbers: list[int], *, relations: list[int] | None = None, about: bytes = b"") -> ImageSet:
    digests = np.array([[number] * 16 for number in numbers], dtype=np.uint8)
    return ImageSet(digests, np.array(relations or [-1] * len(numbers), dtype=np.int32), b"kind", about)


class Watched:
    """Judges some of `IMAGES`, and notes what was looked at."""

    def __init__(self, cache: Path) -> None:
        self.store, self.asked, self.looked = JudgedStore(cache), 0, set[tuple[int, int]]()

    def __call__(self, numbers: list[int], **more: object) -> set[tuple[int, int]]:
        self.looked.clear()

        def thumbnails() -> Thumbnails:
            self.asked += 1
            return in_memory(np.stack([thumbnail(IMAGES[n]) for n in numbers]))

        def same(one: int, other: int) -> bool:
            self.looked.add((numbers[one], numbers[other]))
            return True

        found = judge(image_set(numbers, **more), thumbnails, same, store=self.store)  # type: ignore[arg-type]
        return {(numbers[i], numbers[j]) for i, j in zip(found.first.tolist(), found.second.tolist(), strict=True)}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_what_is_kept_is_not_looked_at_again(watched: Watched) -> None:
    everything = [*range(len(IMAGES))]
    assert watched(everything) == watched.looked == ALIKE
    assert watched(everything) == ALIKE
    assert (watched.asked, watched.looked) == (1, set())


def test_of_more_images_only_pairs_with_a_new_one_are_searched(watched: Watched) -> None:
    some = [*range(18)]
    watched(some)
    assert watched([*range(len(IMAGES))]) == ALIKE
    assert watched.looked == {pair for pair in ALIKE if pair[1] >= 18}
    asked = watched.asked
    assert watched([5, 0, 17, 12]) == {(5, 17), (0, 12)}, "in any order, and fewer"
    assert (watched.asked, watched.looked) == (asked, set())


def test_in_another_set_similar_pairs_are_looked_at_again(watched: Watched) -> None:
    watched([*range(12)], about=b"one")
    watched([*range(15)], about=b"one")
    assert watched([*range(18)], about=b"other") == {pair for pair in ALIKE if pair[1] < 18}
    assert watched.looked == {pair for pair in ALIKE if pair[1] < 18}


def test_images_of_one_patient_are_not_compared_until_they_are_of_two(watched: Watched) -> None:
    numbers = [0, 1, 12, 13, 18, 19]
    together = [7, 8, 7, 8, -1, 8]
    assert watched(numbers, relations=together) == {(0, 18), (12, 18)}
    assert watched(numbers, relations=[7, 8, 7, 8, 7, 8]) == set()
    assert watched(numbers, relations=[1, 2, 3, 4, 5, 6]) == {pair for pair in ALIKE if {*pair} <= {*numbers}}
    assert watched(numbers, relations=[1, 2, -1, 4, 1, 6]) == {pair for pair in ALIKE if {*pair} <= {*numbers}} - {
        (0, 18)
    }


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, len(IMAGES) - 1), min_size=2), st.integers(0, 99)), min_size=2, max_size=5
    )
)
def test_whatever_was_judged_before_the_pairs_are_those_of_a_fresh_search(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[set[int], int]]
) -> None:
    watched = Watched(tmp_path_factory.mktemp("cache"))
    for numbers, seed in history:
        relations = np.random.default_rng(seed).integers(-1, 3, len(numbers)).tolist()
        order = np.random.default_rng(seed).permutation(sorted(numbers)).tolist()
        code = dict(zip(order, relations, strict=True))
        expected = {(i, j) for i, j in ALIKE if {i, j} <= numbers and (code[i] != code[j] or code[i] < 0)}
        found = watched(order, relations=relations)
        assert {tuple(sorted(pair)) for pair in found} == expected


def test_a_killed_search_goes_on_with_the_verdicts_it_had(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_copies, "KEPT_AFTER", 0.0)
    everything = [*range(len(IMAGES))]
    images = image_set(everything)
    put, kept = JudgedStore.put, list[JudgedSet]()

    def killed(self: JudgedStore, judged: JudgedSet) -> None:
        put(self, judged)
        kept.append(judged)
        if len(kept) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(JudgedStore, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        watched(everything)
    assert not kept[-1].complete
    begun = set(zip(kept[-1].first.tolist(), kept[-1].second.tolist(), strict=True))
    assert watched(everything) == ALIKE
    assert watched.looked == ALIKE - begun
    assert 0 < len(begun) < len(ALIKE)
    found = watched.store.get(images)
    assert found is not None
    assert found.complete


def test_a_damaged_file_changes_no_verdict(watched: Watched, tmp_path: Path) -> None:
    everything = [*range(len(IMAGES))]
    watched(everything)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    assert watched(everything) == ALIKE
    assert watched(everything) == ALIKE
    assert watched.looked == set(), "the file was repaired"


def dataset(folder: Path, parts: list[str | None], groups: list[str | None]) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, pixels in enumerate([*IMAGES, IMAGES[4], IMAGES[5]]):
        Image.fromarray(pixels).save(folder / "images" / f"{number:02}.png")
        rows.append(Row(f"{number:02}", folder / "images" / f"{number:02}.png", None, ("xy"[number % 2],),
                        groups[number], parts[number], 0))  # type: ignore[arg-type]  # fmt: skip
    write_dataset(folder, DatasetSpec(name="set", tasks=("multiclass",), classes=("x", "y")), rows)
    return folder


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 999), st.booleans())
def test_with_and_without_a_cache_the_same_copies_are_found(
    tmp_path_factory: pytest.TempPathFactory, seed: int, in_parts: bool
) -> None:
    """Groups stay on one side, as in every split; identical files in two parts stand for themselves in each."""
    generator = np.random.default_rng(seed)
    count = len(IMAGES) + 2
    groups = [None if n < 0 else f"p{n}" for n in generator.integers(-3, 8, count).tolist()]
    part_of = {f"p{n}": "ab"[int(generator.integers(2))] for n in range(8)}
    parts = [part_of[group] if group else "ab"[int(generator.integers(2))] for group in groups] if in_parts else None
    rows = [Row(str(n), Path(f"{n}.png"), None, ("x",), groups[n], None, n) for n in range(count)]
    pixels = [*IMAGES, IMAGES[4], IMAGES[5]]
    digests = [f"{n:032x}" for n in [*range(len(IMAGES)), 4, 5]]
    thumbnails = np.stack([thumbnail(one) for one in pixels])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s4mi.data.copies.read_for", lambda path, *_: pixels[int(path.stem)])

        def copies(cache: Path | None) -> list[Copy]:
            return find_copies(
                rows, digests=digests, thumbnails=thumbnails, intensity=Intensity(), different=[("0", "12")],
                parts=parts, cache=cache,
            )  # fmt: skip

        def asked(found: list[Copy]) -> list[Copy]:
            return [one for one in found if one.exact or parts is not None or not groups[one.first]
                    or groups[one.first] != groups[one.second]]  # fmt: skip

        cache = tmp_path_factory.mktemp("cache")
        fresh = copies(None)
        assert asked(copies(cache)) == asked(copies(cache)) == asked(fresh)
        assert any(not one.exact for one in fresh)


def test_check_split_and_training_share_their_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(IMAGES) + 2
    folder = dataset(tmp_path / "set", [("train", "val", "test")[n % 3] for n in range(count)], [None] * count)
    cache = tmp_path / "cache"
    plain = check_path(folder)
    assert check_path(folder, cache=cache) == plain
    looks: list[object] = []
    monkeypatch.setattr("s4mi.data.second_look.SecondLook.same", lambda *a: looks.append(a))
    monkeypatch.setattr("s4mi.data.loading.thumbnail_store._describe", lambda *a, **_: looks.append(a))
    assert check_path(folder, cache=cache) == plain
    split = split_dataset(folder, division=None, allow_leakage=True, cache=cache)
    assert any(leak.kind == "near" for leak in split.leaks)
    assert looks == []
    manifest = load_manifest(folder)
    assert dataset_digests(manifest, cache)[4] == dataset_digests(manifest, cache)[count - 2]


def test_a_check_that_sketches_on_its_way_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(IMAGES) + 2
    folder = dataset(tmp_path / "set", [None] * count, [None] * count)
    plain = check_path(folder)
    monkeypatch.setattr("s4mi.data.checks.scan.NORMALISED_IMAGES", 1)
    monkeypatch.setattr("s4mi.data.duplicates.NORMALISED_IMAGES", 1)
    monkeypatch.setattr("s4mi.data.sketches._of_file", None)  # no file is read for it
    assert check_path(folder) == check_path(folder, cache=tmp_path / "cache") == plain


def test_a_check_goes_on_where_the_cache_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    count = len(IMAGES) + 2
    folder = dataset(tmp_path / "set", [None] * count, [None] * count)
    (tmp_path / "file").write_text("no folder")
    assert check_path(folder, cache=tmp_path / "file" / "cache") == check_path(folder)
    assert "cannot keep hashes and thumbnails" in caplog.text


TWO = """
import sys
from pathlib import Path
from s4mi.data.checks.check import check_path
from s4mi.recipes.split import split_dataset
folder, cache = map(Path, sys.argv[1:])
(report,) = check_path(folder, cache=cache)
leaks = split_dataset(folder, division=None, allow_leakage=True, cache=cache).leaks
print(len(report.findings), [(leak.kind, leak.first, leak.second) for leak in leaks])
"""


@pytest.mark.long
def test_two_processes_at_once_find_what_one_finds(tmp_path: Path) -> None:
    count = len(IMAGES) + 2
    folder = dataset(tmp_path / "set", [("train", "val", "test")[n % 3] for n in range(count)], [None] * count)
    (report,) = check_path(folder)
    leaks = split_dataset(folder, division=None, allow_leakage=True, cache=tmp_path / "alone").leaks
    expected = f"{len(report.findings)} {[(leak.kind, leak.first, leak.second) for leak in leaks]}"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(folder), str(tmp_path / "cache")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [one.communicate()[0].strip() for one in both] == [expected, expected]
    assert [path.suffix for path in (tmp_path / "cache" / FOLDER).iterdir()] == [".npz"]


def test_of_several_patients_an_image_is_compared_with_all(tmp_path: Path) -> None:
    """A file that is listed under two patients is a copy of those of either."""
    groups: list[str | None] = [None] * (len(IMAGES) + 2)
    groups[4], groups[-2], groups[16] = "a", "b", "b"
    folder = dataset(tmp_path / "set", [None for _ in groups], groups)
    for cache in (None, tmp_path / "cache"):
        (report,) = check_path(folder, cache=cache)
        assert any("16.png" in one.message and "04.png" in one.message for one in report.findings)
