"""Explanations: overlays at the images' own size, scores by the formulas, and runs side by side."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import select_evenly
from s4mi.inference.mask_scores import MaskScores
from s4mi.inference.overlays.saliency import CELL, LINE, ComparisonSheet, OverlayBlock, overlay
from s4mi.inference.saliency_maps import GRADIENTS, MAP_NAMES, TRUTH, Explainer, run_names
from s4mi.inference.saliency_scores import ALIKE, WEIGHT_INDEPENDENT, MapScores, alike, summarise
from s4mi.maths.saliency import energy_inside, pointing_game
from s4mi.maths.saliency_baselines import centre_blob
from s4mi.recipes.explain import explain
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.training.run_dir import RunDir
from s4mi.visualisation.saliency_sheet import saliency_sheet

Quick = Callable[..., RunConfig]
VIT = {**TRANSFER, "backbone": "tiny_vit"}
LARGE = {"image_size": 64}
"""At 32 pixels the last feature map of a tiny ResNet has one spatial position."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Path:
    """Two classifiers of lesions, one of cells, a segmenter, and a classifier trained on tiles."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, TRANSFER, epochs=2, data=LARGE), folder / "cnn")
    train(quick(lesions, VIT, epochs=2), folder / "vit")
    train(quick(cells, TRANSFER, epochs=1, data=LARGE), folder / "cells")
    train(quick(lesions, DEDL, epochs=1), folder / "segmentation")
    train(quick(lesions, VIT, epochs=1, data={"tile": 24, "red_channel_normalisation": True}), folder / "tiled")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of other sizes, a corrupt one, and a file that is not an image."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, size in (("wide.png", (30, 70)), ("more/high.jpg", (90, 41))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not asked")
    return folder


@pytest.mark.long
def test_a_frozen_vit_of_another_size_than_the_images_has_all_maps(
    tmp_path: Path, lesions: Path, images: Path, quick: Quick
) -> None:
    frozen = {"name": "frozen", "backbone": "vit_tiny_patch16_224", "weights": "none", "join": []}
    train(quick(lesions, frozen, data={"image_size": 40}), tmp_path / "run")  # whole patches are 32 or 48 pixels
    explain([tmp_path / "run"], [images], tmp_path / "maps", sanity=False)
    assert {row["method"] for row in rows(tmp_path / "maps" / "scores.csv")} == set(MAP_NAMES)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_overlays_have_the_size_of_their_images_and_a_broken_image_gets_a_line(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    out = tmp_path / "out"
    result = explain([runs / "cnn", runs / "vit"], [images], out, sanity=False)
    assert (result.summary.images, result.summary.failed) == (2, 1)
    for name, size in (("wide", (70, 30)), ("more_high", (41, 90))):
        for run in ("cnn", "vit"):
            for method in GRADIENTS:
                with Image.open(out / f"{name}_{run}_{method}.png") as picture:
                    assert picture.size == size
    (error,) = rows(out / "errors.csv")
    assert error["image"].endswith("broken.png")
    assert all(one["pointing"] == one["energy"] == one["randomised"] == "" for one in rows(out / "scores.csv"))


def test_class_and_probability_are_those_of_predict(tmp_path: Path, runs: Path, images: Path) -> None:
    for run in ("cnn", "cells", "tiled"):
        explain([runs / run], [images], tmp_path / run, methods=["input_gradient"], sanity=False)
        predict_run(runs / run, [images], tmp_path / f"{run}-predicted", raw=True)
        predicted = rows(tmp_path / f"{run}-predicted" / "predictions.csv")
        explained = rows(tmp_path / run / "scores.csv")
        assert len(predicted) == len(explained) == 2
        for one, other in zip(explained, predicted, strict=True):
            given = {name: float(value) for name, value in other.items() if name not in ("id", "decision", "entropy")}
            assert one["class"] == max(given, key=given.__getitem__)
            assert float(one["probability"]) == pytest.approx(given[one["class"]], abs=1e-5)


def test_the_test_part_of_the_data_set_is_scored_against_its_masks(tmp_path: Path, runs: Path, lesions: Path) -> None:
    result = explain([runs / "vit"], [lesions], tmp_path, methods=["input_gradient"], limit=5)
    manifest = load_manifest(lesions)
    by_id = {row.id: row for row in manifest.rows}
    test = {manifest.rows[i].id for i in read_parts(RunDir(runs / "vit").split_path, manifest)["test"]}
    scored = rows(tmp_path / "scores.csv")
    assert len(scored) == 5
    assert {one["image"] for one in scored} <= test
    explainer = Explainer(runs / "vit", name="vit", methods=["input_gradient"], sanity=False, seed=0)
    for one in scored:
        row = by_id[one["image"]]
        assert row.mask is not None
        saliency = explainer.explain(read_image(row.image, manifest.spec.rule), one["class"]).maps["input_gradient"]
        inside = read_mask(row.mask, manifest.spec.mask_values) > 0
        assert float(one["pointing"]) == pytest.approx(pointing_game(saliency, inside), abs=1e-5)
        assert float(one["energy"]) == pytest.approx(energy_inside(saliency, inside), abs=1e-5)
        assert float(one["area"]) == pytest.approx(inside.mean(), abs=1e-5)
    (of_map,) = result.summary.maps
    assert of_map.energy is not None
    assert of_map.energy.n == 5
    assert of_map.energy.mean == pytest.approx(np.mean([float(one["energy"]) for one in scored]), abs=1e-6)
    assert json.loads((tmp_path / "summary.json").read_text())["maps"][0]["energy"]["mean"] == of_map.energy.mean


def test_the_map_of_a_whole_image_is_the_gradient_brought_to_its_size(runs: Path) -> None:
    explainer = Explainer(runs / "vit", name="vit", methods=["input_gradient"], sanity=False, seed=0)
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)  # the size of the network's input
    explained = explainer.explain(pixels, "nevus")
    x = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255).requires_grad_()
    explainer._trained.method.logits(x)[0, explainer.classes.index("nevus")].backward()
    assert x.grad is not None
    expected = x.grad.abs().amax(dim=1)[0].numpy()
    np.testing.assert_allclose(explained.maps["input_gradient"], expected / expected.max(), rtol=1e-4, atol=1e-6)


def test_a_tile_has_the_map_it_has_alone_and_strengths_stay_comparable(runs: Path) -> None:
    explainer = Explainer(runs / "tiled", name="tiled", methods=["input_gradient"], sanity=False, seed=0)
    pixels = np.random.default_rng(4).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    pixels[:, 24:] //= 8
    page = explainer.explain(pixels, "nevus").maps["input_gradient"]
    assert page.shape == (24, 48)
    assert page.max() == 1
    peaks = []
    for half in (np.s_[:, :24], np.s_[:, 24:]):
        alone = explainer.explain(np.ascontiguousarray(pixels[half]), "nevus").maps["input_gradient"]
        np.testing.assert_allclose(page[half] / page[half].max(), alone, rtol=1e-4, atol=1e-5)
        peaks.append(page[half].max())
    assert peaks[0] != pytest.approx(peaks[1], rel=1e-3)  # or each tile had been brought to 1 by itself


def test_the_class_asked_for_is_explained(tmp_path: Path, runs: Path, lesions: Path) -> None:
    fast = {"methods": ["input_gradient"], "sanity": False, "limit": 4}
    explain([runs / "vit"], [lesions], tmp_path / "named", target="melanoma", **fast)
    assert {one["class"] for one in rows(tmp_path / "named" / "scores.csv")} == {"melanoma"}
    explain([runs / "vit"], [lesions], tmp_path / "truth", target=TRUTH, **fast)
    truth = {row.id: row.labels for row in load_manifest(lesions).rows}
    for one in rows(tmp_path / "truth" / "scores.csv"):
        assert (one["class"],) == truth[one["image"]]


@pytest.mark.long
def test_weights_drawn_anew_give_another_map_and_the_check_says_how_far_it_is(
    tmp_path: Path, runs: Path, lesions: Path
) -> None:
    result = explain([runs / "cnn"], [lesions], tmp_path, limit=3)
    for one in result.summary.maps:
        assert one.randomised is not None
        assert -1 <= one.randomised.mean < 1
    again = explain([runs / "cnn"], [lesions], tmp_path, limit=3)
    assert again.summary == result.summary


def test_a_run_whose_weights_are_the_redrawn_ones_is_flagged(
    tmp_path: Path, runs: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle of the sanity check: a saliency map compared with itself."""
    explainer = Explainer(runs / "vit", name="vit", methods=["input_gradient"], sanity=True, seed=0)
    explainer._randomised = explainer._trained
    monkeypatch.setattr("s4mi.recipes.explain.Explainer", lambda *_, **__: explainer)
    result = explain([runs / "vit"], [lesions], tmp_path, methods=["input_gradient"], limit=3)
    (of_map,) = result.summary.maps
    assert of_map.randomised is not None
    assert of_map.randomised.mean == pytest.approx(1)
    assert of_map.warning == WEIGHT_INDEPENDENT


def scores_of(*correlations: float | None) -> list[MapScores]:
    return [MapScores(str(i), "r", "t", "m", "c", 0.5, MaskScores(), one) for i, one in enumerate(correlations)]


@pytest.mark.parametrize(
    ("correlations", "warned"),
    [((0.8, 0.9, 0.85), True), ((0.1, 0.2, 0.0), False), ((0.9,), False), ((0.99, 0.2, None), False)],
)
def test_a_map_is_flagged_when_weights_hardly_matter_and_there_is_enough_to_tell(
    correlations: tuple[float | None, ...], warned: bool
) -> None:
    (summary,) = summarise(scores_of(*correlations))
    assert bool(summary.warning) is warned
    assert summary.randomised is not None
    assert summary.randomised.n == sum(one is not None for one in correlations)
    assert summary.pointing is None


@pytest.mark.long
def test_maps_that_are_too_coarse_get_no_scores_and_the_sheet_says_so(
    tmp_path: Path, runs: Path, lesions: Path
) -> None:
    result = explain([runs / "vit"], [lesions], tmp_path / "both", methods=["input_gradient", "grad_cam"], limit=4)
    fine, coarse = result.summary.maps
    assert fine.energy is not None
    assert (coarse.pointing, coarse.energy, coarse.area, coarse.energy_above_area) == (None, None, None, None)
    assert re.match(r"the feature map has 4 × 4 spatial positions, fewer than 7 × 7", coarse.warning)
    assert "too coarse" not in fine.warning
    scored = {(one["method"], one["energy"] == "") for one in rows(tmp_path / "both" / "scores.csv")}
    assert scored == {("input_gradient", False), ("grad_cam", True)}
    assert (tmp_path / "both" / "sheet.png").stat().st_size > 0


def test_maps_that_are_alike_on_all_images_get_no_scores(
    tmp_path: Path, runs: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer(runs / "vit", name="vit", methods=["input_gradient"], sanity=False, seed=0)
    y, x = np.mgrid[:48, :48]
    bump = np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / 200).astype(np.float32)
    count = iter(range(99))
    monkeypatch.setattr(explainer, "_stitch", lambda *_: bump + 0.01 * np.float32(next(count) % 3) * (x % 2))
    monkeypatch.setattr("s4mi.recipes.explain.Explainer", lambda *_, **__: explainer)
    notes: list[str] = []
    monkeypatch.setattr(ComparisonSheet, "add_note", lambda _, text: notes.append(text))
    few = explain([runs / "vit"], [lesions], tmp_path / "few", methods=["input_gradient"], limit=2, sanity=False)
    assert few.summary.maps[0].energy is not None
    many = explain([runs / "vit"], [lesions], tmp_path / "many", methods=["input_gradient"], limit=4, sanity=False)
    assert many.summary.maps[0].energy is None
    assert many.summary.maps[0].warning == ALIKE
    assert notes[-1] == f"input gradient of vit: {ALIKE}."
    assert sum("too few images to tell" in note for note in notes) == len(notes) - 1 == 2  # of the first two images
    assert {one["energy"] for one in rows(tmp_path / "many" / "scores.csv")} == {""}


def test_scores_are_beside_those_of_a_centre_blob_and_of_other_images(
    tmp_path: Path, runs: Path, lesions: Path
) -> None:
    result = explain([runs / "vit"], [lesions], tmp_path, methods=["input_gradient"], limit=6, sanity=False)
    (found,) = result.summary.maps
    for score, beside in ((found.pointing, found.pointing_baselines), (found.energy, found.energy_baselines)):
        assert score is not None
        assert beside is not None
        assert beside.others is not None
        assert beside.centre.n == beside.others.n == score.n == 6
        assert beside.above_centre.mean == pytest.approx(score.mean - beside.centre.mean, abs=1e-6)
        assert beside.p_others is not None
        assert beside.beyond_chance is (max(beside.p_centre or 0, beside.p_others) < 0.05)
    written = json.loads((tmp_path / "summary.json").read_text())["maps"][0]["energy_baselines"]
    assert found.energy_baselines is not None
    assert written["centre"]["mean"] == found.energy_baselines.centre.mean
    manifest = load_manifest(lesions)
    by_id = {row.id: row for row in manifest.rows}
    naive = []
    for one in rows(tmp_path / "scores.csv"):
        mask = by_id[one["image"]].mask
        assert mask is not None
        inside = read_mask(mask, manifest.spec.mask_values) > 0
        naive.append(energy_inside(centre_blob(inside.shape, float(inside.mean())), inside))
    assert found.energy_baselines.centre.mean == pytest.approx(np.mean(naive), abs=1e-6)  # type: ignore[arg-type]


@pytest.mark.long
def test_attention_roll_out_is_drawn_where_all_runs_have_attention(tmp_path: Path, runs: Path, lesions: Path) -> None:
    alone = explain([runs / "vit"], [lesions], tmp_path / "vit", limit=2, sanity=False)
    assert [one.method for one in alone.summary.maps] == list(MAP_NAMES)
    both = explain([runs / "vit", runs / "cnn"], [lesions], tmp_path / "both", limit=2, sanity=False)
    assert {one.method for one in both.summary.maps} == set(GRADIENTS)
    with pytest.raises(S4miError, match="attention roll-out needs a plain ViT, not ResNet; leave attention_rollout"):
        explain([runs / "cnn"], [lesions], tmp_path / "cnn", methods=["attention_rollout"], limit=2)


def test_grad_cam_of_two_by_two_places_is_that_of_a_finer_stage(
    tmp_path: Path, runs: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 64 pixels the last feature map of a tiny ResNet has 2 × 2 positions, the stage with 8 × 8 is taken."""
    notes: list[str] = []
    monkeypatch.setattr(ComparisonSheet, "add_note", lambda _, text: notes.append(text))
    result = explain([runs / "cnn"], [lesions], tmp_path, methods=["grad_cam"], limit=4, sanity=False)
    assert result.summary.maps[0].warning in ("", ALIKE)
    assert "Grad-CAM of cnn: of an earlier stage, as the last feature map has fewer than 7 × 7 positions." in notes


def test_the_sheet_of_a_report_draws_no_map_that_is_too_coarse_or_alike(
    runs: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions: list[str] = []

    def add(_: object, __: str, ___: str, pixels: np.ndarray, blocks: list[OverlayBlock], ____: object) -> None:
        for block in blocks:
            captions.extend(block.captions)
            if "too coarse" in block.captions[0]:
                np.testing.assert_array_equal(block.pictures[0], pixels)

    monkeypatch.setattr(ComparisonSheet, "add", add)
    monkeypatch.setattr(ComparisonSheet, "png", lambda _: b"")
    saliency_sheet([runs / "vit"], load_manifest(lesions), [("a", "b")], images=3)
    assert captions == ["Grad-CAM: too coarse"] * 3
    captions.clear()
    monkeypatch.setattr("s4mi.visualisation.saliency_sheet.alike", lambda _: True)
    saliency_sheet([runs / "cnn"], load_manifest(lesions), [("a", "b")], images=3)
    assert captions == ["Grad-CAM: alike on all"] * 3


def test_maps_of_different_images_are_not_alike() -> None:
    generator = np.random.default_rng(0)
    assert not alike([generator.random((16, 16)).astype(np.float32) for _ in range(5)])
    assert not alike([np.ones((16, 16), np.float32)] * 5)


@pytest.mark.long
def test_the_sheet_has_a_row_an_image_and_columns_for_each_run_and_map(
    tmp_path: Path, runs: Path, lesions: Path
) -> None:
    def size(*names: str, limit: int) -> tuple[int, int]:
        folder = tmp_path / f"{len(names)}-{limit}"
        methods = ["input_gradient", "grad_cam"]
        result = explain([runs / one for one in names], [lesions], folder, methods=methods, limit=limit, sanity=False)
        assert result.sheet is not None
        with Image.open(result.sheet) as sheet:
            return sheet.size

    one, two, high = size("cnn", limit=2), size("cnn", "vit", limit=2), size("cnn", limit=4)
    assert two[0] - one[0] > 2 * CELL
    assert one[1] - two[1] in (0, LINE)  # the note takes another line on the narrower sheet
    assert high[1] - one[1] > 2 * CELL
    assert high[0] == one[0]


def test_an_overlay_is_bright_where_the_map_is_and_the_sheet_shows_it() -> None:
    grey = np.full((40, 40, 3), 100, dtype=np.uint8)
    saliency = np.zeros((40, 40), dtype=np.float32)
    saliency[:, 20:] = 1
    picture = overlay(grey, saliency)
    assert picture.shape == grey.shape
    assert picture[:, 20:].mean() > picture[:, :20].mean() + 60
    sheet = ComparisonSheet([("technique", "run")], ["map"])
    sheet.add("name", "truth", grey, [OverlayBlock("class", (picture,), ("",))], None)
    assert sheet.png().startswith(b"\x89PNG")


def test_an_overlay_of_nothing_is_the_image_in_grey_under_the_darkest_colour() -> None:
    grey = np.arange(100, dtype=np.uint8).reshape(10, 10, 1).repeat(3, axis=2)
    picture = overlay(grey, np.zeros((10, 10), dtype=np.float32))
    np.testing.assert_allclose(picture[:, :, 1], 0.4 * grey[:, :, 1], atol=1)


@given(st.lists(st.sampled_from([None, ("a",), ("b",), ("a", "b")]), max_size=40), st.integers(1, 20))
def test_a_choice_is_even_over_the_labels(labels: list[tuple[str, ...] | None], limit: int) -> None:
    chosen = select_evenly(labels, limit)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, len(labels))
    counts = {own: sum(labels[i] == own for i in chosen) for own in set(labels)}
    most = max(counts.values(), default=0)
    assert all(count >= most - 1 or count == labels.count(own) for own, count in counts.items())


def test_a_choice_is_spread_within_a_label() -> None:
    assert select_evenly([("a",)] * 10, 2) == [2, 7]


def test_runs_of_one_name_are_told_apart_by_the_folder_above() -> None:
    assert run_names([Path("/x/a/run"), Path("/x/b/run"), Path("/x/b/other")]) == ["a-run", "b-run", "b-other"]
    assert run_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    with pytest.raises(S4miError, match="two of the runs have the same name; list each run once"):
        run_names([Path("/x/a"), Path("/x/a")])


@pytest.mark.parametrize(
    ("run", "settings", "message"),
    [
        ("segmentation", {}, "a segmentation run is explained by its masks; use: s4mi predict"),
        ("nowhere", {}, "no such folder"),
        ("vit", {"target": "nevuss"}, "unknown class 'nevuss'; did you mean 'nevus'"),
        ("vit", {"methods": ["grad_kam"]}, "unknown kind of saliency map 'grad_kam'; did you mean 'grad_cam'"),
        ("cells", {}, "its test part is unknown .* --split all"),
        ("cells", {"part": None, "target": TRUTH}, "unknown class 'melanoma'"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    tmp_path: Path, runs: Path, lesions: Path, run: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(S4miError, match=message) as error:
        explain([runs / run], [lesions], tmp_path, **{"methods": ["input_gradient"], "sanity": False, **settings})
    assert "\n" not in str(error.value)


def test_a_pre_training_run_is_one_line(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FinetuneConfig, "pretrains", True)
    with pytest.raises(S4miError, match="a pre-training run has no classes; fine-tune it"):
        explain([runs / "vit"], [tmp_path], tmp_path / "out")


def test_images_without_a_known_truth_have_no_true_class(tmp_path: Path, runs: Path, images: Path) -> None:
    with pytest.raises(S4miError, match="no labelled image found; explain the predicted class"):
        explain([runs / "vit"], [images], tmp_path / "out", target=TRUTH)


def test_two_images_of_one_name_are_refused(tmp_path: Path, runs: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    with pytest.raises(S4miError, match="would overwrite those of"):
        explain([runs / "vit"], [tmp_path], tmp_path / "out")


def test_a_mask_of_another_size_gets_a_line(tmp_path: Path, runs: Path, lesions: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    manifest = load_manifest(data)
    chosen = read_parts(RunDir(runs / "vit").split_path, manifest)["test"][0]
    mask = manifest.rows[chosen].mask
    assert mask is not None
    with Image.open(mask) as picture:
        half = picture.resize((24, 24), Image.Resampling.NEAREST)
    half.save(mask)
    result = explain([runs / "vit"], [data], tmp_path / "out", methods=["input_gradient"], limit=99, sanity=False)
    assert result.summary.failed == 1
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert "mask is 24×24 but its image is 48×48" in error["error"]


@pytest.mark.real
def test_real_lesions_have_the_area_that_their_table_says(real_data: Path, tmp_path: Path, quick: Quick) -> None:
    data = tmp_path / "ph2"
    write_import(read_tables(real_data / "ph2", TableOptions(label="diagnosis")), data, naming=DatasetNaming("ph2"))
    train(quick(data, VIT, epochs=1, data={"allow_leakage": True}), tmp_path / "run")
    result = explain([tmp_path / "run"], [data], tmp_path / "out", methods=["input_gradient"], limit=12)
    assert (result.summary.images, result.summary.failed) == (12, 0)
    said = {row["image"]: float(row["lesion_fraction"]) for row in rows(real_data / "ph2" / "labels.csv")}
    for one in rows(tmp_path / "out" / "scores.csv"):
        assert float(one["area"]) == pytest.approx(said[f"{one['image']}.jpg"], abs=1e-3)
        assert 0 < float(one["energy"]) < 1
