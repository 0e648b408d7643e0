"""Any image is predicted at its own size, and unreadable ones are skipped."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import class_overlay, comparison_overlay
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records.calibration import read_calibration
from s4mi.training.run_dir import RunDir

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Path:
    """A run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, DEDL, epochs=2), folder / "segmentation")
    train(quick(lesions, TRANSFER, epochs=1), folder / "multiclass")
    train(quick(cells, TRANSFER, epochs=1), folder / "multilabel")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of other sizes in a folder and one in a subfolder, a corrupt one, and a file that is not an image."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, size in (("wide.png", (30, 70)), ("high.jpg", (90, 41)), ("more/grey.png", (33, 33))):
        pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels[:, :, 0] if "grey" in name else pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not asked")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_masks_have_the_size_of_their_images_and_the_values_of_the_data_set(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    result = predict_run(runs / "segmentation", [images], tmp_path / "out")
    assert (result.predicted, result.failed) == (3, 1)
    for name in ("wide.png", "high.jpg", "more/grey.png"):
        with Image.open(images / name) as image, Image.open((tmp_path / "out" / name).with_suffix(".png")) as mask:
            assert mask.size == image.size
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_grey_images_for_a_run_that_learnt_from_colour_are_answered_with_one_warning_that_counts_them(
    tmp_path: Path, runs: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    told = [one.getMessage() for one in caplog.records if "greyscale" in one.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("1 of 4 images are greyscale, but ")
    caplog.clear()
    predict_run(runs / "multiclass", [images / "wide.png"], tmp_path / "colour")
    assert not [one for one in caplog.records if "greyscale" in one.getMessage()]


def test_probabilities_of_exclusive_classes_sum_to_one_and_the_answer_is_the_largest(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    answers = rows(tmp_path / "out" / "predictions.csv")
    assert [row["id"] for row in answers] == ["high.jpg", "more/grey.png", "wide.png"]
    for row in answers:
        given = {name: float(row[name]) for name in ("melanoma", "nevus", "seborrheic_keratosis")}
        assert sum(given.values()) == pytest.approx(1, abs=1e-5)
        assert row["decision"] == max(given, key=given.__getitem__)


LABELS = ("tfh_1", "tfh_217", "tfh_like", "b_cell", "other")


@pytest.mark.parametrize("raw", [True, False])
def test_several_labels_are_those_above_one_half_or_above_the_thresholds_of_the_run(
    tmp_path: Path, runs: Path, images: Path, raw: bool
) -> None:
    calibration = read_calibration(runs / "multilabel")
    assert calibration is not None
    cuts = dict.fromkeys(LABELS, 0.5) if raw else calibration.thresholds
    predict_run(runs / "multilabel", [images], tmp_path / "out", raw=raw)
    for row in rows(tmp_path / "out" / "predictions.csv"):
        above = [name for name in LABELS if float(row[name]) > cuts[name]]
        assert row["decision"] == (";".join(above) or "none")


def test_a_broken_image_gets_a_line_and_the_others_go_on(tmp_path: Path, runs: Path, images: Path) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert error["image"].endswith("broken.png")
    assert "is not an image" in error["error"]


def test_no_mask_of_an_earlier_prediction_stays_for_an_image_that_cannot_be_read(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    """The folder would hold masks of two networks, and nothing would tell them apart."""
    predict_run(runs / "segmentation", [images], tmp_path / "out", overlay=True)
    made = {path.name for path in (tmp_path / "out").rglob("wide.png")}
    assert made == {"wide.png"}
    (images / "wide.png").write_bytes(b"no image any more")
    predict_run(runs / "segmentation", [images], tmp_path / "out", overlay=True)
    assert not [*(tmp_path / "out").rglob("wide.png")]
    assert len([*(tmp_path / "out").rglob("high.png")]) == 2


def test_an_old_error_list_goes_when_all_is_well(tmp_path: Path, runs: Path, images: Path) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    predict_run(runs / "multiclass", [images / "wide.png"], tmp_path / "out")
    assert not (tmp_path / "out" / "errors.csv").exists()


def test_two_images_of_one_name_are_refused(tmp_path: Path, runs: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    with pytest.raises(S4miError, match="would overwrite that of"):
        predict_run(runs / "segmentation", [tmp_path], tmp_path / "out")


@pytest.mark.parametrize("given", ["nowhere", "empty"])
def test_nothing_to_predict_is_one_line(tmp_path: Path, runs: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(S4miError, match=r"nowhere: does not exist|empty: contains no images"):
        predict_run(runs / "multiclass", [tmp_path / given], tmp_path / "out")


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def test_an_overlay_is_the_image_under_its_predicted_mask_at_its_own_size(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    out = tmp_path / "out"
    result = predict_run(runs / "segmentation", [images], out, overlay=True)
    assert (result.overlays, result.legend) == (out / "overlays", "lesion sky blue")
    for name in ("wide.png", "high.jpg", "more/grey.png"):
        classes = read_mask((out / name).with_suffix(".png"), {0: "background", 255: "lesion"})
        expected = class_overlay(read_image(images / name), classes)
        np.testing.assert_array_equal(picture((out / "overlays" / name).with_suffix(".png")), expected)


def test_masks_are_the_same_with_overlays_and_without(tmp_path: Path, runs: Path, images: Path) -> None:
    for name, overlay in (("with", True), ("without", False)):
        predict_run(runs / "segmentation", [images], tmp_path / name, overlay=overlay)
    for name in ("wide", "high", "more/grey"):
        assert (tmp_path / f"with/{name}.png").read_bytes() == (tmp_path / f"without/{name}.png").read_bytes()
    assert not (tmp_path / "without" / "overlays").exists()


def test_overlays_of_a_data_set_show_hits_misses_and_false_alarms(tmp_path: Path, runs: Path, lesions: Path) -> None:
    out = tmp_path / "out"
    result = predict_run(runs / "segmentation", [lesions], out, overlay=True)
    manifest = load_manifest(lesions)
    assert (result.predicted, result.failed) == (len(manifest.rows), 0)
    assert result.legend == "correct green, missed orange, false positive purple, ground-truth outline white"
    assert {path.stem for path in (out / "overlays").iterdir()} == {row.id for row in manifest.rows}
    for row in manifest.rows[:5]:
        assert row.mask is not None
        truth = read_mask(row.mask, manifest.spec.mask_values)
        predicted = read_mask(out / f"{row.id}.png", manifest.spec.mask_values)
        expected = comparison_overlay(read_image(row.image, manifest.spec.rule), truth, predicted)
        np.testing.assert_array_equal(picture(out / "overlays" / f"{row.id}.png"), expected)


def test_a_data_set_gives_its_images_and_not_its_masks(tmp_path: Path, runs: Path, lesions: Path) -> None:
    predict_run(runs / "multiclass", [lesions], tmp_path / "all")
    ids = [row.id for row in load_manifest(lesions).rows]
    assert [row["id"] for row in rows(tmp_path / "all" / "predictions.csv")] == ids


def test_the_images_without_annotation_can_be_answered_alone(tmp_path: Path, runs: Path, lesions: Path) -> None:
    full = load_manifest(lesions)
    folder = tmp_path / "sparse"
    folder.mkdir()
    bare = {full.rows[1].id, full.rows[4].id}
    rows_ = [replace(row, mask=None) if row.id in bare else row for row in full.rows]
    write_dataset(folder, full.spec.model_copy(update={"root": str(lesions)}), rows_)
    result = predict_run(runs / "segmentation", [folder], tmp_path / "out", unannotated=True)
    assert result.predicted == 2
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == bare
    part = read_parts(runs / "segmentation" / "split.json", full)["train"]
    inside = {full.rows[number].id for number in part} & bare
    if inside:
        again = predict_run(runs / "segmentation", [folder], tmp_path / "part", part="train", unannotated=True)
        assert again.predicted == len(inside)


def test_a_part_of_a_data_set_is_that_of_the_runs_own_split(tmp_path: Path, runs: Path, lesions: Path) -> None:
    manifest = load_manifest(lesions)
    predict_run(runs / "multiclass", [lesions], tmp_path / "test", part="test")
    parts = read_parts(RunDir(runs / "multiclass").split_path, manifest)
    expected = [manifest.rows[number].id for number in parts["test"]]
    assert [row["id"] for row in rows(tmp_path / "test" / "predictions.csv")] == expected


def test_ids_with_folders_and_dots_keep_both_in_the_name_of_their_mask(
    tmp_path: Path, runs: Path, lesions: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    manifest = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    first = manifest[1].split(",", 1)
    (data / "manifest.csv").write_text("\n".join([manifest[0], f"deep/a.v2,{first[1]}"]) + "\n", encoding="utf-8")
    predict_run(runs / "segmentation", [data], tmp_path / "out", overlay=True)
    assert (tmp_path / "out" / "deep_a.v2.png").is_file()
    assert (tmp_path / "out" / "overlays" / "deep_a.v2.png").is_file()


def test_a_row_without_a_mask_has_an_overlay_of_its_prediction_alone(tmp_path: Path, runs: Path, lesions: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("mask")
    cells = lines[1].split(",")
    cells[place] = ""
    lines = [lines[0], ",".join(cells), lines[2]]
    (data / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = predict_run(runs / "segmentation", [data], tmp_path / "out", overlay=True)
    assert (
        result.legend
        == "lesion sky blue; correct green, missed orange, false positive purple, ground-truth outline white"
    )
    manifest = load_manifest(data)
    row = manifest.rows[0]
    classes = read_mask(tmp_path / "out" / f"{row.id}.png", manifest.spec.mask_values)
    expected = class_overlay(read_image(row.image), classes)
    np.testing.assert_array_equal(picture(tmp_path / "out" / "overlays" / f"{row.id}.png"), expected)


def test_a_truth_of_another_size_gets_a_line(tmp_path: Path, runs: Path, lesions: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    mask = load_manifest(data).rows[0].mask
    assert mask is not None
    with Image.open(mask) as opened:
        half = opened.resize((24, 24), Image.Resampling.NEAREST)
    half.save(mask)
    result = predict_run(runs / "segmentation", [data], tmp_path / "out", overlay=True)
    assert (result.predicted, result.failed) == (59, 1)
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert error["image"] == str(mask)
    assert "mask is 24×24 but its image is 48×48" in error["error"]
    assert predict_run(runs / "segmentation", [data], tmp_path / "plain").failed == 0


@pytest.mark.parametrize(
    ("run", "given", "settings", "message"),
    [
        ("multiclass", "data", {"overlay": True}, "a multiclass run predicts no masks; omit --overlay"),
        (
            "segmentation",
            "images",
            {"part": "test"},
            "not a data set, so the images of its test part are unknown",
        ),
        ("segmentation", "cells", {"overlay": True}, "has the classes .* but .* was trained on background, lesion"),
        ("segmentation", "cells", {"part": "test"}, "its test part is unknown .* --split all"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path,
    runs: Path,
    lesions: Path,
    cells: Path,
    images: Path,
    run: str,
    given: str,
    settings: dict[str, object],
    message: str,
) -> None:
    folder = {"data": lesions, "images": images, "cells": cells}[given]
    with pytest.raises(S4miError, match=message) as error:
        predict_run(runs / run, [folder], tmp_path / "out", **settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_no_image_is_overwritten_by_its_mask(tmp_path: Path, runs: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(S4miError, match=r"a\.png: would be overwritten by a predicted mask; choose another folder"):
        predict_run(runs / "segmentation", [tmp_path], tmp_path)
    assert (tmp_path / "a.png").read_bytes() == before


def test_an_overlay_is_no_mask_of_another_image(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "in" / "overlays").mkdir(parents=True)
    for name in ("a.png", "overlays/a.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / "in" / name)
    predict_run(runs / "segmentation", [tmp_path / "in"], tmp_path / "out")
    with pytest.raises(S4miError, match="would overwrite that of"):
        predict_run(runs / "segmentation", [tmp_path / "in"], tmp_path / "out", overlay=True)
