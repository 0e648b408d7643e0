"""Runs that are fitted to stored features: from settings to record, to predictions, and again from the store."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from s4mi.config import RunConfig
from s4mi.contract import POOLED, FittedClassifier
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.inference.encoders import load_any_encoder
from s4mi.inference.overlays.saliency import CELL
from s4mi.inference.run_model import RunModel
from s4mi.inference.saliency_maps import Explainer
from s4mi.recipes.embed import embed_run
from s4mi.recipes.export import _load
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_record
from s4mi.records.calibration import read_calibration
from s4mi.training.fitted_run import fit_run
from s4mi.training.prepare import prepare
from s4mi.training.progress import Progress
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import make_runtime
from s4mi.visualisation.saliency_sheet import saliency_sheet

Quick = Callable[..., RunConfig]
FROZEN: dict[str, Any] = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    run = tmp_path_factory.mktemp("runs") / "frozen"
    train(quick(lesions, FROZEN, label_fraction=50, data={"cache": run.parent / "cache"}), run)
    return run


def test_a_fitted_run_leaves_record_predictions_and_calibration(finished: Path) -> None:
    record = read_record(finished)
    assert (record.method, record.technique) == ("frozen", "frozen + classical")
    assert record.fit is not None
    assert [each.name for each in record.fit.features] == ["tiny_resnet", "classical"]
    assert record.fit.features[0].computed == 60
    assert record.fit.chosen["strength"] > 0
    assert record.test is not None
    assert read_calibration(finished) is not None
    assert (finished / "test_predictions.csv").is_file()
    assert (finished / "metrics.jsonl").read_text().count("\n") == 1


def test_the_checkpoint_holds_the_head_and_no_encoder(finished: Path) -> None:
    tensors = load_file(finished / "checkpoints" / "best.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"keys", "joined", "head"}
    assert sum(path.stat().st_size for path in (finished / "checkpoints").iterdir()) < 50_000


def test_the_next_run_takes_all_features_from_the_store(finished: Path, lesions: Path, quick: Quick) -> None:
    seen: list[Progress] = []
    run = finished.parent / "second"
    config = quick(lesions, {**FROZEN, "head": "ridge"}, seed=1, data={"cache": finished.parent / "cache"})
    record = train(config, run, watch=seen.append)
    assert isinstance(record, RunRecord)
    assert record.fit is not None
    assert [each.computed for each in record.fit.features] == [0, 0]
    assert not [progress for progress in seen if progress.phase == "encode" and progress.done]


def test_predictions_of_the_loaded_run_are_those_of_the_test_set(finished: Path, lesions: Path) -> None:
    table = polars.read_csv(finished / "test_predictions.csv")
    model = RunModel(finished)
    names = {path.stem: path for path in (lesions / "images").iterdir()}
    for name, rows in list(table.group_by("image", maintain_order=True))[:5]:
        logits = model._method.logits(_image(model, names[str(name[0])]))
        predicted = dict(zip(model.task.classes, logits.softmax(dim=1)[0].tolist(), strict=True))
        for row in rows.iter_rows(named=True):
            assert predicted[row["class"]] == pytest.approx(row["probability"], abs=1e-6)


def _image(model: RunModel, path: Path) -> torch.Tensor:
    from s4mi.data.images import read_image

    pixels = model.info.preprocessing.images(read_image(path, model.spec.rule))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def test_a_finished_run_is_returned_as_it_is(finished: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, FROZEN, label_fraction=50, data={"cache": finished.parent / "cache"})
    assert train(config, finished, resume=True) == read_record(finished)


def test_the_same_settings_give_the_same_head(finished: Path, lesions: Path, quick: Quick) -> None:
    run = finished.parent / "again"
    train(quick(lesions, FROZEN, label_fraction=50, data={"cache": finished.parent / "cache"}), run)
    one, same = (load_file(folder / "checkpoints" / "best.safetensors") for folder in (finished, run))
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_a_head_on_features_of_other_weights_is_refused(
    finished: Path, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    from s4mi.nets.backbone import Backbone

    torch.manual_seed(1)
    weights = tmp_path / "weights.safetensors"
    net = Backbone("tiny_resnet", image_size=32).net
    save_file(net.state_dict(), weights)
    run = tmp_path / "run"
    settings = {**FROZEN, "weights": str(weights), "join": []}
    train(quick(lesions, settings, data={"cache": finished.parent / "cache"}), run)
    RunModel(run)
    save_file({name: tensor + 1 for name, tensor in net.state_dict().items()}, weights)
    with pytest.raises(S4miError, match="'tiny_resnet' are not those that the head was fitted to"):
        RunModel(run)


@pytest.mark.parametrize("head", ["logistic", "ridge", "knn", "prototype"])
def test_each_head_is_calibrated_and_scored_for_several_labels(
    head: str, cells: Path, quick: Quick, cache_dir: Path, tmp_path: Path
) -> None:
    settings = {**FROZEN, "head": head, "turns": 2}
    record = train(quick(cells, settings, task="multilabel", data={"cache": cache_dir}), tmp_path / head)
    assert isinstance(record, RunRecord)
    assert record.task == "multilabel"
    assert record.test is not None
    assert read_calibration(tmp_path / head) is not None


class TwoProcesses:
    world_size = 2


def test_several_processes_are_refused(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, FROZEN)
    with pytest.raises(S4miError, match="fitted by one process"):
        fit_run(TwoProcesses(), config, prepare(config), RunDir(tmp_path), lambda _: None)  # type: ignore[arg-type]


def test_pseudo_labels_do_without_images_without_labels(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    settings = {**FROZEN, "name": "pseudo_labels", "join": []}
    record = train(quick(lesions, settings, label_fraction=100), tmp_path / "run")
    assert isinstance(record, RunRecord)
    assert record.fit is not None
    assert record.labels.train_labelled == record.labels.train_images


def test_the_run_of_an_export_computes_what_the_file_computes(finished: Path) -> None:
    """Stored features are in 16 bits, so that a run that takes them differs from its file."""
    trained = _load(finished, read_record(finished))
    assert isinstance(trained.method, FittedClassifier)
    assert [extractor.store for extractor in trained.method.extractors] == [None, None]


def test_embedding_gives_the_features_that_the_head_is_fitted_to(finished: Path, lesions: Path) -> None:
    result = embed_run(finished, lesions, finished.parent / "features.parquet")
    assert result.encoder == "tiny_resnet"
    table = polars.read_parquet(result.table)
    model = RunModel(finished)
    encoder = model._method.extractors[0]  # type: ignore[union-attr]
    row = table.row(7, named=True)
    expected = encoder.compute(_image(model, Path(row["image"])))[POOLED][0].numpy()
    np.testing.assert_allclose(row["feature"], expected, rtol=0.02, atol=0.02 * np.abs(expected).max())


def test_saliency_maps_of_a_fitted_run_are_those_of_its_encoder(finished: Path, lesions: Path) -> None:
    explainer = Explainer(finished, name="frozen", methods=["input_gradient"], sanity=True, seed=0)
    path = sorted((lesions / "images").iterdir())[0]
    found = explainer.explain(np.asarray(Image.open(path).convert("RGB")), None)
    assert found.maps["input_gradient"].max() == 1
    assert found.randomised == {}  # its head is fitted, and has no random weights to begin with


def test_a_run_without_a_network_has_no_saliency_maps(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    train(quick(lesions, {"name": "classical"}), tmp_path / "classical")
    with pytest.raises(S4miError, match="has no network and so no saliency maps"):
        Explainer(tmp_path / "classical", name="classical", methods=["input_gradient"], sanity=False, seed=0)
    train(quick(lesions, FROZEN), tmp_path / "frozen")
    runs = [tmp_path / "classical", tmp_path / "frozen"]
    picture = saliency_sheet(runs, load_manifest(lesions), [("one", ""), ("other", "")], images=2)
    assert Image.open(io.BytesIO(picture)).width > 2 * CELL


@pytest.mark.parametrize("name", ["classical_segmenter", "colour_clusters", "token_clusters"])
def test_each_fitted_segmenter_has_features_of_whole_images(
    name: str, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    """By which `s4mi suggest` chooses diverse images."""
    settings: dict[str, Any] = {"name": name}
    if name == "token_clusters":
        settings |= {"backbone": "tiny_vit", "weights": "none"}
    if name == "classical_segmenter":
        settings |= {"trees": 3, "depth": 3}
    config = quick(lesions, settings, task="segmentation")
    train(config, tmp_path / name)
    encoder = load_any_encoder(make_runtime(config), tmp_path / name)
    features = encoder.extractor(torch.rand(2, 3, 32, 32))[POOLED]
    assert features.shape[0] == 2
    assert features.shape[1] > 1
