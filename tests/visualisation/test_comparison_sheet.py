"""A sheet compares runs on images that all of them were tested on, small objects and large ones."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import HIT, MISSED, WRONG, class_colour
from s4mi.inference.overlays.saliency import CELL, PAPER, RunOverlays, SaliencySheet
from s4mi.inference.run_model import RunModel
from s4mi.recipes.train import train
from s4mi.training.run_dir import RunDir
from s4mi.visualisation import comparison_sheet as module
from s4mi.visualisation.comparison_sheet import compare_sheet, write_compare_sheet

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Path:
    """Two segmentation runs of lesions with one split, one of cells, a classifier, and a run that is not finished."""
    folder = tmp_path_factory.mktemp("runs")
    shared = {"split": {"seed": 0}}
    train(quick(lesions, DEDL, epochs=2, **shared), folder / "all")
    train(quick(lesions, DEDL, epochs=1, label_fraction=50, seed=1, **shared), folder / "half")
    train(quick(cells, DEDL, epochs=1), folder / "cells")
    train(quick(lesions, TRANSFER, epochs=1), folder / "classifier")
    shutil.copytree(folder / "half", folder / "unfinished")
    (folder / "unfinished" / "record.json").unlink()
    return folder


@pytest.fixture
def manifest(lesions: Path) -> Manifest:
    return load_manifest(lesions)


class Seen(SaliencySheet):
    """What was put on a sheet, to be looked at without reading pixels."""

    last: "Seen"

    def __init__(self, titles: Any, columns: Any, **settings: Any) -> None:
        super().__init__(titles, columns, **settings)
        self.titles, self.settings, self.rows = list(titles), settings, []
        Seen.last = self

    def add(self, name: str, truth: str, pixels: Any, blocks: Any, mask: Any) -> None:
        super().add(name, truth, pixels, blocks, mask)
        self.rows.append((name, blocks))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> type[Seen]:
    monkeypatch.setattr(module, "SaliencySheet", Seen)
    return Seen


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as sheet:
        return sheet.size


def test_a_row_is_an_image_and_a_column_is_a_run(runs: Path, manifest: Manifest) -> None:
    one = size(compare_sheet([runs / "all"], manifest, part="test", images=2))
    two = size(compare_sheet([runs / "all", runs / "half"], manifest, part="test", images=2))
    high = size(compare_sheet([runs / "all"], manifest, part="test", images=4))
    assert two[0] - one[0] > CELL
    assert high[1] - one[1] > 2 * CELL
    assert high[0] == one[0]


def test_images_are_of_the_part_of_every_run_from_small_to_large(
    runs: Path, manifest: Manifest, seen: type[Seen]
) -> None:
    both = [runs / "all", runs / "half"]
    compare_sheet(both, manifest, part="test", images=4)
    names = [name for name, _ in seen.last.rows]
    by_id = {row.id: number for number, row in enumerate(manifest.rows)}
    for run in both:
        assert {by_id[name] for name in names} <= set(read_parts(RunDir(run).split_path, manifest)["test"])
    everyone = read_parts(RunDir(both[0]).split_path, manifest)["test"]
    masks = {manifest.rows[number].id: manifest.rows[number].mask for number in everyone}
    shares = {
        name: foreground_share(read_mask(mask, manifest.spec.mask_values)) for name, mask in masks.items() if mask
    }
    shown = [shares[name] for name in names]
    assert shown == sorted(shown)
    quarters = np.array_split(sorted(shares.values()), 4)
    for share, quarter in zip(shown, quarters, strict=True):  # one of each quarter, give or take a neighbour
        assert quarter[0] - 0.02 <= share <= quarter[-1] + 0.02


def test_below_a_prediction_is_its_iou(runs: Path, manifest: Manifest, seen: type[Seen]) -> None:
    compare_sheet([runs / "all"], manifest, part="test", images=3)
    predictor = RunModel(runs / "all")
    by_id = {row.id: row for row in manifest.rows}
    for name, (_, block) in seen.last.rows:
        row = by_id[name]
        assert row.mask is not None
        truth, predicted = read_mask(row.mask, manifest.spec.mask_values), predictor.mask(row.image)
        assert block.caption == f"IoU {jaccard_score(truth.ravel(), predicted.ravel()):.3f}"


def test_columns_are_called_by_technique_labels_and_network(
    runs: Path, manifest: Manifest, seen: type[Seen], tmp_path: Path
) -> None:
    compare_sheet([runs / "all", runs / "half"], manifest, part="test", images=1)
    assert [first for first, _ in seen.last.titles[1:]] == [seen.last.titles[1][0]] * 2
    assert [second.split(" · ")[0] for _, second in seen.last.titles[1:]] == ["100 %", "50 %"]
    shutil.copytree(runs / "all", tmp_path / "twin")
    compare_sheet([runs / "all", tmp_path / "twin"], manifest, part="test", images=1)
    assert [second for _, second in seen.last.titles[1:]] == ["100 % · all", "100 % · twin"]


def test_a_legend_names_every_colour_and_drawn_images_are_called_so(
    runs: Path, manifest: Manifest, seen: type[Seen]
) -> None:
    compare_sheet([runs / "all"], manifest, part="test", images=1)
    colours = [colour for colour, _ in seen.last.settings["legend"]]
    assert colours[:4] == [class_colour(1)[1], HIT, MISSED, WRONG]
    assert seen.last.settings["note"] == "The images are drawn, not photographed."


def test_of_several_foreground_classes_the_iou_is_their_mean() -> None:
    truth = np.array([[1, 1, 2, 2, 0, 255]], dtype=np.uint8)
    predicted = np.array([[1, 2, 2, 2, 0, 3]], dtype=np.uint8)
    classes = ("background", "a", "b", "c")  # a: 1/2, b: 2/3, c: in neither, as where it was said nothing is known
    assert module._iou(predicted, truth, classes) == f"IoU {(1 / 2 + 2 / 3) / 2:.3f}"
    empty = np.zeros((1, 6), dtype=np.uint8)
    assert module._iou(empty, empty, classes) == "IoU –"
    assert module.mask_legend(classes)[-2][1] == "found where nothing is, or as another class"


def test_the_file_is_the_sheet_and_the_data_set_that_of_the_first_run(
    runs: Path, manifest: Manifest, tmp_path: Path
) -> None:
    out = write_compare_sheet([runs / "all"], tmp_path / "deep" / "sheet.png", images=2)
    assert out.read_bytes() == compare_sheet([runs / "all"], manifest, part="test", images=2)


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["classifier"], {}, "classifier: is a multiclass run and predicts no masks"),
        (["unfinished"], {}, "so this is not a finished run"),
        (["nowhere"], {}, "is no run"),
        (["all", "cells"], {}, "cells: knows the classes .*compare runs of the same classes"),
        (["all"], {"data": "cells"}, "its masks show .* but .* knows background, lesion; give the data set"),
        (["all", "all"], {}, "cannot be told apart"),
        (["all"], {"data": "unmasked"}, "no image of the test part has a mask; choose another with --split"),
        (["all"], {"out": "sheet.jpg"}, r"sheet\.jpg: a sheet is a PNG file; end it in \.png"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    runs: Path,
    lesions: Path,
    cells: Path,
    tmp_path: Path,
    names: list[str],
    settings: dict[str, str],
    message: str,
) -> None:
    unmasked = tmp_path / "unmasked"
    shutil.copytree(lesions, unmasked)
    lines = (unmasked / "manifest.csv").read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("mask")
    bare = [",".join("" if i == place else cell for i, cell in enumerate(line.split(","))) for line in lines[1:]]
    (unmasked / "manifest.csv").write_text("\n".join([lines[0], *bare]) + "\n", encoding="utf-8")
    data = {"cells": cells, "unmasked": unmasked}.get(settings.get("data", ""))
    out = tmp_path / settings.get("out", "sheet.png")
    with pytest.raises(S4miError, match=message) as error:
        write_compare_sheet([runs / name for name in names], out, data=data)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_another_data_set_is_refused_in_a_line(runs: Path, lesions: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    (data / "manifest.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(S4miError, match=r"which of its images are the test part .* give the data set that the runs"):
        write_compare_sheet([runs / "all"], tmp_path / "sheet.png", data=data)


def test_a_legend_that_is_too_wide_goes_on_in_the_next_line() -> None:
    def height(legend: list[tuple[tuple[int, int, int], str]]) -> int:
        sheet = SaliencySheet([("truth", "")], [""], legend=legend)
        pixels = np.full((40, 40, 3), 100, dtype=np.uint8)
        sheet.add("name", "", pixels, [RunOverlays("", (pixels,), ("",))], None)
        return size(sheet.png())[1]

    none, one, three = height([]), height([(HIT, "found")]), height([(HIT, "found where it is")] * 3)
    assert none < one < three


def test_the_truth_is_outlined_on_every_picture_but_the_image() -> None:
    pixels = np.full((CELL, CELL, 3), 100, dtype=np.uint8)
    mask = np.zeros((CELL, CELL), dtype=np.uint8)
    mask[40:80, 40:80] = 1
    sheet = SaliencySheet([("truth", "")], [""], outline=(1, 2, 3), outlined_image=False)
    sheet.add("", "", pixels, [RunOverlays("", (pixels,), ("",))], mask)
    with Image.open(io.BytesIO(sheet.png())) as opened:
        drawn = (np.asarray(opened) == (1, 2, 3)).all(axis=2)
        assert drawn.any(axis=0).nonzero()[0].min() > CELL
        assert tuple(np.asarray(opened)[0, 0]) == PAPER
