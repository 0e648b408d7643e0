"""Which images are the same: rates of true and false alarms by modality, and one answer for all who ask (A18)."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Command
from made_modalities import COPIES, MODALITIES, chest, jpeg
from s4mi.config import RunConfig
from s4mi.data.checks.check import check_path
from s4mi.data.copies import Copy, find_copies
from s4mi.data.detail import detail, detail_correlation
from s4mi.data.duplicates import near_duplicates
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.second_look import FEWEST, MIN_DETAIL, SecondLook
from s4mi.data.spec import DatasetSpec
from s4mi.data.thumbnails import thumbnail
from s4mi.errors import S4miError
from s4mi.recipes.split import split_dataset
from s4mi.training.prepare import prepare

FEW, MANY = 16, 60
"""Images of a set of the fast and of the slow test."""


def found(images: list[Pixels]) -> set[tuple[int, int]]:
    look = SecondLook(lambda number: images[number], len(images))
    pairs = near_duplicates(np.stack([thumbnail(image) for image in images]), same=look.same)
    return {(pair.first, pair.second) for pair in pairs}


def rates(draw: Callable[[int], Pixels], change: Callable[[Pixels], Pixels], count: int) -> tuple[float, int]:
    """Share of copies that are found among look-alikes, and number of pairs of different images that are found."""
    images = [draw(seed) for seed in range(count)]
    copied = range(0, count, 2)
    pairs = found(images + [change(images[n]) for n in copied])
    planted = {(n, count + k) for k, n in enumerate(copied)}
    return len(pairs & planted) / len(planted), len(pairs - planted)


@pytest.mark.long
@pytest.mark.parametrize("change", COPIES)
@pytest.mark.parametrize("kind", MODALITIES)
def test_copies_are_found_and_look_alikes_are_not(kind: str, change: str) -> None:
    assert rates(MODALITIES[kind], COPIES[change], FEW) == (1.0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODALITIES)
def test_among_many_look_alikes(kind: str) -> None:
    for change in COPIES.values():
        assert rates(MODALITIES[kind], change, MANY) == (1.0, 0)


def test_what_patients_positioned_alike_share_is_not_their_own() -> None:
    """Ribs alone pass for the same image; the mean of the set knows them."""
    films = [chest(seed, 0.2) for seed in range(FEWEST + 4)]
    one, other = films[:2]
    assert detail_correlation(detail(one), detail(other)) > MIN_DETAIL
    assert not SecondLook(lambda number: films[number], len(films)).same(0, 1)
    few = films[:4]
    assert SecondLook(lambda number: few[number], len(few)).same(0, 1), "too few to know what they share"


def test_a_set_of_copies_of_one_image_is_not_taken_for_its_kind() -> None:
    """Their mean is the image itself, so that what is left of each without it is noise."""
    film = chest(0)
    images = [jpeg(film, quality) for quality in range(40, 40 + FEWEST + 6)]
    count = len(images)
    assert found(images) == {(one, other) for one in range(count) for other in range(one + 1, count)}


def dataset(folder: Path, *, different: tuple[tuple[str, str], ...] = ()) -> Path:
    """Twelve look-alike films, of which one occurs twice as the same file, and once as a copy."""
    films = [chest(seed, 0.2) for seed in range(12)]
    named = {f"film{n}": film for n, film in enumerate(films)} | {"same": films[3], "copy": jpeg(films[5], 60)}
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, (name, pixels) in enumerate(named.items()):
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
        part = "test" if name in ("same", "copy") else "train" if number % 5 else "val"
        rows.append(Row(name, folder / "images" / f"{name}.png", None, ("xy"[number % 2],), None, part, 0))
    spec = DatasetSpec(name="films", tasks=("multiclass",), classes=("x", "y"), different=different)
    write_dataset(folder, spec, rows)
    return folder


def test_one_function_tells_identical_files_and_copies(tmp_path: Path) -> None:
    manifest = load_manifest(dataset(tmp_path / "films"))
    digests = [row.image.read_bytes() for row in manifest.rows]
    thumbnails = np.stack([thumbnail(np.asarray(Image.open(row.image))) for row in manifest.rows])

    def copies(**more: object) -> list[tuple[int, int, bool]]:
        every = find_copies(
            manifest.rows, digests=more.pop("digests", digests), thumbnails=thumbnails, intensity=Intensity(),  # type: ignore[arg-type]
            different=more.pop("different", ()), **more,  # type: ignore[arg-type]
        )  # fmt: skip
        assert all(isinstance(copy, Copy) for copy in every)
        return [(copy.first, copy.second, copy.exact) for copy in every]

    assert copies() == [(3, 12, True), (5, 13, False)]
    assert copies(different=[("copy", "film5")]) == [(3, 12, True)]
    assert copies(parts=["a"] * 14) == []
    assert copies(parts=["a"] * 12 + ["b", None]) == [(3, 12, True)]
    assert copies(digests=[None if n == 12 else digest for n, digest in enumerate(digests)]) == [(5, 13, False)]


def test_check_split_and_training_name_the_same_pairs(
    tmp_path: Path, s4mi: Command, quick: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    folder, cache = dataset(tmp_path / "films"), tmp_path / "cache"
    manifest = load_manifest(folder)
    (report,) = check_path(folder)
    codes = ("duplicate-across-splits", "near-duplicate-across-splits")
    checked = {frozenset(finding.rows) for finding in report.findings if finding.code in codes}
    lines = [row.line for row in manifest.rows]
    assert checked == {frozenset({lines[3], lines[12]}), frozenset({lines[5], lines[13]})}
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        allowed = split_dataset(folder, division=None, allow_leakage=True, cache=cache)
    assert "the split leaks, as --allow-leakage permits" in caplog.text
    assert {frozenset({lines[leak.first], lines[leak.second]}) for leak in allowed.leaks} == checked
    method = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
    trained = prepare(quick(folder, method, data={"allow_leakage": True}))
    assert trained.leaks == allowed.leaks
    messages = []
    for refused in (
        lambda: split_dataset(folder, division=None, cache=cache),
        lambda: prepare(quick(folder, method)),
    ):
        with pytest.raises(S4miError) as caught:
            refused()
        messages.append(str(caught.value))
    assert messages[0].partition("; ")[0] == messages[1].partition("; ")[0]
    assert messages[0].endswith("--allow-leakage")
    assert messages[1].endswith("data.allow_leakage=true")
    done = s4mi("data", "split", folder, "--show", "--cache", cache)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = s4mi("data", "split", folder, "--show", "--cache", cache, "--allow-leakage")
    assert done.returncode == 0
