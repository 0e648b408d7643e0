"""The drawn data sets: the same for the same seed, true to their labels and masks, and not too easy."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from s4mi.data.images import read_image
from s4mi.data.manifest import read_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources import synthetic, synthetic_cells
from s4mi.data.sources.synthetic import Drawing, Kind, draw_cells, draw_lesions, write_synthetic
from s4mi.errors import S4miError

Draw = Callable[..., Iterator[Drawing]]
KINDS: dict[Kind, Draw] = {"lesions": draw_lesions, "cells": draw_cells}
both = pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS.keys())
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def lesions() -> list[Drawing]:
    return list(draw_lesions(240, size=64, seed=1))


@pytest.fixture(scope="module")
def cells() -> list[Drawing]:
    return list(draw_cells(150, size=64, seed=1))


def same(one: Drawing, other: Drawing) -> bool:
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
        and (one.labels, one.group) == (other.labels, other.group)
    )


def of_class(drawings: list[Drawing], name: str) -> list[Drawing]:
    return [drawing for drawing in drawings if name in drawing.labels]


def inside(drawing: Drawing) -> float:
    return float((drawing.mask > 0).mean())


def border_irregularity(drawing: Drawing) -> float:
    """Perimeter² / (4π area): 1 for a disc."""
    (outline,) = cv2.findContours(drawing.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return float(cv2.arcLength(outline, True) ** 2 / (4 * np.pi * cv2.contourArea(outline)))


def effect_size(high: list[float], low: list[float]) -> float:
    """Cohen's d."""
    return float((np.mean(high) - np.mean(low)) / np.sqrt((np.var(high) + np.var(low)) / 2))


@both
def test_the_same_seed_draws_the_same_pixels(draw: Draw) -> None:
    assert all(same(one, other) for one, other in zip(draw(6, size=48), draw(6, size=48), strict=True))


@both
def test_a_longer_drawing_begins_with_the_shorter_one(draw: Draw) -> None:
    longer = list(draw(15, size=48, seed=3))
    assert all(same(one, other) for one, other in zip(draw(7, size=48, seed=3), longer[:7], strict=True))


@both
def test_drawing_two_sets_in_turns_changes_neither(draw: Draw) -> None:
    alone = list(draw(5, size=48, seed=3))
    in_turns = [pair[0] for pair in zip(draw(5, size=48, seed=3), draw(5, size=48, seed=4), strict=True)]
    assert all(same(one, other) for one, other in zip(alone, in_turns, strict=True))


@both
def test_another_seed_draws_other_pixels(draw: Draw) -> None:
    assert not any(
        np.array_equal(one.image, other.image)
        for one, other in itertools.product(draw(5, size=48, seed=0), draw(5, size=48, seed=1))
    )


@both
@pytest.mark.parametrize("size", [32, 45, 160])
def test_images_and_masks_have_the_size_asked_for(draw: Draw, size: int) -> None:
    for drawing in draw(5, size=size):
        assert drawing.image.shape == (size, size, 3)
        assert drawing.mask.shape == (size, size)
        assert drawing.image.dtype == drawing.mask.dtype == np.uint8
        assert set(np.unique(drawing.mask)) <= {0, 255}


@both
@pytest.mark.parametrize("wrong", [{"size": 31}, {"size": 0}, {"count": 0}, {"seed": -1}], ids=str)
def test_a_number_out_of_range_is_refused_at_once_and_named(draw: Draw, wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(S4miError, match=rf"{name} must be at least \d+ \(given {wrong[name]}\)$"):
        draw(**{"count": 3, **wrong})


@both
def test_patients_have_one_to_four_images_in_a_row(draw: Draw) -> None:
    groups = [drawing.group for drawing in draw(60, size=32)]
    runs = [len(list(run)) for _, run in itertools.groupby(groups)]
    assert len(runs) == len(set(groups))
    assert set(runs[:-1]) == {1, 2, 3, 4}  # the last patient may be cut short


@pytest.mark.long
def test_images_of_a_patient_share_their_skin(lesions: list[Drawing]) -> None:
    """Analysis of variance of the skin's colour: patients differ more than the images of one patient do."""
    by_patient: dict[str, list[float]] = {}
    for drawing in lesions:
        red, _, blue = drawing.image[drawing.mask == 0].mean(axis=0)
        by_patient.setdefault(drawing.group, []).append(float(red / blue))
    within = np.mean([np.var(values, ddof=1) for values in by_patient.values() if len(values) > 1])
    between = np.var([np.mean(values) for values in by_patient.values()])
    assert between > 3 * within


def test_every_lesion_has_one_class_and_classes_come_as_often_as_planned(lesions: list[Drawing]) -> None:
    shares = Counter(drawing.labels for drawing in lesions)
    planned = {("nevus",): 0.50, ("melanoma",): 0.28, ("seborrheic_keratosis",): 0.22}
    assert shares.keys() == planned.keys()
    for labels, share in planned.items():
        deviation = np.sqrt(share * (1 - share) / len(lesions))
        assert abs(shares[labels] / len(lesions) - share) < 3.5 * deviation


@pytest.mark.parametrize("size", [32, 64])
def test_every_lesion_is_one_connected_region_neither_tiny_nor_filling_the_image(size: int) -> None:
    for drawing in draw_lesions(80, size=size, seed=2):
        regions, _ = cv2.connectedComponents(drawing.mask)
        holes, _ = cv2.connectedComponents(np.pad(255 - drawing.mask, 1, constant_values=255), connectivity=4)
        assert (regions, holes) == (2, 2)  # each counts its background too
        assert 0.04 < inside(drawing) < 0.5


def test_melanomas_have_more_irregular_borders_than_nevi_but_not_all_of_them(lesions: list[Drawing]) -> None:
    melanoma = [border_irregularity(drawing) for drawing in of_class(lesions, "melanoma")]
    nevus = [border_irregularity(drawing) for drawing in of_class(lesions, "nevus")]
    assert effect_size(melanoma, nevus) > 0.8
    assert min(melanoma) < np.median(nevus)
    assert max(nevus) > np.median(melanoma)


def test_neither_size_nor_place_nor_darkness_tells_a_melanoma_from_a_nevus(lesions: list[Drawing]) -> None:
    def place(drawing: Drawing) -> float:
        return float(np.hypot(*(np.mean(np.nonzero(drawing.mask), axis=1) - 31.5)))

    def darkness(drawing: Drawing) -> float:
        return float(drawing.image[drawing.mask > 0].mean())

    for measure in (inside, place, darkness):
        of_melanoma = [measure(drawing) for drawing in of_class(lesions, "melanoma")]
        of_nevus = [measure(drawing) for drawing in of_class(lesions, "nevus")]
        assert abs(effect_size(of_melanoma, of_nevus)) < 0.45


def test_a_lesion_is_darker_than_its_skin_yet_a_threshold_does_not_find_it(lesions: list[Drawing]) -> None:
    overlaps = []
    for drawing in lesions:
        grey = cv2.cvtColor(drawing.image, cv2.COLOR_RGB2GRAY)
        _, bright = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
        found, true = bright == 0, drawing.mask > 0
        overlaps.append((found & true).sum() / (found | true).sum())
    assert 0.3 < np.mean(overlaps) < 0.7


def test_cells_have_no_label_exactly_when_there_is_no_nucleus(cells: list[Drawing]) -> None:
    empty = [drawing for drawing in cells if not drawing.labels]
    assert 0 < len(empty) < 0.12 * len(cells)
    assert all(bool(drawing.labels) == bool(drawing.mask.any()) for drawing in cells)
    assert all(inside(drawing) < 0.6 for drawing in cells)


def test_every_type_of_cell_is_in_a_plausible_share_of_the_images(cells: list[Drawing]) -> None:
    shares = Counter(name for drawing in cells for name in drawing.labels)
    assert shares.keys() == {"tfh_1", "tfh_217", "tfh_like", "b_cell", "other"}
    assert all(0.25 < share / len(cells) < 0.65 for share in shares.values())
    assert {len(drawing.labels) for drawing in cells} == {0, 1, 2, 3, 4}


def test_the_labels_of_cells_are_the_types_placed_and_each_nucleus_stays_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed: dict[int, str] = {}
    owners: list[np.ndarray] = []
    put = synthetic_cells._put_nucleus

    def spy(picture, owner, number, **arguments):
        done = put(picture, owner, number, **arguments)
        if done:
            placed[number] = next(name for name, kind in synthetic_cells.TYPES.items() if kind is arguments["kind"])
            owners[:] = [owner]
        return done

    monkeypatch.setattr(synthetic_cells, "_put_nucleus", spy)
    for drawing in draw_cells(30, size=96, seed=5):
        assert set(drawing.labels) == set(placed.values())
        if placed:
            assert set(np.unique(owners[0])) - {0} == placed.keys()
            assert np.array_equal(owners[0] > 0, drawing.mask > 0)
        placed.clear()


@each_kind
def test_a_written_set_loads_without_findings_and_reads_back_equal(kind: Kind, tmp_path: Path) -> None:
    written = write_synthetic(kind, tmp_path / "set", count=20, size=32, seed=5)
    read, findings = read_manifest(tmp_path / "set")
    assert findings == []
    assert read == written
    assert written.spec.name == f"synthetic-{kind}"
    assert written.spec.synthetic
    assert written.rows[7].id == ("lesion_0007" if kind == "lesions" else "cells_0007")
    for row, drawing in zip(written.rows, KINDS[kind](20, size=32, seed=5), strict=True):
        assert row.mask is not None
        assert (row.labels, row.group) == (drawing.labels, drawing.group)
        assert np.array_equal(read_image(row.image), drawing.image)
        assert np.array_equal(read_mask(row.mask, written.spec.mask_values), drawing.mask // 255)


def test_the_same_set_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_synthetic("cells", tmp_path, count=3, size=32)
    monkeypatch.setattr(synthetic, "_draw", lambda *_, **__: pytest.fail("drawn again"))
    assert write_synthetic("cells", tmp_path, count=3, size=32) == first


@pytest.mark.parametrize("other", [{"count": 4}, {"size": 33}, {"seed": 1}, {"kind": "lesions"}], ids=str)
def test_a_folder_with_another_set_is_refused_in_one_line_and_left_alone(tmp_path: Path, other: dict[str, int]) -> None:
    asked = {"kind": "cells", "count": 3, "size": 32, "seed": 0}
    write_synthetic(folder=tmp_path, **asked)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(S4miError, match="choose another folder or empty it") as error:
        write_synthetic(folder=tmp_path, **(asked | other))
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_with_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(S4miError, match="choose another folder or empty it"):
        write_synthetic("lesions", tmp_path, count=3, size=32)
    with pytest.raises(S4miError, match="choose another folder or empty it"):
        write_synthetic("lesions", tmp_path / "thesis.txt", count=3, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_drawing_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "write_dataset", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_synthetic("lesions", tmp_path, count=3, size=32)
    with pytest.raises(S4miError, match="does not contain 'drawn by s4mi"):
        write_synthetic("lesions", tmp_path, count=4, size=32)
    assert len(write_synthetic("lesions", tmp_path, count=3, size=32).rows) == 3
    assert not (tmp_path / synthetic.MARKER).exists()
