"""Pre-training from settings to encoders: without labels, reproducible to the bit, stopped when features collapse."""

import csv
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.contract import Pretrainer
from s4mi.data.manifest import load_manifest
from s4mi.engine.checkpoint import load_weights
from s4mi.errors import S4miError
from s4mi.maths.feature_health import spread
from s4mi.nets.backbone import Backbone
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records import FeatureHealth, FeatureMap, PretrainingRecord, read_epochs, read_pretraining
from s4mi.records import pretraining as records
from s4mi.training.evaluate import evaluate_run
from s4mi.training.prepare import prepare
from s4mi.training.progress import Progress
from s4mi.training.run_method import build_method

Quick = Callable[..., RunConfig]

HEAD = {"hidden": 16, "bottleneck": 8, "prototypes": 16}
SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "dino": {"name": "dino", "backbone": "tiny_vit", "weights": "none", "local_crops": 1, "local_size": 16, **HEAD},
    "cass": {"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_swin", "weights": "none", "embedding": 8},
    "simclr": SIMCLR,
    "simmim": {"name": "simmim", "backbone": "tiny_resnet", "weights": "none", "square": 8},
}
ENCODERS = {"dino": ["tiny_vit"], "cass": ["tiny_resnet", "tiny_swin"], "simclr": ["tiny_resnet"],
            "simmim": ["tiny_resnet"]}  # fmt: skip
every_method = pytest.mark.parametrize("name", SMALL)


class StoppedError(Exception):
    """Ends a run from outside, as Ctrl-C would."""


def stop_after(epoch: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.latest is not None and progress.latest.epoch == epoch and progress.epoch == epoch + 1:
            raise StoppedError

    return watch


def pretrain(config: RunConfig, run: Path, **options: Any) -> PretrainingRecord:
    record = train(config, run, **options)
    assert isinstance(record, PretrainingRecord)
    return record


def encoder_bytes(run: Path) -> dict[str, str]:
    """The hash of each encoder's file."""
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (run / "encoders").iterdir()}


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick
) -> Callable[[str], tuple[RunConfig, Path]]:
    """A run of two epochs of a method, trained when it is first asked for."""
    made: dict[str, tuple[RunConfig, Path]] = {}

    def run(name: str) -> tuple[RunConfig, Path]:
        if name not in made:
            config, folder = quick(lesions, SMALL[name], epochs=2), tmp_path_factory.mktemp("runs") / name
            train(config, folder)
            made[name] = config, folder
        return made[name]

    return run


Finished = Callable[[str], tuple[RunConfig, Path]]


@pytest.mark.long
@every_method
def test_a_run_leaves_everything_it_promises_and_nothing_else(name: str, finished: Finished) -> None:
    config, run = finished(name)
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml", "dataset.yaml", "split.json", "data.json", "metrics.jsonl", "metrics.csv", "record.json",
        "seen.txt", "feature_map.json", "first_look.json", "checkpoints/last.safetensors", "checkpoints/training.pt",
        *(f"encoders/{encoder}.safetensors" for encoder in ENCODERS[name]),
    }  # fmt: skip
    record = read_pretraining(run)
    assert record.method == name
    assert record.encoders == {encoder: f"encoders/{encoder}.safetensors" for encoder in ENCODERS[name]}
    assert (record.epochs, record.seed, record.synthetic) == (2, 0, True)
    assert record.config_hash == config.hash
    split = json.loads((run / "split.json").read_text())
    assert record.images == len(split["train"])
    assert record.split_hash == split["hash"]
    assert set(ENCODERS[name]) <= set(record.start.features)
    assert set(record.start.features) == set(record.end.features)
    assert record.start != record.end
    assert record.end == read_epochs(run)[-1].health


@every_method
def test_an_encoder_file_is_the_trained_encoder_to_the_bit(name: str, finished: Finished) -> None:
    config, run = finished(name)
    method = build_method(config, prepare(config).task)
    fresh = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.load_state_dict(load_weights(run / "checkpoints" / "last.safetensors"))
    assert isinstance(method, Pretrainer)
    trained = method.eval().state_dict()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for encoder_name, encoder in method.encoders().items():
        loaded = Backbone(
            encoder_name, image_size=32, weights=str(run / "encoders" / f"{encoder_name}.safetensors")
        ).eval()
        with torch.no_grad():
            assert torch.equal(loaded(images), encoder(images))
        prefix = next(place for place, module in method.named_modules() if module is encoder)
        moved = [key for key in trained if key.startswith(f"{prefix}.") and not torch.equal(trained[key], fresh[key])]
        assert len(moved) > 3, "the encoder has not learnt"


def test_dino_leaves_the_teacher(finished: Finished) -> None:
    _, run = finished("dino")
    weights = load_weights(run / "checkpoints" / "last.safetensors")
    encoder = load_weights(run / "encoders" / "tiny_vit.safetensors")
    assert all(torch.equal(weights[f"teacher.backbone.net.{key}"], tensor) for key, tensor in encoder.items())
    assert not torch.equal(weights["student.backbone.net.cls_token"], encoder["cls_token"])


@pytest.mark.long
@every_method
def test_a_run_stopped_in_an_epoch_resumes_to_the_same_encoders(name: str, tmp_path: Path, finished: Finished) -> None:
    config, whole = finished(name)
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop_after(1))
    assert not (run / "record.json").exists()
    assert not (run / "encoders").exists()
    record = pretrain(config, run, resume=True)
    assert encoder_bytes(run) == encoder_bytes(whole)
    uninterrupted = read_pretraining(whole)
    assert (record.start, record.end) == (uninterrupted.start, uninterrupted.end)
    assert (run / "feature_map.json").read_bytes() == (whole / "feature_map.json").read_bytes()
    assert [epoch.health for epoch in read_epochs(run)] == [epoch.health for epoch in read_epochs(whole)]


def test_a_finished_run_is_not_trained_again(finished: Finished) -> None:
    config, run = finished("simclr")
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}

    def watch(progress: Progress) -> None:
        pytest.fail(f"it does something: {progress}")

    assert pretrain(config, run, resume=True, watch=watch) == read_pretraining(run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == files


def copied(data: Path, folder: Path, *, rows: Callable[[list[dict[str, str]]], None], spec: Any = None) -> Path:
    """The same images with another manifest: `rows` changes it in place."""
    folder.mkdir()
    for name in ("images", "masks"):
        (folder / name).symlink_to(data / name)
    contents = yaml.safe_load((data / "dataset.yaml").read_text())
    (folder / "dataset.yaml").write_text(yaml.safe_dump({**contents, **(spec or {})}, sort_keys=False))
    with (data / "manifest.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows(table)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return folder


def officially(table: list[dict[str, str]]) -> None:
    """Split by patient: every fifth is for testing, every fifth for validation."""
    groups = list(dict.fromkeys(row["group"] for row in table))
    for row in table:
        row["split"] = {0: "test", 1: "val"}.get(groups.index(row["group"]) % 5, "train")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, lesions: Path) -> Path:
    """The lesions with an official split."""
    return copied(lesions, tmp_path_factory.mktemp("official") / "data", rows=officially)


def turned(table: list[dict[str, str]]) -> None:
    labels = [row["label"] for row in table]
    for row, label in zip(table, labels[7:] + labels[:7], strict=True):
        row["label"] = label


def emptied(table: list[dict[str, str]]) -> None:
    """Keep only the label of the first image of each class in each part; a split needs some labels."""
    kept: set[tuple[str, str]] = set()
    for row in table:
        place = (row["split"], row["label"])
        row["label"] = "" if place in kept else row["label"]
        kept.add(place)


def without_tasks(table: list[dict[str, str]]) -> None:
    for row in table:
        row["label"] = row["mask"] = ""


@pytest.mark.long
@pytest.mark.parametrize("name", ["dino", "simmim"])
@pytest.mark.parametrize(
    ("change", "spec"),
    [(turned, None), (emptied, None), (without_tasks, {"tasks": [], "classes": [], "mask_values": {}})],
    ids=["permuted", "mostly emptied", "no task at all"],
)
def test_no_label_is_used(
    name: str, change: Callable[[list[dict[str, str]]], None], spec: Any, tmp_path: Path, official: Path, quick: Quick
) -> None:
    other = copied(official, tmp_path / "changed", rows=change, spec=spec)
    changed = sum(
        a.labels != b.labels for a, b in zip(load_manifest(official).rows, load_manifest(other).rows, strict=True)
    )
    assert changed > 20
    for run, data in (("one", official), ("other", other)):
        pretrain(quick(data, SMALL[name], epochs=1), tmp_path / run)
    assert encoder_bytes(tmp_path / "one") == encoder_bytes(tmp_path / "other")


def test_a_label_fraction_takes_no_image_from_pre_training(tmp_path: Path, finished: Finished, lesions: Path,
                                                           quick: Quick) -> None:  # fmt: skip
    record = pretrain(quick(lesions, SIMCLR, epochs=2, label_fraction=10), tmp_path / "run")
    _, whole = finished("simclr")
    assert record.images == read_pretraining(whole).images
    assert encoder_bytes(tmp_path / "run") == encoder_bytes(whole)


def test_images_of_which_nothing_is_known_all_train(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    bare = copied(lesions, tmp_path / "bare", rows=without_tasks,
                  spec={"tasks": [], "classes": [], "mask_values": {}})  # fmt: skip
    record = pretrain(quick(bare, SIMCLR, epochs=1), tmp_path / "run")
    assert record.images == 60
    assert len((tmp_path / "run" / "seen.txt").read_text().split()) == 60
    drawn = FeatureMap.model_validate_json((tmp_path / "run" / "feature_map.json").read_text())
    assert {(point.part, point.labels is None) for point in drawn.points} == {("train", True)}
    assert len(drawn.points) == 60


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, {"split": {"kind": "random", "seed": 3}}])
def test_no_test_or_validation_image_enters(
    tmp_path: Path, lesions: Path, quick: Quick, settings: dict[str, Any]
) -> None:
    config = quick(lesions, SIMCLR, epochs=1, **settings)
    pretrain(config, tmp_path / "run")
    prepared = prepare(config)
    seen = set((tmp_path / "run" / "seen.txt").read_text().split())
    parts = {part: {prepared.cache.digests[row] for row in prepared.split.rows(part)} for part in ("val", "test")}
    assert seen == {prepared.cache.digests[row] for row in prepared.split.train}
    assert parts["test"]
    assert not seen & (parts["test"] | parts["val"])


@pytest.mark.long
def test_test_images_do_not_change_what_is_learnt_or_seen(tmp_path: Path, official: Path, quick: Quick) -> None:
    def lesser(table: list[dict[str, str]]) -> None:
        table[:] = [row for row in table if row["split"] != "test"]

    without = copied(official, tmp_path / "lesser", rows=lesser)
    for run, data in (("with", official), ("without", without)):
        pretrain(quick(data, SIMCLR, epochs=1), tmp_path / run)
    assert encoder_bytes(tmp_path / "with") == encoder_bytes(tmp_path / "without")
    for file in ("seen.txt", "first_look.json", "feature_map.json"):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes(), file


@pytest.mark.long
@pytest.mark.parametrize(("every", "looks"), [(1, [1, 2, 3]), (2, [2]), (3, [3]), (5, [])])
def test_the_features_are_looked_at_every_few_epochs_and_at_the_end(
    tmp_path: Path, lesions: Path, quick: Quick, every: int, looks: list[int]
) -> None:
    config = quick(lesions, SIMCLR, health={"every": every, "images": 8})
    record = pretrain(config, tmp_path / "run")
    epochs = read_epochs(tmp_path / "run")
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [epoch.epoch for epoch in epochs if epoch.health is not None] == looks
    assert record.start != record.end
    if looks == [1, 2, 3]:
        assert record.start not in [epoch.health for epoch in epochs]


@pytest.mark.long
def test_looking_changes_nothing(tmp_path: Path, finished: Finished, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, SMALL["cass"], epochs=2, health={"every": 50, "images": 8})
    pretrain(config, tmp_path / "run")
    _, whole = finished("cass")
    assert encoder_bytes(tmp_path / "run") == encoder_bytes(whole)


@pytest.fixture
def ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all features count as collapsed."""
    monkeypatch.setattr(records, "LEAST_STD", 1e9)


@pytest.mark.long
@pytest.mark.usefixtures("ill")
@pytest.mark.parametrize("name", ["dino", "cass"])
def test_collapse_stops_the_run_after_as_many_looks_as_patience_allows(
    name: str, tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    config = quick(lesions, SMALL[name], epochs=9, health={"patience": 2})
    with pytest.raises(S4miError) as stopped:
        train(config, tmp_path / "run")
    message = str(stopped.value)
    assert "\n" not in message
    last = read_epochs(tmp_path / "run")[-1]
    assert last.health is not None
    found = last.health.features[ENCODERS[name][0]]
    assert message.startswith(f"epoch 2: the features of {ENCODERS[name][0]} have collapsed")
    for part in (f"deviation {found.std:.3f} of 1", f"rank {found.effective_rank:.1f} of", config.method.hint,
                 "in 2 consecutive checks", "health.patience=0"):  # fmt: skip
        assert part in message
    assert [epoch.epoch for epoch in read_epochs(tmp_path / "run")] == [1, 2]
    assert not (tmp_path / "run" / "record.json").exists()


@pytest.mark.usefixtures("ill")
def test_without_patience_for_collapse_it_only_warns_and_once(
    tmp_path: Path, finished: Finished, lesions: Path, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        pretrain(quick(lesions, SIMCLR, epochs=2, health={"patience": 0}), tmp_path / "run")
    warnings = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("epoch 1: the features of tiny_resnet have collapsed")
    _, whole = finished("simclr")
    assert encoder_bytes(tmp_path / "run") == encoder_bytes(whole)


@pytest.mark.usefixtures("ill")
def test_a_run_that_collapse_stopped_goes_on_where_it_was_when_told_to(
    tmp_path: Path, finished: Finished, lesions: Path, quick: Quick
) -> None:
    run = tmp_path / "run"
    # The checkpoint is not due: the stop itself must save the epoch.
    hardware = {"accelerator": "cpu", "checkpoint_seconds": 3600}
    with pytest.raises(S4miError, match=r"epoch 1: .* in 1 consecutive check;"):
        train(quick(lesions, SIMCLR, epochs=2, health={"patience": 1}, hardware=hardware), run)
    started: list[int] = []
    config = quick(lesions, SIMCLR, epochs=2, health={"patience": 0})
    train(config, run, resume=True, watch=lambda progress: started.append(progress.epoch))
    assert {epoch for epoch in started if epoch} == {2}
    _, whole = finished("simclr")
    assert encoder_bytes(run) == encoder_bytes(whole)
    assert read_pretraining(run).start == read_pretraining(whole).start


@pytest.mark.usefixtures("ill")
def test_looks_before_an_interruption_count(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    config, run = quick(lesions, SIMCLR, epochs=9, health={"patience": 3}), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop_after(2))
    with pytest.raises(S4miError, match=r"epoch 3: .* in 3 consecutive checks"):
        train(config, run, resume=True)


def test_a_teacher_that_gives_every_image_one_answer_stops_the_run_too(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_ENTROPY", 0.0)
    with pytest.raises(S4miError) as stopped:
        train(quick(lesions, SMALL["dino"], health={"patience": 1}), tmp_path / "run")
    (epoch,) = read_epochs(tmp_path / "run")
    assert epoch.health is not None
    entropy = epoch.health.signals["teacher_entropy"]
    assert 0 < entropy < 1
    assert str(stopped.value).startswith("epoch 1: the teacher's output is the same for all images")
    assert f"(entropy {entropy:.3f} of 1)" in str(stopped.value)


@pytest.mark.long
def test_a_healthy_look_begins_the_count_again(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thresholds(progress: Progress) -> None:
        finished = progress.latest.epoch if progress.latest else 0
        monkeypatch.setattr(records, "LEAST_STD", 0.0 if finished == 1 else 1e9)  # only epoch 2 is looked at kindly

    with pytest.raises(S4miError, match=r"epoch 4: .* in 2 consecutive checks"):
        train(quick(lesions, SIMCLR, epochs=9, health={"patience": 2}), tmp_path / "run", watch=thresholds)


@pytest.mark.long
def test_neighbours_score_the_features_when_asked_and_change_nothing(
    tmp_path: Path, finished: Finished, lesions: Path, cells: Path, quick: Quick
) -> None:
    record = pretrain(quick(lesions, SIMCLR, epochs=2, health={"knn": True}), tmp_path / "lesions")
    assert set(record.start.knn) == set(record.end.knn) == {"tiny_resnet"}
    assert 0 <= record.end.knn["tiny_resnet"] <= 1
    _, whole = finished("simclr")
    assert encoder_bytes(tmp_path / "lesions") == encoder_bytes(whole)
    assert read_pretraining(whole).end.knn == {}
    multilabel = pretrain(quick(cells, SIMCLR, epochs=1, health={"knn": True}), tmp_path / "cells")
    assert 0 <= multilabel.end.knn["tiny_resnet"] <= 1


@pytest.mark.long
def test_one_neighbour_that_is_the_image_itself_gives_the_full_score(
    tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    """Validation images that are also training images, under other names, are their own neighbours."""

    def twice(table: list[dict[str, str]]) -> None:
        table[:] = [
            {**row, "id": f"{row['id']}-{part}", "split": part, "group": ""} for part in ("train", "val") for row in
            table
        ] + [{**table[0], "id": "other", "split": "test", "group": ""}]  # fmt: skip

    data = copied(lesions, tmp_path / "data", rows=twice)
    settings = {"health": {"knn": True, "neighbours": 1}, "data": {"allow_leakage": True}}
    record = pretrain(quick(data, SIMCLR, epochs=1, **settings), tmp_path / "run")
    assert record.start.knn == record.end.knn == {"tiny_resnet": 1.0}


def test_neighbours_without_class_labels_are_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    bare = copied(lesions, tmp_path / "bare", rows=without_tasks,
                  spec={"tasks": [], "classes": [], "mask_values": {}})  # fmt: skip

    def unlabelled(table: list[dict[str, str]]) -> None:
        for row in table:
            row["label"] = ""

    masks = copied(lesions, tmp_path / "masks-only", rows=unlabelled, spec={"tasks": ["segmentation"], "classes": []})
    for data in (bare, masks):
        with pytest.raises(S4miError, match=r"health.knn needs images with class labels, and .* has none; omit it"):
            train(quick(data, SIMCLR, health={"knn": True}), tmp_path / f"run-{data.name}")


def test_neighbours_vote_with_labels_also_where_the_data_set_names_segmentation_first(
    tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    data = copied(lesions, tmp_path / "data", rows=officially, spec={"tasks": ["segmentation", "multiclass"]})
    record = pretrain(quick(data, SIMCLR, epochs=1, health={"knn": True}), tmp_path / "run")
    assert set(record.end.knn) == {"tiny_resnet"}


def test_the_map_shows_training_and_validation_images_with_their_labels(finished: Finished, lesions: Path) -> None:
    _, run = finished("simclr")
    drawn = FeatureMap.model_validate_json((run / "feature_map.json").read_text())
    split = json.loads((run / "split.json").read_text())
    assert {(point.id, point.part) for point in drawn.points} == {
        (one, part) for part in ("train", "val") for one in split[part]
    }
    labels = {row.id: list(row.labels or ()) for row in load_manifest(lesions).rows}
    assert all(point.labels == labels[point.id] for point in drawn.points)
    assert drawn.encoder == "tiny_resnet"


def test_the_first_look_is_at_the_weights_before_training(finished: Finished) -> None:
    config, run = finished("simclr")
    prepared = prepare(config)
    method = build_method(config, prepared.task).eval()
    assert isinstance(method, Pretrainer)
    entries = prepared.cache.entries_of(prepared.split.train)
    images = torch.from_numpy(prepared.cache.images[entries]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = spread(method.encoders()["tiny_resnet"](images))
    first = FeatureHealth.model_validate_json((run / "first_look.json").read_text()).features["tiny_resnet"]
    assert first == read_pretraining(run).start.features["tiny_resnet"]
    assert first.std == pytest.approx(expected.std, rel=1e-4)
    assert first.effective_rank == pytest.approx(expected.effective_rank, rel=1e-3)
    assert first.dimensions == expected.dimensions == 128


def test_a_single_image_is_refused_in_a_line(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    def one(table: list[dict[str, str]]) -> None:
        without_tasks(table)
        del table[1:]

    data = copied(lesions, tmp_path / "data", rows=one, spec={"tasks": [], "classes": [], "mask_values": {}})
    with pytest.raises(S4miError) as refused:
        train(quick(data, SIMCLR), tmp_path / "run")
    assert "\n" not in str(refused.value)


def test_a_pre_training_run_answers_nothing(tmp_path: Path, finished: Finished) -> None:
    config, run = finished("simclr")
    with pytest.raises(S4miError, match="fine-tune it first"):
        evaluate_run(run, "test")
    with pytest.raises(S4miError, match="fine-tune it first"):
        predict_run(run, [config.data.path / "images"], tmp_path / "out")


def test_a_method_with_labels_is_no_pre_training(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    assert not (tmp_path / "run" / "seen.txt").exists()
    assert not (tmp_path / "run" / "encoders").exists()
    assert all(epoch.health is None for epoch in read_epochs(tmp_path / "run"))
    with pytest.raises(S4miError, match="a finetune run is not pre-training"):
        read_pretraining(tmp_path / "run")
