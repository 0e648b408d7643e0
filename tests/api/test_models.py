"""Predictions in memory are those that the command writes, whatever the images come as."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import s4mi
from conftest import DEDL, TRANSFER, Command
from parsed_page import Page
from s4mi.config import RunConfig
from s4mi.data.files import read_frame
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.spec import load_spec, write_spec
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import class_overlay, comparison_overlay

Quick = Callable[..., RunConfig]
TASKS = ("segmentation", "multiclass", "multilabel")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> dict[str, s4mi.Run]:
    """A run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    configs = (quick(lesions, DEDL, epochs=2), quick(lesions, TRANSFER, epochs=1), quick(cells, TRANSFER, epochs=1))
    return {
        task: s4mi.train(config, folder / task, progress=False) for task, config in zip(TASKS, configs, strict=True)
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of several sizes, depths and formats."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (30, 70, 3), dtype=np.uint8)).save(folder / "colour.png")
    Image.fromarray(draw.integers(0, 256, (33, 33), dtype=np.uint8)).save(folder / "grey.png")
    Image.fromarray(draw.integers(0, 256, (41, 20, 4), dtype=np.uint8)).save(folder / "transparent.png")
    tifffile.imwrite(folder / "deep.tif", draw.integers(0, 5000, (50, 40), dtype=np.uint16))
    tifffile.imwrite(folder / "deep_colour.tif", draw.integers(0, 5000, (25, 44, 3), dtype=np.uint16))
    np.save(folder / "real.npy", draw.normal(size=(36, 52)).astype(np.float32))
    Image.fromarray(draw.integers(0, 256, (90, 41, 3), dtype=np.uint8)).save(folder / "high.jpg")
    return sorted(folder.iterdir())


def same(one: s4mi.Prediction, other: s4mi.Prediction) -> bool:
    return one.labels == other.labels and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_arrays_files_and_folders_give_the_same_to_the_bit(
    task: str, runs: dict[str, s4mi.Run], files: list[Path]
) -> None:
    model = runs[task].model
    arrays = [read_frame(path).values for path in files]
    by_array, by_file, by_folder = (model.predict(given) for given in (arrays, files, files[0].parent))
    assert isinstance(by_folder, s4mi.PredictionList)
    assert len(by_array) == len(by_file) == len(by_folder) == len(files)
    assert all(map(same, by_array, by_file))
    assert all(map(same, by_folder, by_file))
    chances = [model.predict_proba(given) for given in (arrays, files, files[0].parent)]
    for one, other, third in zip(*chances, strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one, third)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_classes_are_those_that_the_command_writes(
    task: str, runs: dict[str, s4mi.Run], files: list[Path], s4mi: Command, tmp_path: Path
) -> None:
    assert s4mi("predict", runs[task].path, files[0].parent, "-o", tmp_path).returncode == 0
    with (tmp_path / "predictions.csv").open(newline="") as file:
        written = {row["id"]: row for row in csv.DictReader(file)}
    predicted = runs[task].predict(files)
    assert len(written) == len(predicted)
    for one in predicted:
        row = written[one.id]
        assert row["decision"] == one.label
        assert [row[name] for name in one.classes] == [f"{p:.6f}" for p in one.probabilities.tolist()]


def test_masks_are_those_that_the_command_writes(
    runs: dict[str, s4mi.Run], files: list[Path], s4mi: Command, tmp_path: Path
) -> None:
    run = runs["segmentation"]
    assert s4mi("predict", run.path, files[0].parent, "-o", tmp_path).returncode == 0
    values = load_manifest(run.config.data.path).spec.mask_values
    for path, one in zip(files, run.predict(files), strict=True):
        assert one.mask.shape == read_frame(path).values.shape[:2]
        assert np.array_equal(one.mask, read_mask(tmp_path / f"{path.stem}.png", values))


@pytest.mark.parametrize("task", TASKS)
def test_probabilities_are_float32_and_of_exclusive_classes_sum_to_one(
    task: str, runs: dict[str, s4mi.Run], files: list[Path]
) -> None:
    model = runs[task].model
    for path, chances in zip(files, model.predict_proba(files), strict=True):
        size = read_frame(path).values.shape[:2] if task == "segmentation" else ()
        assert chances.shape == (len(model.classes), *size)
        assert chances.dtype == np.float32
        assert 0 <= chances.min() <= chances.max() <= 1
        if task != "multilabel":
            assert np.allclose(chances.sum(axis=0), 1, atol=1e-5)
    if task == "segmentation":
        assert np.array_equal(model.predict(files[0]).mask, model.predict_proba(files[0]).argmax(axis=0))


@pytest.mark.parametrize("task", TASKS)
def test_one_in_is_one_out_and_a_list_is_a_list(task: str, runs: dict[str, s4mi.Run], files: list[Path]) -> None:
    model, array = runs[task].model, read_frame(files[0]).values
    for given in (array, files[0], str(files[0])):
        one, several = model.predict(given), model.predict([given])
        assert isinstance(one, s4mi.Prediction)
        assert isinstance(several, s4mi.PredictionList)
        assert len(several) == 1
        assert same(one, several[0])
        assert np.array_equal(model.predict_proba(given), model.predict_proba([given])[0])
    assert model.predict([]) == []
    assert model.predict_proba([]) == []
    assert len(model.predict((array, files[0], array))) == 3
    assert {one.id for one in model.predict(files[0].parent.glob("*.tif"))} == {"deep.tif", "deep_colour.tif"}


def test_grey_arrays_may_have_a_last_axis(runs: dict[str, s4mi.Run], files: list[Path]) -> None:
    grey = read_frame(files[0].parent / "grey.png").values
    assert same(runs["segmentation"].predict(grey), runs["segmentation"].predict(grey[:, :, None]))


def test_a_file_of_several_pages_gives_one_prediction_a_page(runs: dict[str, s4mi.Run], tmp_path: Path) -> None:
    pages = np.random.default_rng(1).integers(0, 256, (3, 30, 40), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    found = runs["segmentation"].predict(tmp_path / "pages.tif")
    assert [one.id for one in found] == ["pages.tif#000", "pages.tif#001", "pages.tif#002"]
    assert np.array_equal(found[2].pixels[:, :, 0], pages[2])


def test_a_part_of_a_data_set_is_the_part_of_the_run(runs: dict[str, s4mi.Run], lesions: Path) -> None:
    run, manifest = runs["multiclass"], load_manifest(lesions)
    wanted = [manifest.rows[row].id for row in read_parts(run.path / "split.json", manifest)["test"]]
    assert [one.id for one in run.predict(s4mi.Dataset(lesions), part="test")] == sorted(wanted)
    with pytest.raises(S4miError, match="leave out --split"):
        run.predict(lesions / "images", part="test")


def test_images_of_one_name_are_told_apart(runs: dict[str, s4mi.Run], tmp_path: Path, files: list[Path]) -> None:
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes((files[0].parent / "grey.png").read_bytes())
    assert [one.id for one in runs["multiclass"].predict(paths)] == [path.as_posix() for path in paths]


GOOD = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), "image 0: channels come first (3×8×8); move them last"),
        (np.zeros((2, 8, 8, 3), np.uint8), "image 0: a stack of images (2×8×8×3) is passed as a list"),
        (np.zeros((8, 8, 2), np.uint8), "image 0: not the shape of an image (8×8×2)"),
        (np.zeros((0, 8), np.uint8), "image 0: not the shape of an image (0×8)"),
        (np.zeros(8), "image 0: not the shape of an image (8)"),
        (np.full((8, 8), np.nan), "image 0: holds NaN or infinity"),
        (np.full((8, 8), np.inf, np.float32), "image 0: holds NaN or infinity"),
        (np.zeros((8, 8), complex), "image 0: not numbers of an image (complex128)"),
        (np.full((8, 8), "x"), "image 0: not numbers of an image (<U1)"),
        (Image.new("RGB", (8, 8)), "expected an image array, a path, or a list of these, got Image"),
        ([GOOD, GOOD[:, :, :2]], "image 1: not the shape of an image (8×8×2)"),
        ([GOOD, None], "image 1: expected an array or a path, got NoneType"),
        (5, "expected an image array, a path, or a list of these, got int"),
    ],
)
def test_what_is_no_image_is_one_line(runs: dict[str, s4mi.Run], wrong: Any, message: str) -> None:
    for predict in (runs["multiclass"].predict, runs["multiclass"].predict_proba):
        with pytest.raises(S4miError) as refused:
            predict(wrong)
        assert str(refused.value).startswith(message)
        assert "\n" not in str(refused.value)


def test_a_broken_file_is_named(runs: dict[str, s4mi.Run], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(S4miError, match=rf"^{tmp_path}/a\.png: is not an image"):
        runs["multiclass"].predict(tmp_path)


def test_errors_are_those_of_the_command(runs: dict[str, s4mi.Run], s4mi: Command, tmp_path: Path) -> None:
    from s4mi import load

    for path, images in ((tmp_path / "none", tmp_path), (runs["multiclass"].path, tmp_path / "none.png")):
        with pytest.raises(S4miError) as refused:
            load(path).predict(images)
        printed = s4mi("predict", path, images, "-o", tmp_path / "out")
        assert printed.stderr == f"error: {refused.value}\n"


def test_of_a_range_rule_real_numbers_are_refused_in_one_line(
    runs: dict[str, s4mi.Run], tmp_path: Path, files: list[Path]
) -> None:
    shutil.copytree(runs["multiclass"].path, tmp_path / "run")
    spec = tmp_path / "run" / "dataset.yaml"
    spec.write_text(spec.read_text().replace("intensity: percentiles:0.1:99.9", "intensity: range"))
    model = s4mi.load(tmp_path / "run")
    assert model.intensity == "range"
    with pytest.raises(S4miError, match=r"^image 0: holds float32 [^\n]*set intensity to a window$"):
        model.predict(np.zeros((8, 8), np.float32))
    deep = np.full((8, 8), 32768, np.uint16)
    assert same(model.predict(deep), model.predict(np.full((8, 8), 128, np.uint8)))


def test_an_overlay_is_the_image_with_its_mask_and_beside_the_truth_the_comparison(
    runs: dict[str, s4mi.Run], lesions: Path
) -> None:
    data = s4mi.Dataset(lesions)
    one = runs["segmentation"].predict(data)[3]
    image, truth = data.image(one.id), data.mask(one.id)
    assert truth is not None
    assert np.array_equal(one.pixels, image)
    assert np.array_equal(np.asarray(one.overlay()), class_overlay(image, one.mask))
    assert np.array_equal(np.asarray(one.overlay(truth=True)), comparison_overlay(image, truth, one.mask))
    assert np.array_equal(np.asarray(one.overlay(truth=truth)), comparison_overlay(image, truth, one.mask))
    for mask in (one, one.mask, one.mask.astype(np.int64)):
        assert np.array_equal(np.asarray(s4mi.overlay(image, mask)), class_overlay(image, one.mask))
    in_memory = runs["segmentation"].predict(image)
    with pytest.raises(S4miError, match="has no true mask"):
        in_memory.overlay(truth=True)
    with pytest.raises(S4miError, match=r"^truth: is 5×5, but its image is 48×48"):
        in_memory.overlay(truth=np.zeros((5, 5), np.uint8))
    with pytest.raises(S4miError, match=r"^mask: expected class indices"):
        s4mi.overlay(image, one.mask / 2)


def test_what_a_model_does_not_predict_is_one_line(runs: dict[str, s4mi.Run]) -> None:
    classified, segmented = (runs[task].predict(GOOD) for task in ("multiclass", "segmentation"))
    assert classified.labels == (classified.label,)
    assert str(classified) == classified.label
    with pytest.raises(S4miError, match=r"predicts no mask; use \.label"):
        classified.overlay()
    with pytest.raises(S4miError, match=r"use \.mask"):
        _ = segmented.label
    with pytest.raises(S4miError, match="use predict_proba"):
        _ = segmented.probabilities
    assert sum(segmented.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("task", TASKS)
def test_tables_have_a_row_an_image(task: str, runs: dict[str, s4mi.Run], files: list[Path]) -> None:
    predicted = runs[task].predict(files)
    table = predicted.table
    assert table["id"].to_list() == [path.name for path in files]
    for one, row in zip(predicted, table.to_dicts(), strict=True):
        assert [row[name] for name in one.classes] == list(
            one.shares.values() if task == "segmentation" else one.probabilities.tolist()
        )


@pytest.mark.parametrize("task", TASKS)
def test_notebooks_show_predictions_and_escape_names(task: str, runs: dict[str, s4mi.Run], tmp_path: Path) -> None:
    for n in range(14):
        Image.fromarray(GOOD).save(tmp_path / f"<b>{n}&.png")
    predicted = runs[task].predict(tmp_path)
    shown = Page(predicted._repr_html_())
    assert len(shown.all("img")) == 12
    assert "<b>0&.png" in shown.text
    assert "and 2 more images" in shown.text
    assert not shown.all("b")
    one = Page(predicted[0]._repr_html_())
    assert "<b>0&.png" in one.text
    assert len(one.all("img")) == (2 if task == "segmentation" else 1)
    model = Page(runs[task].model._repr_html_())
    assert all(name in model.text for name in runs[task].model.classes)


def test_options_are_those_of_the_command(runs: dict[str, s4mi.Run], s4mi: Command, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    run = runs["multiclass"]
    for option in ("raw", "tta"):
        assert s4mi("predict", run.path, tmp_path / "a.png", "-o", tmp_path / option, f"--{option}").returncode == 0
        with (tmp_path / option / "predictions.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        one = run.predict(pixels, raw=option == "raw", tta=option == "tta")
        assert [row[name] for name in one.classes] == [f"{p:.6f}" for p in one.probabilities.tolist()]
    with pytest.raises(S4miError, match=r"overlap must be in \[0, 1\) \(given 1\)"):
        run.predict(pixels, overlap=1)


def test_a_model_and_its_predictions_stay_the_same_after_a_change_of_folder(
    runs: dict[str, s4mi.Run], files: list[Path], lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs["multiclass"].path
    monkeypatch.chdir(run.parent)
    model = s4mi.load(run.name)
    assert repr(model).startswith(f"Model({run.name!r})")
    one = model.predict(os.path.relpath(files[0], run.parent))
    shown = one.pixels
    monkeypatch.chdir("/")
    assert (model.path, model.runs) == (run, (run,))
    assert model.history.equals(runs["multiclass"].history)
    assert np.array_equal(one.pixels, shown)
    assert len(model.predict(lesions, part="test")) > 0
    assert s4mi.predict(model, files[0], tmp_path / "out", progress=False).images == 1


def test_files_are_predicted_by_the_models_that_are_loaded(
    runs: dict[str, s4mi.Run], files: list[Path], tmp_path: Path
) -> None:
    """Also where the study has gone on since, so that loading it again would select another run, or none."""
    shutil.copytree(runs["multiclass"].path, tmp_path / "study" / "runs" / "a-seed0")
    model = s4mi.load(tmp_path / "study", precision="bf16")
    shutil.copytree(runs["multilabel"].path, tmp_path / "study" / "runs" / "b-seed0")
    with pytest.raises(S4miError, match="its runs cannot be compared"):
        s4mi.load(tmp_path / "study")
    made = s4mi.predict(model, files, tmp_path / "out", progress=False)
    assert made.table["decision"].to_list() == [one.label for one in model.predict(files)]
    assert made.reason == model.reason
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["precision"] == ["bf16"]


def test_a_true_mask_of_other_classes_is_no_truth(runs: dict[str, s4mi.Run], lesions: Path, tmp_path: Path) -> None:
    """Its numbers stand for other classes than those of the prediction."""
    data = shutil.copytree(lesions, tmp_path / "data")
    spec = load_spec(data)
    named = {key: "hair" if name == "lesion" else name for key, name in spec.mask_values.items()}
    write_spec(data, spec.model_copy(update={"mask_values": named}))
    one = runs["segmentation"].predict(data)[3]
    with pytest.raises(S4miError, match=r"has the classes background, hair, but the model background, lesion; pass a"):
        one.overlay(truth=True)
    assert one.overlay(truth=one.mask).size == one.overlay().size


@pytest.mark.long
def test_an_ensemble_is_the_mean_over_the_seeds_of_a_study(
    tmp_path: Path, lesions: Path, quick: Quick, runs: dict[str, s4mi.Run]
) -> None:
    seeds = [
        s4mi.train(quick(lesions, TRANSFER, epochs=1, seed=seed), tmp_path / f"runs/a-seed{seed}", progress=False)
        for seed in (0, 1)
    ]
    ensemble = s4mi.load(tmp_path, ensemble=True)
    mean = np.mean([run.predict_proba(GOOD) for run in seeds], axis=0)
    assert np.allclose(ensemble.predict_proba(GOOD), mean, atol=1e-6)
    assert ensemble.history["run"].to_list() == ["a-seed0", "a-seed1"]
    assert ensemble.reason.startswith("a: all 2 seeds")
    best = s4mi.load(tmp_path)
    assert best.runs[0] == s4mi.Study(tmp_path).best().path
    assert best.history.equals(s4mi.Study(tmp_path).best().history)


def test_a_callback_is_told_how_many_images_are_done(runs: dict[str, s4mi.Run], files: list[Path]) -> None:
    told: list[tuple[str, int, int]] = []
    runs["multiclass"].predict(files, progress=lambda *moment: told.append(moment))
    assert told == [("predicting", number, len(files)) for number in range(1, len(files) + 1)]


@pytest.mark.slow
def test_an_exported_model_predicts_as_its_run_and_needs_no_torch(
    runs: dict[str, s4mi.Run], files: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    exported = s4mi.export(runs["segmentation"], tmp_path / "model.onnx")
    model = exported.load()
    for one, other in zip(model.predict(files), runs["segmentation"].predict(files), strict=True):
        assert (one.mask != other.mask).mean() < 0.01
    with pytest.raises(S4miError, match="holds no training history"):
        _ = model.history
    code = (
        "import sys, numpy, s4mi\n"
        f"model = s4mi.load({str(exported.file)!r})\n"
        "model.predict(numpy.zeros((9, 9, 3), numpy.uint8)); model._repr_html_()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
