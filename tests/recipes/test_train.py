"""A run from settings to record: the same weights for the same seed, whatever happens on the way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig, load_run_config, save_run_config
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import ClassificationScores, RunRecord, SegmentationScores, read_epochs, read_record
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]


class StoppedError(Exception):
    """Ends a run from outside, as Ctrl-C would."""


def stop_after(epoch: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.latest is not None and progress.latest.epoch == epoch and progress.epoch == epoch + 1:
            raise StoppedError

    return watch


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"{name}.safetensors")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A segmentation run of four epochs."""
    run = tmp_path_factory.mktemp("runs") / "dedl"
    train(quick(lesions, DEDL, epochs=4), run)
    return run


@pytest.mark.long
def test_a_run_leaves_everything_it_promises(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "dataset.yaml",
        "split.json",
        "training_features.npz",
        "training_images.json",
        "data.json",
        "metrics.jsonl",
        "metrics.csv",
        "calibration.json",
        "record.json",
        "test_images.csv",
        "checkpoints/last.safetensors",
        "checkpoints/training.pt",
        "checkpoints/best.safetensors",
    }
    record = read_record(finished)
    assert isinstance(record.val, SegmentationScores)
    assert isinstance(record.test, SegmentationScores)
    assert record.labels.train_labelled == record.labels.train_images
    assert record.labels.train_images + record.labels.val + record.labels.test == 60
    assert record.test.images == record.labels.test
    assert record.synthetic
    assert record.cost.images_per_second > 0
    trained = [tensor for name, tensor in weights(finished).items() if not re.search("running|batches", name)]
    assert record.cost.parameters == sum(tensor.numel() for tensor in trained)
    assert [epoch.epoch for epoch in read_epochs(finished)] == [1, 2, 3, 4]


def test_the_best_epoch_is_the_one_with_the_best_validation_score(finished: Path) -> None:
    record, epochs = read_record(finished), read_epochs(finished)
    assert record.metric == "iou"
    assert record.best_epoch == max(epochs, key=lambda epoch: epoch.val["iou"]).epoch


def trained_with_scores(
    monkeypatch: pytest.MonkeyPatch, config: RunConfig, run: Path, scores: list[float]
) -> RunRecord:
    """Train with these validation scores, one per epoch."""
    given = iter(scores)
    monkeypatch.setattr("s4mi.recipes.train.validate", lambda *_, **__: {"iou": next(given), "f1_macro": 0.0})
    record = train(config, run)
    assert isinstance(record, RunRecord)
    return record


@pytest.mark.long
def test_the_last_epoch_is_scored_too_where_it_is_not_the_selected_one(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The selected one of two epochs is the last of a run of one, which has the same batches and weights."""
    optim = {"lr": 1e-3, "schedule": "constant"}
    record = trained_with_scores(monkeypatch, quick(lesions, DEDL, epochs=2, optim=optim), tmp_path / "two", [0.9, 0.1])
    assert (record.best_epoch, record.ended_improving) == (1, False)
    one = trained_with_scores(monkeypatch, quick(lesions, DEDL, epochs=1, optim=optim), tmp_path / "one", [0.5])
    assert record.test == one.test
    two = trained_with_scores(monkeypatch, quick(lesions, DEDL, epochs=2, optim=optim), tmp_path / "up", [0.1, 0.9])
    assert isinstance(record.last_test, SegmentationScores)
    assert isinstance(two.test, SegmentationScores)
    without = {"hd95": None, "assd": None}
    per_class = {name: scores.model_copy(update=without) for name, scores in two.test.per_class.items()}
    assert record.last_test == two.test.model_copy(update={**without, "per_class": per_class})
    assert (two.best_epoch, two.ended_improving, two.last_test) == (2, True, None)


@pytest.mark.long
def test_a_run_says_when_it_ended_improving_or_made_few_steps(
    tmp_path: Path, lesions: Path, quick: Quick, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="s4mi")
    record = trained_with_scores(monkeypatch, quick(lesions, DEDL, epochs=2), tmp_path / "run", [0.1, 0.9])
    assert record.steps == 2 * 6  # 42 training images in batches of 8
    assert [said for said in caplog.messages if "best epoch was the last, 2 of 2" in said]
    assert [said for said in caplog.messages if "only 12 optimiser steps" in said]


def test_steps_are_the_same_for_few_labels_as_for_many(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    few = quick(lesions, DEDL, epochs=None, steps=9, epoch_steps=3, label_fraction=10)
    record = train(few, tmp_path / "run")
    assert isinstance(record, RunRecord)
    assert (record.steps, record.epochs) == (9, 3)
    assert [epoch.epoch for epoch in read_epochs(tmp_path / "run")] == [1, 2, 3]
    assert train(few, tmp_path / "run", resume=True) == record  # the saved settings are those of today


def test_the_loss_falls(finished: Path) -> None:
    losses = [epoch.losses["total"] for epoch in read_epochs(finished)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(quick(lesions, TRANSFER, epochs=2, seed=seed), tmp_path / name)
    torch.testing.assert_close(weights(tmp_path / "a"), weights(tmp_path / "b"), rtol=0, atol=0)
    assert not torch.equal(weights(tmp_path / "a")["head.weight"], weights(tmp_path / "c")["head.weight"])


@pytest.mark.long
def test_a_run_stopped_in_an_epoch_resumes_to_the_same_weights(
    tmp_path: Path, finished: Path, lesions: Path, quick: Quick
) -> None:
    config, run = quick(lesions, DEDL, epochs=4), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop_after(2))
    assert not (run / "record.json").exists()
    record = train(config, run, resume=True)
    torch.testing.assert_close(weights(run), weights(finished), rtol=0, atol=0)
    torch.testing.assert_close(weights(run, "best"), weights(finished, "best"), rtol=0, atol=0)
    assert record.test == read_record(finished).test
    assert [epoch.epoch for epoch in read_epochs(run)] == [1, 2, 3, 4]


@pytest.mark.long
def test_epochs_since_the_last_checkpoint_run_again_and_are_logged_once(
    tmp_path: Path, finished: Path, lesions: Path, quick: Quick
) -> None:
    config, run = quick(lesions, DEDL, epochs=4, hardware={"accelerator": "cpu", "checkpoint_seconds": 3600}), tmp_path
    with pytest.raises(StoppedError):
        train(config, run, watch=stop_after(3))
    assert len(read_epochs(run)) == 3
    assert not (run / "checkpoints" / "training.pt").exists()
    train(config, run, resume=True)
    assert [epoch.epoch for epoch in read_epochs(run)] == [1, 2, 3, 4]
    torch.testing.assert_close(weights(run, "best"), weights(finished, "best"), rtol=0, atol=0)


@pytest.mark.long
def test_kill_9_at_a_random_moment_resumes_to_the_same_weights(
    tmp_path: Path, finished: Path, lesions: Path, quick: Quick
) -> None:
    save_run_config(quick(lesions, DEDL, epochs=4), tmp_path / "run.yaml")
    command = [sys.executable, "-m", "s4mi", "train", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    moment = np.random.default_rng().uniform(0, 1.5)
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (tmp_path / "run" / "metrics.jsonl").exists():
            time.sleep(0.02)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run([*command, "--resume"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"killed {moment:.3f} s after the start: {done.stderr}"
    torch.testing.assert_close(weights(tmp_path / "run"), weights(finished), rtol=0, atol=0)


def test_a_finished_run_is_not_run_again(finished: Path, lesions: Path, quick: Quick) -> None:
    before = (finished / "record.json").stat().st_mtime_ns

    def refuse(_: Progress) -> None:
        raise AssertionError("a finished run was run again")

    assert train(quick(lesions, DEDL, epochs=4), finished, resume=True, watch=refuse) == read_record(finished)
    assert (finished / "record.json").stat().st_mtime_ns == before


def test_a_used_folder_is_refused_without_resume(finished: Path, lesions: Path, quick: Quick) -> None:
    with pytest.raises(S4miError, match=r"contains a run already; pass --resume"):
        train(quick(lesions, DEDL, epochs=4), finished)


def test_other_settings_are_refused_on_resume(finished: Path, lesions: Path, quick: Quick) -> None:
    with pytest.raises(S4miError, match=r"other settings \(epochs: 4 → 5; seed: 0 → 3\)"):
        train(quick(lesions, DEDL, epochs=5, seed=3), finished, resume=True)


def test_a_folder_of_other_things_is_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(S4miError, match="contains files but not a run"):
        train(quick(lesions, DEDL), tmp_path, resume=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_loss_that_is_not_finite_names_images_and_a_hint(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, {**TRANSFER, "class_weights": [1e38, 1e38, 1e38]})
    with pytest.raises(S4miError) as caught:
        train(config, tmp_path / "run")
    message = str(caught.value)
    assert message.startswith("epoch 1, step ")
    assert "lesion_00" in message
    assert "optim.lr" in message
    assert "\n" not in message


def test_a_corrupt_image_is_named_before_training(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    manifest = load_manifest(lesions)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for name in ("dataset.yaml", "manifest.csv"):
        (folder / name).write_bytes((lesions / name).read_bytes())
    (folder / "masks").symlink_to(lesions / "masks")
    for row in manifest.rows:
        (folder / "images" / row.image.name).write_bytes(row.image.read_bytes())
    broken = manifest.rows[4].image.name
    (folder / "images" / broken).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(S4miError, match=rf"manifest\.csv:6: image '{broken}'"):
        train(quick(folder, TRANSFER), tmp_path / "run")


@pytest.mark.long
def test_multilabel_training_ends_with_its_scores(tmp_path: Path, cells: Path, quick: Quick) -> None:
    record = train(quick(cells, TRANSFER), tmp_path / "run")
    assert record.task == "multilabel"
    assert isinstance(record.test, ClassificationScores)
    assert len(record.test.confusion) == 5


def test_a_label_fraction_reads_that_share_of_the_labels(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    record = train(quick(lesions, TRANSFER, label_fraction=50, epochs=1), tmp_path / "run")
    assert record.labels.train_labelled == pytest.approx(record.labels.train_images / 2, abs=2)
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert set(split["labelled"]) < set(split["train"])
    assert len(split["labelled"]) == record.labels.train_labelled


def test_a_method_that_does_not_fit_the_data_is_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "dataset.yaml").write_text("name: bare\ntasks: []\n")
    (folder / "manifest.csv").write_text("image\na.png\n")
    with pytest.raises(S4miError, match="has annotations for no task"):
        train(quick(folder, DEDL), tmp_path / "run")


def test_a_class_without_a_labelled_image_is_named(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    with pytest.raises(S4miError, match=r"has no labelled training image at label_fraction=2"):
        train(quick(lesions, TRANSFER, label_fraction=2), tmp_path / "run")


def test_the_saved_settings_run_again(finished: Path) -> None:
    config = load_run_config(finished / "config.yaml")
    assert config.hash == read_record(finished).config_hash


def test_a_fraction_of_one_is_said_to_be_percent(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    with pytest.raises(S4miError, match=r"at label_fraction=0\.5, which is 0\.5 percent, not 50 "):
        train(quick(lesions, TRANSFER, label_fraction=0.5), tmp_path / "run")
