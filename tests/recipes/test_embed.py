"""Embedding writes the encoder's features of every readable image, with its entries in the data set."""

import csv
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.contract import Task
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.inference.features import embed_files
from s4mi.inference.run_encoder import RunEncoder
from s4mi.nets.backbone import Backbone
from s4mi.recipes.embed import embed_run, feature_map
from s4mi.recipes.train import train
from s4mi.records import FeatureMap
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_runtime

Quick = Callable[..., RunConfig]
CASS = {"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Path:
    """A pre-training run of two encoders, a classifier of each kind, and a segmenter."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, CASS, epochs=1), folder / "cass")
    train(quick(lesions, TRANSFER, epochs=1, data={"tile": 20, "red_channel_normalisation": True}), folder / "tiled")
    train(quick(cells, TRANSFER, epochs=1), folder / "multilabel")
    train(quick(lesions, DEDL, epochs=1), folder / "segmentation")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of other sizes, one of them in a subfolder, and a corrupt one."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("wide.png", (30, 70)), ("more/high.png", (90, 41))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def features(table: polars.DataFrame) -> np.ndarray:
    return np.stack(table["feature"].to_list())


def by_hand(network: torch.nn.Module, path: Path, preprocessing: Preprocessing) -> np.ndarray:
    """The mean of the network's features over the tiles of one image."""
    tiles = torch.from_numpy(preprocessing.images(read_image(path))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return network.eval()(tiles).mean(dim=0).numpy()


@pytest.mark.long
def test_features_are_those_of_the_encoder_that_the_run_left(runs: Path, lesions: Path, tmp_path: Path) -> None:
    made = embed_run(runs / "cass", lesions, tmp_path / "f.parquet", encoder="tiny_vit", batch_size=7)
    assert (made.encoder, made.others, made.embedded, made.failed) == ("tiny_vit", ("tiny_resnet",), 60, 0)
    table = polars.read_parquet(made.table)
    assert table.schema["feature"] == polars.Array(polars.Float32, 96)
    weights = str(runs / "cass/encoders/tiny_vit.safetensors")
    network = Backbone("tiny_vit", image_size=32, weights=weights)
    for row in table.rows(named=True)[::20]:
        expected = by_hand(network, Path(row["image"]), Preprocessing(image_size=32))
        np.testing.assert_allclose(row["feature"], expected, atol=1e-5)


def test_tiles_and_colours_are_those_of_training(runs: Path, images: Path, tmp_path: Path) -> None:
    run = RunDir(runs / "tiled")
    config = run.config()
    made = embed_run(run.path, images, tmp_path / "f.parquet", batch_size=3)
    table = polars.read_parquet(made.table)
    task = Task(kind="multiclass", classes=("a", "b", "c"), image_size=32, counts=(), labelled=0)
    network = load_method(make_runtime(config), config, task, run.best).backbone
    expected = [by_hand(network, Path(path), config.data.preprocessing) for path in table["image"]]
    np.testing.assert_allclose(features(table), expected, atol=1e-5)


def test_every_row_says_what_the_data_set_and_the_run_know(runs: Path, lesions: Path, tmp_path: Path) -> None:
    made = embed_run(runs / "cass", lesions, tmp_path / "f.parquet")
    table = polars.read_parquet(made.table)
    assert table.columns == ["id", "image", "label", "group", "split", "encoder", "feature"]
    split = json.loads((runs / "cass/split.json").read_text())
    part_of = {one: part for part in ("train", "val", "test") for one in split[part]}
    for row, listed in zip(table.rows(named=True), load_manifest(lesions).rows, strict=True):
        assert (row["id"], row["image"], row["group"]) == (listed.id, str(listed.image), listed.group)
        assert row["label"] == ";".join(listed.labels)
        assert row["split"] == part_of[listed.id]
        assert row["encoder"] == "tiny_resnet"


def test_several_labels_are_joined_and_none_is_called_so(runs: Path, cells: Path, tmp_path: Path) -> None:
    embed_run(runs / "multilabel", cells, tmp_path / "f.parquet")
    table = polars.read_parquet(tmp_path / "f.parquet")
    expected = [";".join(row.labels) or "none" for row in load_manifest(cells).rows]
    assert table["label"].to_list() == expected


def test_of_another_data_set_the_split_is_its_own(runs: Path, cells: Path, tmp_path: Path) -> None:
    table = polars.read_parquet(embed_run(runs / "cass", cells, tmp_path / "f.parquet").table)
    assert table["split"].to_list() == [row.split for row in load_manifest(cells).rows]


def test_a_plain_folder_is_embedded_and_a_broken_image_gets_a_line(runs: Path, images: Path, tmp_path: Path) -> None:
    made = embed_run(runs / "cass", images, tmp_path / "out/f.parquet")
    assert (made.embedded, made.failed) == (2, 1)
    table = polars.read_parquet(made.table)
    assert table["id"].to_list() == ["more/high.png", "wide.png"]
    for name in ("label", "group", "split"):
        assert table[name].to_list() == [None, None]
    with (tmp_path / "out/errors.csv").open(newline="") as file:
        (error,) = csv.DictReader(file)
    assert error["image"].endswith("broken.png")


def test_the_map_lies_beside_the_table(runs: Path, lesions: Path, tmp_path: Path) -> None:
    made = embed_run(runs / "cass", lesions, tmp_path / "f.parquet")
    drawn = FeatureMap.model_validate_json(made.points.read_bytes())
    table = polars.read_parquet(made.table)
    assert [point.id for point in drawn.points] == table["id"].to_list()
    assert (drawn.encoder, drawn.projection) == ("tiny_resnet", "pca")
    centred = features(table) - features(table).mean(axis=0)
    plane = np.array([(point.x, point.y) for point in drawn.points])
    assert drawn.explained == pytest.approx((plane**2).sum() / (centred**2).sum(), rel=1e-4)
    assert ET.fromstring(made.picture.read_text(encoding="utf-8")).get("role") == "img"


def test_a_map_takes_tensors_and_arrays_alike() -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    about = {"ids": list("abcdef"), "parts": ["train"] * 6, "labels": [None, (), ("x",), ["y"], ["x", "y"], None]}
    one = feature_map(x.to(torch.float64).requires_grad_(), encoder="e", **about)
    assert one == feature_map(x.numpy(), encoder="e", **about)
    assert [point.labels for point in one.points] == [None, [], ["x"], ["y"], ["x", "y"], None]
    with pytest.raises(ValueError, match="argument"):
        feature_map(x, encoder="e", **{**about, "ids": ["a"]})


@pytest.mark.parametrize(
    ("run", "asked", "message"),
    [
        ("segmentation", {}, "a segmentation run has no features of whole images"),
        ("cass", {"encoder": "tiny_resnett"}, "did you mean 'tiny_resnet'.; available: tiny_resnet, tiny_vit"),
        ("nowhere", {}, "no such folder"),
    ],
)
def test_what_has_no_encoder_is_one_line(runs: Path, images: Path, tmp_path: Path, run: str, asked, message) -> None:
    with pytest.raises(S4miError, match=message) as caught:
        embed_run(runs / run, images, tmp_path / "f.parquet", **asked)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_readable_image_is_one_line(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"")
    with pytest.raises(S4miError, match="none of its 1 images can be read"):
        embed_run(runs / "cass", tmp_path / "images", tmp_path / "f.parquet")


def test_the_table_must_be_called_parquet(runs: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"end it in \.parquet"):
        embed_run(runs / "cass", images, tmp_path / "f.csv")


def test_umap_is_missed_before_anything_is_embedded(
    runs: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(S4miError, match=r"s4mi\[umap\]"):
        embed_run(runs / "cass", images, tmp_path / "out/f.parquet", projection="umap")
    assert not (tmp_path / "out").exists()


def test_images_are_encoded_once_for_embedding_and_for_suggestions(
    runs: Path, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_run(runs / "cass", lesions, tmp_path / "one.parquet")

    def refuse(*_: object) -> None:
        raise AssertionError("encoded twice")

    monkeypatch.setattr(RunEncoder, "compute", refuse)
    again = embed_run(runs / "cass", lesions, tmp_path / "two.parquet")
    expected = features(polars.read_parquet(first.table))
    np.testing.assert_array_equal(features(polars.read_parquet(again.table)), expected)
    images = [row.image for row in load_manifest(lesions).rows]
    np.testing.assert_array_equal(embed_files(runs / "cass", images).features, expected)
