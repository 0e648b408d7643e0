"""A comparison sheet shows runs on common test images, from small to large objects."""

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
from s4mi.inference.overlays.masks import CORRECT, FALSE_POSITIVE, MISSED, class_colour
from s4mi.inference.overlays.saliency import CELL, PAPER, ComparisonSheet, OverlayBlock
from s4mi.inference.run_model import RunModel
from s4mi.recipes.train import train
from s4mi.training.run_dir import RunDir
from s4mi.visualisation import comparison_sheet as module
from s4mi.visualisation.comparison_sheet import comparison_sheet, write_comparison

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


class RecordingSheet(ComparisonSheet):
    """Records what was added to a sheet."""

    last: "RecordingSheet"

    def __init__(self, titles: Any, columns: Any, **settings: Any) -> None:
        super().__init__(titles, columns, **settings)
        self.titles, self.settings, self.rows = list(titles), settings, []
        RecordingSheet.last = self

    def add(self, name: str, truth: str, pixels: Any, blocks: Any, mask: Any) -> None:
        super().add(name, truth, pixels, blocks, mask)
        self.rows.append((name, blocks))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[RecordingSheet]:
    monkeypatch.setattr(module, "ComparisonSheet", RecordingSheet)
    return RecordingSheet


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as sheet:
        return sheet.size


def test_rows_are_images_and_columns_are_runs(runs: Path, manifest: Manifest) -> None:
    one = size(comparison_sheet([runs / "all"], manifest, part="test", images=2))
    two = size(comparison_sheet([runs / "all", runs / "half"], manifest, part="test", images=2))
    high = size(comparison_sheet([runs / "all"], manifest, part="test", images=4))
    assert two[0] - one[0] > CELL
    assert high[1] - one[1] > 2 * CELL
    assert high[0] == one[0]


def test_images_are_in_the_part_of_every_run_from_small_to_large_objects(
    runs: Path, manifest: Manifest, recorded: type[RecordingSheet]
) -> None:
    both = [runs / "all", runs / "half"]
    comparison_sheet(both, manifest, part="test", images=4)
    names = [name for name, _ in recorded.last.rows]
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
    for share, quarter in zip(shown, quarters, strict=True):  # one of each quartile, with some tolerance
        assert quarter[0] - 0.02 <= share <= quarter[-1] + 0.02


def test_below_a_prediction_is_its_iou(runs: Path, manifest: Manifest, recorded: type[RecordingSheet]) -> None:
    comparison_sheet([runs / "all"], manifest, part="test", images=3)
    model = RunModel(runs / "all")
    by_id = {row.id: row for row in manifest.rows}
    for name, (_, block) in recorded.last.rows:
        row = by_id[name]
        assert row.mask is not None
        truth, predicted = read_mask(row.mask, manifest.spec.mask_values), model.mask(row.image)
        assert block.caption == f"IoU {jaccard_score(truth.ravel(), predicted.ravel()):.3f}"


def test_column_titles_are_technique_labels_and_network(
    runs: Path, manifest: Manifest, recorded: type[RecordingSheet], tmp_path: Path
) -> None:
    comparison_sheet([runs / "all", runs / "half"], manifest, part="test", images=1)
    assert [first for first, _ in recorded.last.titles[1:]] == [recorded.last.titles[1][0]] * 2
    assert [second.split(" · ")[0] for _, second in recorded.last.titles[1:]] == ["100 %", "50 %"]
    shutil.copytree(runs / "all", tmp_path / "twin")
    comparison_sheet([runs / "all", tmp_path / "twin"], manifest, part="test", images=1)
    assert [second for _, second in recorded.last.titles[1:]] == ["100 % · all", "100 % · twin"]


def test_the_legend_explains_every_colour_and_a_note_marks_synthetic_images(
    runs: Path, manifest: Manifest, recorded: type[RecordingSheet]
) -> None:
    comparison_sheet([runs / "all"], manifest, part="test", images=1)
    colours = [colour for colour, _ in recorded.last.settings["legend"]]
    assert colours[:4] == [class_colour(1)[1], CORRECT, MISSED, FALSE_POSITIVE]
    assert recorded.last.settings["note"] == "The images are synthetic: drawn, not photographed."


def test_the_iou_is_the_mean_over_foreground_classes() -> None:
    truth = np.array([[1, 1, 2, 2, 0, 255]], dtype=np.uint8)
    predicted = np.array([[1, 2, 2, 2, 0, 3]], dtype=np.uint8)
    classes = ("background", "a", "b", "c")  # a: 1/2, b: 2/3, c: only predicted where the truth is ignored
    assert module._iou(predicted, truth, classes) == f"IoU {(1 / 2 + 2 / 3) / 2:.3f}"
    empty = np.zeros((1, 6), dtype=np.uint8)
    assert module._iou(empty, empty, classes) == "IoU –"
    assert module.mask_legend(classes)[-2][1] == "false positive or wrong class"


def test_the_file_is_the_sheet_of_the_data_set_of_the_first_run(runs: Path, manifest: Manifest, tmp_path: Path) -> None:
    out = write_comparison([runs / "all"], tmp_path / "deep" / "sheet.png", images=2)
    assert out.read_bytes() == comparison_sheet([runs / "all"], manifest, part="test", images=2)


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["classifier"], {}, "classifier: a multiclass run predicts no masks"),
        (["unfinished"], {}, "so this is not a finished run"),
        (["nowhere"], {}, "no such folder"),
        (["all", "cells"], {}, "cells: has the classes .*compare runs of the same classes"),
        (["all"], {"data": "cells"}, "has the mask classes .* but .* has background, lesion; use the data set"),
        (["all", "all"], {}, "two of the runs have the same name"),
        (["all"], {"data": "unmasked"}, "no image of the test part has a mask; choose another part with --split"),
        (["all"], {"out": "sheet.jpg"}, r"sheet\.jpg: a comparison sheet is a PNG file; end it in \.png"),
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
        write_comparison([runs / name for name in names], out, data=data)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_another_data_set_is_refused_in_one_line(runs: Path, lesions: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    (data / "manifest.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(S4miError, match=r"its test part is unknown .* use the data set that the runs"):
        write_comparison([runs / "all"], tmp_path / "sheet.png", data=data)


def test_a_wide_legend_is_wrapped() -> None:
    def height(legend: list[tuple[tuple[int, int, int], str]]) -> int:
        sheet = ComparisonSheet([("truth", "")], [""], legend=legend)
        pixels = np.full((40, 40, 3), 100, dtype=np.uint8)
        sheet.add("name", "", pixels, [OverlayBlock("", (pixels,), ("",))], None)
        return size(sheet.png())[1]

    none, one, three = height([]), height([(CORRECT, "correct")]), height([(CORRECT, "a longer description")] * 3)
    assert none < one < three


def test_the_mask_is_outlined_on_every_picture_except_the_image() -> None:
    pixels = np.full((CELL, CELL, 3), 100, dtype=np.uint8)
    mask = np.zeros((CELL, CELL), dtype=np.uint8)
    mask[40:80, 40:80] = 1
    sheet = ComparisonSheet([("truth", "")], [""], outline=(1, 2, 3), outlined_image=False)
    sheet.add("", "", pixels, [OverlayBlock("", (pixels,), ("",))], mask)
    with Image.open(io.BytesIO(sheet.png())) as opened:
        drawn = (np.asarray(opened) == (1, 2, 3)).all(axis=2)
        assert drawn.any(axis=0).nonzero()[0].min() > CELL
        assert tuple(np.asarray(opened)[0, 0]) == PAPER
