"""Segmentation without masks, from settings to predicted masks: collapse, interruption and named clusters."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from conftest import PICIE
from s4mi.config import RunConfig
from s4mi.contract import CollapseError
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.errors import S4miError
from s4mi.maths.pixel_clusters import PixelLabels
from s4mi.methods.segmentation.picie import PixelClustering
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train, train_supervised
from s4mi.records import EpochRecord, RunRecord, SegmentationScores, read_epochs, read_record
from s4mi.training.evaluate import evaluate_run
from s4mi.training.prepare import prepare
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]
Masks = dict[str, NDArray[np.uint8]]

MDC: dict[str, Any] = {**PICIE, "name": "mdc"}
DINO: dict[str, Any] = {
    "name": "dino", "backbone": "tiny_resnet", "weights": "none", "local_crops": 0, "hidden": 16, "bottleneck": 8,
    "prototypes": 16,
}  # fmt: skip
COLLAPSE = "one cluster holds 99.90% of the pixels"


class StoppedError(Exception):
    """Ends a run from outside, as Ctrl-C would."""


def stop_when(reached: Callable[[Progress, EpochRecord | None], bool]) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.phase == "train" and reached(progress, progress.latest):
            raise StoppedError

    return watch


def after(epoch: int) -> Callable[[Progress, EpochRecord | None], bool]:
    return lambda progress, latest: latest is not None and latest.epoch == epoch and progress.epoch == epoch + 1


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"{name}.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        torch.testing.assert_close(weights(one, name), weights(other, name), rtol=0, atol=0)


def epochs_of(run: Path) -> list[int]:
    return [epoch.epoch for epoch in read_epochs(run)]


# With masks in the data set, of which none of a training image is read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    run = tmp_path_factory.mktemp("runs") / "picie"
    train(quick(lesions, {**PICIE, "clusters": 4}), run)
    return run


@pytest.mark.long
def test_the_record_says_that_no_mask_was_learnt_from(finished: Path) -> None:
    record = read_record(finished)
    assert (record.label_fraction, record.labels_asked) == (0, "0 %")
    assert record.labels.train_labelled == 0
    assert {*record.labels.per_class.values()} == {0}
    assert (record.method, record.technique) == ("picie", "picie from scratch, 4 clusters")
    assert record.classes == ["background", "lesion"]
    assert record.restarts == 0


def test_validation_chooses_the_epoch_and_test_is_scored_by_the_classes_it_gave_the_clusters(finished: Path) -> None:
    record, epochs = read_record(finished), read_epochs(finished)
    assert isinstance(record.test, SegmentationScores)
    assert record.best_epoch == max(epochs, key=lambda epoch: epoch.val["iou"]).epoch
    assert evaluate_run(finished, "test") == record.test
    assert set(weights(finished, "best")["answer.matched"].tolist()) == {0, 1}
    signals = {"largest_cluster", "largest_prediction", "empty_clusters", "centroid_distance"}
    assert all(epoch.signals.keys() == signals for epoch in epochs)
    assert all(0 < epoch.signals["largest_cluster"] <= 0.99 for epoch in epochs)


def test_masks_of_training_images_change_nothing(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    """With every training mask inverted, weights and scores are the same to the bit."""
    data, settings = tmp_path / "data", {"epochs": 2}
    records = [train_supervised(quick(lesions, PICIE, **settings), tmp_path / "true")]
    split = tmp_path / "true" / "split.json"
    shutil.copytree(lesions, data)
    for name in json.loads(split.read_text())["train"]:
        mask = data / "masks" / f"{name}.png"
        Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    saved = {"split": {"kind": "file", "file": str(split)}}
    records.append(train_supervised(quick(data, PICIE, **settings, **saved), tmp_path / "wrong"))
    assert_same_weights(tmp_path / "true", tmp_path / "wrong")
    assert records[0].val == records[1].val
    assert records[0].test == records[1].test


@pytest.mark.long
@pytest.mark.parametrize("method", [{**PICIE, "clusters": 4}, MDC], ids=["picie", "mdc"])
def test_a_run_stopped_in_between_resumes_to_the_same_weights(
    tmp_path: Path, lesions: Path, quick: Quick, method: dict[str, Any]
) -> None:
    config = quick(lesions, method)
    whole = train_supervised(config, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop_when(after(2)))
    resumed = train_supervised(config, tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert (resumed.val, resumed.test, resumed.best_epoch) == (whole.val, whole.test, whole.best_epoch)
    assert epochs_of(tmp_path / "run") == [1, 2, 3]


def test_names_of_people_stand_against_the_matching(tmp_path: Path, finished: Path, lesions: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    matched = weights(run, "best")["answer.matched"].tolist()
    names = ["background", "lesion"]
    of_clusters = predicted(run, lesions / "images", tmp_path / "matched")
    rename(run, {number: names[one] for number, one in enumerate(matched)})
    same = predicted(run, lesions / "images", tmp_path / "same")
    rename(run, {number: names[1 - one] for number, one in enumerate(matched)})
    opposite = predicted(run, lesions / "images", tmp_path / "opposite")
    for name, mask in of_clusters.items():
        assert np.array_equal(same[name], mask)
        assert np.array_equal(opposite[name], 255 - mask)


@pytest.mark.long
def test_it_starts_from_a_pre_training_run_of_the_same_split(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("mask")
    for number in range(1, len(lines), 3):
        cells = lines[number].split(",")
        lines[number] = ",".join([*cells[:place], "", *cells[place + 1 :]])
    (data / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    dino = tmp_path / "dino"
    config = quick(data, {**PICIE, "pretrained": str(dino)}, epochs=1)
    train(quick(data, DINO, epochs=1), dino)
    with pytest.raises(S4miError, match=r"was pre-trained on \d+ images of this run's \w+ part") as refused:
        train(config, tmp_path / "run")
    assert "use the same split.seed and task in both runs" in str(refused.value)
    shutil.rmtree(dino)
    pretraining = quick(data, DINO, epochs=1, task="segmentation")
    assert prepare(pretraining).split.train == prepare(config).split.train
    train(pretraining, dino)
    record = train_supervised(config, tmp_path / "run")
    assert record.pretraining is not None
    assert (record.technique, record.pretraining.method) == ("picie from dino", "dino")


# Collapse


@pytest.fixture
def collapse_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make MDC's clusters count as collapsed at these checks, counted from now, or at all from one on."""
    check = PixelClustering._check

    def set_up(*looks: int, ever_from: int = 10**9) -> None:
        seen = 0

        def look(method: PixelClustering, found: PixelLabels) -> None:
            nonlocal seen
            seen += 1
            if seen in looks or seen >= ever_from:
                raise CollapseError(COLLAPSE)
            check(method, found)

        monkeypatch.setattr(PixelClustering, "_check", look)

    return set_up


CollapseAt = Callable[..., None]


@pytest.mark.long
def test_after_a_collapse_training_begins_again_as_if_nothing_had_been(
    tmp_path: Path, lesions: Path, quick: Quick, collapse_at: CollapseAt, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart draws new weights, the same for each collapse: nothing is left of earlier training."""
    config, records = quick(lesions, MDC), {}
    for name, looks in (("well", ()), ("at once", (1,)), ("in epoch 2", (2,)), ("in epoch 3", (3,))):
        collapse_at(*looks)
        caplog.clear()
        records[name] = train_supervised(config, tmp_path / name)
        assert epochs_of(tmp_path / name) == [1, 2, 3]
        assert records[name].restarts == len(looks)
        warnings = [entry.message for entry in caplog.records if "training restarts" in entry.message]
        assert warnings == [
            f"epoch {look}: {COLLAPSE}; training restarts with new weights (restart 1 of 2)" for look in looks
        ]
    for name in ("in epoch 2", "in epoch 3"):
        assert_same_weights(tmp_path / "at once", tmp_path / name)
        assert records[name].test == records["at once"].test
        assert records[name].best_epoch == records["at once"].best_epoch
    ours, others = (weights(tmp_path / name)["answer.net.encoder.conv1.weight"] for name in ("well", "at once"))
    assert not torch.allclose(ours, others, atol=1e-3)


@pytest.mark.long
def test_each_fresh_start_has_weights_of_its_own(
    tmp_path: Path, lesions: Path, quick: Quick, collapse_at: CollapseAt
) -> None:
    drawn = []
    for looks in ((1,), (1, 2)):
        collapse_at(*looks)
        record = train_supervised(quick(lesions, MDC, epochs=1), tmp_path / str(looks))
        assert record.restarts == len(looks)
        drawn.append(weights(tmp_path / str(looks))["answer.net.encoder.conv1.weight"])
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)


@pytest.mark.parametrize(
    ("restarts", "tried"), [(0, ""), (1, ", also after 1 restart"), (2, ", also after 2 restarts")]
)
def test_a_run_that_collapses_again_and_again_stops_with_advice(
    tmp_path: Path, lesions: Path, quick: Quick, collapse_at: CollapseAt, restarts: int, tried: str
) -> None:
    collapse_at(ever_from=1)
    with pytest.raises(S4miError) as stopped:
        train(quick(lesions, {**MDC, "restarts": restarts}), tmp_path)
    said = str(stopped.value)
    assert said.startswith(f"epoch 1: {COLLAPSE}{tried}")
    assert "method.pretrained=RUN" in said
    assert "optim.lr" in said
    assert said.endswith("or raise method.restarts")
    assert "\n" not in said
    assert not (tmp_path / "record.json").exists()


def test_features_that_are_the_same_everywhere_end_a_run_in_a_line(tmp_path: Path, quick: Quick, lesions: Path) -> None:
    """A real collapse: weight decay this strong shrinks all weights to zero."""
    optim = {"name": "sgd", "lr": 0.5, "weight_decay": 2.0, "momentum": 0, "schedule": "constant"}
    with pytest.raises(S4miError, match=r"^epoch \d+: [^\n]+, also after 1 restart[^\n]+$"):
        train(quick(lesions, {**MDC, "restarts": 1}, optim=optim, epochs=9), tmp_path)


@pytest.mark.long
def test_a_fresh_start_is_remembered_over_a_stop(
    tmp_path: Path, lesions: Path, quick: Quick, collapse_at: CollapseAt
) -> None:
    config = quick(lesions, MDC)
    collapse_at(2)
    whole = train_supervised(config, tmp_path / "whole")
    collapse_at(2)
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop_when(after(2)))
    collapse_at()
    resumed = train_supervised(config, tmp_path / "run", resume=True)
    assert (whole.restarts, resumed.restarts) == (1, 1)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert epochs_of(tmp_path / "run") == [1, 2, 3]
    assert resumed.test == whole.test


@pytest.mark.long
def test_a_stop_before_the_fresh_start_is_saved_leads_to_the_same_weights(
    tmp_path: Path, lesions: Path, quick: Quick, collapse_at: CollapseAt
) -> None:
    """The checkpoint is that of the epoch before the collapse, which then recurs."""
    config, begun = quick(lesions, MDC), []
    collapse_at(2)
    whole = train_supervised(config, tmp_path / "whole")

    def again(progress: Progress, latest: EpochRecord | None) -> bool:
        if progress.epoch == 1 and latest is None:
            begun.append(progress.done)
        return begun.count(1) == 2

    collapse_at(2)
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop_when(again))
    collapse_at(1)
    resumed = train_supervised(config, tmp_path / "run", resume=True)
    assert (whole.restarts, resumed.restarts) == (1, 1)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert epochs_of(tmp_path / "run") == [1, 2, 3]


# Images of which nothing is known


def rename(run: Path, classes: dict[int, str]) -> None:
    """Edit the file as a user would."""
    path = run / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["method"]["classes"] = classes
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def predicted(run: Path, images: Path, out: Path) -> Masks:
    predict_run(run, [images], out)
    return {path.stem: np.asarray(Image.open(path)) for path in sorted(out.glob("*.png"))}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, lesions: Path) -> Path:
    """The lesions without their masks, labels and patients."""
    folder = tmp_path_factory.mktemp("bare") / "data"
    shutil.copytree(lesions / "images", folder / "images")
    (folder / "dataset.yaml").write_text("name: bare\ntasks: []\nroot: images\n", encoding="utf-8")
    names = sorted(path.name for path in (folder / "images").iterdir())
    (folder / "manifest.csv").write_text("\n".join(["image", *names]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory: pytest.TempPathFactory, bare: Path, quick: Quick) -> Callable[[int], Path]:
    """A run without any mask, with this many clusters."""
    made: dict[int, Path] = {}

    def run(clusters: int) -> Path:
        if clusters not in made:
            made[clusters] = tmp_path_factory.mktemp("runs") / "run"
            method = {**PICIE, "clusters": clusters} if clusters != 2 else PICIE
            train(quick(bare, method, epochs=2), made[clusters])
        return made[clusters]

    return run


Unnamed = Callable[[int], Path]


@pytest.mark.parametrize("clusters", [2, 4])
def test_a_folder_of_images_is_enough_and_nothing_is_scored(unnamed: Unnamed, clusters: int) -> None:
    run = unnamed(clusters)
    record = read_record(run)
    assert (record.val, record.test) == (None, None)
    assert (record.label_fraction, record.labels_asked, record.task) == (0, "0 %", "segmentation")
    assert record.classes == [f"cluster {number}" for number in range(clusters)]
    assert (record.labels.train_images, record.labels.val, record.labels.test) == (60, 0, 0)
    assert record.best_epoch == record.epochs == 2
    assert [epoch.val for epoch in read_epochs(run)] == [{}, {}]
    torch.testing.assert_close(weights(run, "best"), weights(run), rtol=0, atol=0)
    with pytest.raises(S4miError, match="no test image is annotated"):
        evaluate_run(run, "test")


@pytest.mark.parametrize("clusters", [2, 4])
def test_masks_hold_the_numbers_of_the_clusters(unnamed: Unnamed, bare: Path, tmp_path: Path, clusters: int) -> None:
    masks = predicted(unnamed(clusters), bare / "images", tmp_path)
    assert masks.keys() == {path.stem for path in (bare / "images").iterdir()}
    assert {mask.shape for mask in masks.values()} == {(48, 48)}
    values = {int(value) for mask in masks.values() for value in np.unique(mask)}
    assert values <= {*range(clusters)}
    assert len(values) > 1


@pytest.mark.long
@pytest.mark.parametrize("lesion", [0, 1])
def test_names_that_are_written_into_the_settings_make_them_masks(
    unnamed: Unnamed, bare: Path, tmp_path: Path, lesion: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(unnamed(2), run)
    clusters = predicted(run, bare / "images", tmp_path / "clusters")
    rename(run, {lesion: "lesion", 1 - lesion: "background"})
    masks = predicted(run, bare / "images", tmp_path / "masks")
    for name, mask in masks.items():
        assert {*np.unique(mask)} <= {0, 255}
        assert np.array_equal(mask == 255, clusters[name] == lesion)
    overlays = predict_run(run, [bare / "images"], tmp_path / "overlays", overlay=True)
    assert overlays.legend.startswith("lesion ")
    assert read_record(run) == read_record(unnamed(2))


def test_several_clusters_may_be_one_class(unnamed: Unnamed, bare: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(unnamed(4), run)
    clusters = predicted(run, bare / "images", tmp_path / "clusters")
    rename(run, {0: "lesion", 1: "background", 2: "lesion", 3: "background"})
    masks = predicted(run, bare / "images", tmp_path / "masks")
    same = [(masks[name] == 255) == np.isin(clusters[name], [0, 2]) for name in masks]
    # At the image's own size a class is the likelier one, which at its edge need not be that of the likeliest cluster.
    assert np.mean(same) > 0.97


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({0: "background", 1: "lesion", 2: "hair"}, "names 3 clusters, but there are 4"),
        ({0: "background", 2: "lesion"}, "clusters must be numbered from 0 without gaps"),
        ({0: "lesion", 1: "lesion"}, "at least two classes must be named"),
    ],
)
def test_names_that_do_not_fit_are_refused_in_a_line(
    unnamed: Unnamed, bare: Path, tmp_path: Path, classes: dict[int, str], message: str
) -> None:
    shutil.copytree(unnamed(4), tmp_path / "run")
    rename(tmp_path / "run", classes)
    with pytest.raises(S4miError) as refused:
        predict_run(tmp_path / "run", [bare / "images"], tmp_path / "out")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_with_names_resumes_as_the_run_it_was_without(
    bare: Path, tmp_path: Path, quick: Quick, unnamed: Unnamed
) -> None:
    with pytest.raises(StoppedError):
        train(quick(bare, PICIE, epochs=2), tmp_path, watch=stop_when(after(1)))
    rename(tmp_path, {0: "background", 1: "lesion"})
    named = {**PICIE, "classes": {0: "background", 1: "lesion"}}
    record = train_supervised(quick(bare, named, epochs=2), tmp_path, resume=True)
    assert record.classes == ["background", "lesion"]
    assert_same_weights(tmp_path, unnamed(2))


def test_images_of_an_official_test_part_are_not_learnt_from(tmp_path: Path, bare: Path, quick: Quick) -> None:
    data = tmp_path / "data"
    shutil.copytree(bare, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    parts = ["train"] * 40 + ["val"] * 8 + ["test"] * 12
    rows = [f"{name},{part}" for name, part in zip(lines[1:], parts, strict=True)]
    (data / "manifest.csv").write_text("\n".join(["image,split", *rows]) + "\n", encoding="utf-8")
    record = train_supervised(quick(data, MDC, epochs=1), tmp_path / "run")
    assert (record.labels.train_images, record.labels.val, record.labels.test) == (40, 8, 12)
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert split["train"] == [row.id for row in load_manifest(data).rows[:40]]


@pytest.mark.slow
def test_lesions_are_found_without_any_mask(tmp_path: Path, cache_dir: Path, quick: Quick) -> None:
    write_synthetic("lesions", tmp_path / "data", count=200, size=96, seed=0)
    record = train(
        quick(
            tmp_path / "data",
            {"name": "picie", "backbone": "tiny_resnet", "weights": "none", "clusters": 8},
            data={"image_size": 64},
            optim={"name": "adam", "lr": 1e-3, "schedule": "constant"},
            batch_size=16,
            epochs=12,
        ),
        tmp_path / "run",
    )
    assert isinstance(record, RunRecord)
    assert isinstance(record.test, SegmentationScores)
    assert record.test.iou is not None
    assert record.test.iou >= 0.6


def test_masks_of_validation_images_alone_are_enough(tmp_path: Path, quick: Quick) -> None:
    """Validation masks name the clusters; no training image needs a mask."""
    write_synthetic("lesions", tmp_path / "set", count=20, size=32, seed=0)
    table = tmp_path / "set" / "manifest.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    mask, part = header.split(",").index("mask"), header.split(",").index("split")
    changed = []
    for number, row in enumerate(rows):
        cells = row.split(",")
        cells[part] = "train" if number < 12 else "val"
        cells[mask] = "" if number < 12 else cells[mask]
        changed.append(",".join(cells))
    table.write_text("\n".join([header, *changed]) + "\n", encoding="utf-8")
    record = train(quick(tmp_path / "set", PICIE, epochs=1), tmp_path / "run")
    assert isinstance(record, RunRecord)
    assert record.val is not None
    assert record.test is None
    assert record.classes == ["background", "lesion"]
