"""Clusters are predicted as numbers, shown on a contact sheet, and named by a person."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig, save_run_config
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import MAX_COLOURS, cluster_overlay
from s4mi.inference.predictor import Predictor
from s4mi.inference.run_model import RunModel
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.training.run_dir import RunDir
from s4mi.visualisation.cluster_sheet import IMAGES, ClusterSheet, _share_lines

Quick = Callable[..., RunConfig]
PICIE = {"name": "picie", "backbone": "tiny_resnet", "weights": "none", "width": 16, "clusters": 3}
SIDE = 32
"""Side of the network input. Images of this size are predicted without resizing."""


def picture(path: Path) -> Pixels:
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 16 images of 32 pixels without annotations."""
    folder = tmp_path_factory.mktemp("nameless")
    rows = ["id,image"]
    for number in range(16):
        generator = np.random.default_rng(number)
        pixels = generator.integers(150, 200, (SIDE, SIDE, 3))
        y, x = generator.integers(4, 14, 2)
        pixels[y : y + 14, x : x + 14] //= 3
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
        rows.append(f"{number:02},{number:02}.png")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "dataset.yaml").write_text("name: nameless\ntasks: []\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, nameless: Path, lesions: Path, quick: Quick) -> Path:
    """Clustering runs without masks (whole images, tiles) and with masks; runs of two other methods."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(nameless, PICIE, epochs=1), folder / "nameless")
    train(quick(nameless, PICIE, epochs=1, data={"tile": 16, "image_size": 16}), folder / "tiled")
    train(quick(lesions, PICIE, epochs=1), folder / "matched")
    train(quick(lesions, DEDL, epochs=1), folder / "dedl")
    train(quick(lesions, TRANSFER, epochs=1), folder / "multiclass")
    return folder


def named(run: Path, to: Path, classes: str) -> Path:
    """A copy of a run with named clusters, by an edit of its config.yaml."""
    shutil.copytree(run, to)
    settings = (to / "config.yaml").read_text(encoding="utf-8")
    edited, changes = re.subn(r"^  classes: null$", f"  classes: {classes}", settings, flags=re.MULTILINE)
    assert changes == 1
    (to / "config.yaml").write_text(edited, encoding="utf-8")
    return to


def test_label_maps_contain_cluster_numbers_at_the_size_of_each_image(tmp_path: Path, runs: Path) -> None:
    generator = np.random.default_rng(0)
    for name, size in (("wide.png", (30, 70)), ("high.jpg", (90, 41))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    for run in ("nameless", "tiled", "matched"):
        out = tmp_path / "out" / run
        inputs = [tmp_path / "wide.png", tmp_path / "high.jpg"]
        result = predict_run(runs / run, inputs, out, clusters=True)
        assert (result.predicted, result.failed) == (2, 0)
        assert picture(out / "wide.png").shape == (30, 70)
        assert picture(out / "high.png").shape == (90, 41)
        assert set(np.unique(picture(out / "wide.png"))) <= {0, 1, 2}


def test_the_clusters_of_an_image_in_tiles_are_those_of_its_tiles(tmp_path: Path, runs: Path, nameless: Path) -> None:
    """Tiles that do not overlap are independent of each other."""
    predict_run(runs / "tiled", [nameless], tmp_path / "whole", clusters=True, overlap=0)
    pixels = read_image(nameless / "03.png")
    quarters = [(slice(y, y + 16), slice(x, x + 16)) for y in (0, 16) for x in (0, 16)]
    for number, quarter in enumerate(quarters):
        Image.fromarray(pixels[quarter]).save(tmp_path / f"{number}.png")
        predict_run(runs / "tiled", [tmp_path / f"{number}.png"], tmp_path / "quarters", clusters=True)
    whole = picture(tmp_path / "whole" / "03.png")
    grid = RunDir(runs / "tiled").config().data.preprocessing.grid((SIDE, SIDE))
    assert len(Predictor((RunModel(runs / "tiled"),), overlap=0).preprocess(pixels)) == 4, grid
    for number, quarter in enumerate(quarters):
        np.testing.assert_array_equal(whole[quarter], picture(tmp_path / "quarters" / f"{number}.png"))


def test_without_names_the_masks_are_the_clusters(tmp_path: Path, runs: Path, nameless: Path) -> None:
    predict_run(runs / "nameless", [nameless], tmp_path / "masks", overlay=True)
    predict_run(runs / "nameless", [nameless], tmp_path / "clusters", clusters=True)
    for number in range(16):
        for name in (f"{number:02}.png", f"overlays/{number:02}.png"):
            assert (tmp_path / "masks" / name).read_bytes() == (tmp_path / "clusters" / name).read_bytes()
    assert not (tmp_path / "masks" / "clusters.png").exists()


def test_with_names_each_pixel_has_the_class_of_its_cluster(tmp_path: Path, runs: Path, nameless: Path) -> None:
    run = named(runs / "nameless", tmp_path / "run", "{0: lesion, 1: background, 2: lesion}")
    predict_run(run, [nameless], tmp_path / "masks")
    predict_run(run, [nameless], tmp_path / "clusters", clusters=True)
    for number in range(16):
        clusters = picture(tmp_path / "clusters" / f"{number:02}.png")
        expected = np.where(clusters == 1, 0, 255)
        np.testing.assert_array_equal(picture(tmp_path / "masks" / f"{number:02}.png"), expected)


def test_overlays_and_shares_match_the_label_maps(tmp_path: Path, runs: Path, nameless: Path) -> None:
    result = predict_run(runs / "nameless", [nameless], tmp_path, clusters=True)
    assert result.legend == "cluster 0 sky blue, cluster 1 vermilion, cluster 2 yellow"
    with (tmp_path / "clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 * 3
    for row in rows:
        clusters = picture(tmp_path / f"{row['image']}.png")
        assert float(row["share"]) == pytest.approx((clusters == int(row["cluster"])).mean(), abs=1e-6)
    clusters = picture(tmp_path / "05.png")
    expected = cluster_overlay(read_image(nameless / "05.png"), clusters)
    np.testing.assert_array_equal(picture(tmp_path / "overlays" / "05.png"), expected)


def test_clusters_are_predicted_whatever_masks_a_data_set_has(
    tmp_path: Path, runs: Path, lesions: Path, cells: Path
) -> None:
    for data in (lesions, cells):
        assert predict_run(runs / "matched", [data], tmp_path / data.parent.name, clusters=True).failed == 0


@pytest.mark.parametrize("clusters", [2, 20, MAX_COLOURS])
def test_a_sheet_shows_a_selection_of_images_and_all_clusters(tmp_path: Path, clusters: int) -> None:
    names = [f"{number}.png" for number in range(2 * IMAGES)]
    generator = np.random.default_rng(0)
    with ClusterSheet(tmp_path, clusters=clusters, images=names) as sheet:
        for name in names:
            pixels = generator.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            blocks = generator.integers(0, clusters, (4, 6), dtype=np.uint8)
            sheet.add(name, pixels, np.kron(blocks, np.ones((10, 10), dtype=np.uint8)))
    drawn = picture(sheet.path)
    height, width = drawn.shape[:2]
    assert height > IMAGES * 112  # height of a cell
    assert (drawn[:, width - 14 :] == 255).all(), "nothing is cut off at the margin"
    with (tmp_path / "clusters.csv").open(newline="") as file:
        shares = [float(row["share"]) for row in csv.DictReader(file)]
    assert sum(shares) == pytest.approx(len(names), abs=1e-6 * len(shares))


def test_without_a_readable_image_there_is_no_sheet(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = predict_run(runs / "nameless", [tmp_path / "broken.png"], tmp_path / "out", clusters=True)
    assert (result.predicted, result.failed, result.sheet, result.next_steps) == (0, 1, None, ())


def test_the_next_steps_list_every_cluster_and_work(tmp_path: Path, runs: Path, nameless: Path) -> None:
    result = predict_run(runs / "nameless", [nameless], tmp_path / "out", clusters=True)
    name, then = result.next_steps
    assert f"{runs / 'nameless' / 'config.yaml'}" in name
    assert then == f"then predict masks of the classes: s4mi predict {runs / 'nameless'} IMAGES -o MASKS"
    run = named(runs / "nameless", tmp_path / "run", name.partition("classes: ")[2])
    assert predict_run(run, [nameless], tmp_path / "masks").predicted == 16
    (only,) = predict_run(run, [nameless], tmp_path / "again", clusters=True).next_steps
    assert "cluster names are set in" in only
    (matched, _) = predict_run(runs / "matched", [nameless], tmp_path / "matched", clusters=True).next_steps
    assert "clusters were named by validation masks" in matched
    assert "{0: background, 1: lesion, 2: background}" in matched


@pytest.mark.parametrize("run", ["dedl", "multiclass"])
def test_a_run_without_clusters_is_an_error_that_lists_clustering_methods(
    tmp_path: Path, runs: Path, nameless: Path, run: str
) -> None:
    with pytest.raises(S4miError, match=r"method \w+ finds no clusters; .* use a run of [\w, ]+ or \w+$"):
        predict_run(runs / run, [nameless], tmp_path / "out", clusters=True)
    assert not (tmp_path / "out").exists()


def test_the_sheet_overwrites_no_image(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("clusters.jpg", "out/clusters.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    with pytest.raises(S4miError, match=r"clusters\.jpg: its mask would be overwritten by .*; rename the image"):
        predict_run(runs / "nameless", [tmp_path / "clusters.jpg"], tmp_path / "else", clusters=True)
    (tmp_path / "clusters.jpg").unlink()
    with pytest.raises(S4miError, match=r"out/clusters\.png: would be overwritten by the contact sheet"):
        predict_run(runs / "nameless", [tmp_path], tmp_path / "out", clusters=True)


@pytest.mark.parametrize(
    ("run", "classes", "message"),
    [
        ("nameless", "{0: background, 1: lesion}", "names 2 clusters, but there are 3"),
        ("nameless", "{0: background, 2: lesion}", "clusters must be numbered from 0 without gaps"),
        ("nameless", "{0: lesion, 1: lesion, 2: lesion}", "at least two classes must be named"),
        (
            "matched",
            "{0: background, 1: lesoin, 2: background}",
            "unknown class 'lesoin' of cluster 1; did you mean",
        ),
    ],
)
def test_an_invalid_name_is_one_line_with_its_location(
    tmp_path: Path, runs: Path, nameless: Path, run: str, classes: str, message: str
) -> None:
    wrong = named(runs / run, tmp_path / "run", classes)
    with pytest.raises(S4miError) as error:
        predict_run(wrong, [nameless], tmp_path / "out")
    assert str(error.value).startswith(f"{wrong / 'config.yaml'}: method")
    assert "classes: " in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_reported_and_not_the_settings(
    tmp_path: Path, runs: Path, nameless: Path, quick: Quick
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "nameless", run)
    save_run_config(quick(nameless, {**PICIE, "width": 8}), run / "config.yaml")
    with pytest.raises(S4miError, match=r"best\.safetensors: weights of another network"):
        RunModel(run)


def test_a_sheet_of_hundreds_of_small_clusters_names_the_largest() -> None:
    shares = np.full(250, 1 / 250)
    shares[7] += 1e-4
    assert _share_lines(shares) == ("7:\N{NO-BREAK SPACE}0\N{NO-BREAK SPACE}%", "")
    assert _share_lines(np.array([0.3, 0.6, 0.1]))[0].startswith("1:\N{NO-BREAK SPACE}60\N{NO-BREAK SPACE}%")
