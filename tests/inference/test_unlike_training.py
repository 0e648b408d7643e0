"""A prediction says which images are unlike those of training."""

import csv
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import mahalanobis

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.data.images import read_image, resize_image
from s4mi.data.manifest import load_manifest
from s4mi.data.splits.split_file import read_parts
from s4mi.data.walk import image_files
from s4mi.inference.dataset_images import DatasetImage
from s4mi.inference.image_list import InputImage
from s4mi.inference.unlike_training import UNLIKE_NAME, UnlikeTraining
from s4mi.maths.appearance import STATISTICS, appearance, distance, distances_of_left_out, mean_and_covariance
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records.training_images import read_training_images
from s4mi.training import training_images
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.training_images import FACTOR, QUANTILE, describe_training_images

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("run") / "cnn"
    train(quick(lesions, TRANSFER, epochs=1), folder)
    return folder


@pytest.fixture
def lesion(lesions: Path) -> np.ndarray:
    """A lesion as the run was trained on, (48, 48, 3)."""
    return read_image(load_manifest(lesions).rows[3].image)


def differing(out: Path) -> dict[str, set[str]]:
    path = out / UNLIKE_NAME
    if not path.exists():
        return {}
    found: dict[str, set[str]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["id"], set()).add(row["what"])
    return found


def test_statistics_are_those_of_a_plain_loop() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 5, 3), dtype=np.uint8)
    for image, row in zip(images.astype(float), appearance(images), strict=True):
        grey = image.mean(axis=2)
        steps_down = [abs(grey[y + 1, x] - grey[y, x]) for y in range(6) for x in range(5)]
        steps_right = [abs(grey[y, x + 1] - grey[y, x]) for y in range(7) for x in range(4)]
        expected = {
            "red": image[..., 0].mean(), "green": image[..., 1].mean(), "blue": image[..., 2].mean(),
            "contrast": grey.std(), "colour": np.mean([max(p) - min(p) for p in image.reshape(-1, 3)]),
            "detail": (np.mean(steps_down) + np.mean(steps_right)) / 2,
            "border": (grey.sum() - grey[1:6, 1:4].sum()) / (35 - 15) - grey[1:6, 1:4].mean(),
        }  # fmt: skip
        assert dict(zip(STATISTICS, row, strict=True)) == pytest.approx(expected, rel=1e-4)


def test_a_run_keeps_the_ranges_of_its_training_images(run: Path, lesions: Path) -> None:
    ranges = read_training_images(run)
    assert ranges is not None
    assert (ranges.height, ranges.width) == ((48, 48), (48, 48))
    manifest = load_manifest(lesions)
    members = read_parts(RunDir(run).split_path, manifest)["train"]
    green = [read_image(manifest.rows[n].image)[..., 1].mean() for n in members]
    assert ranges.images == len(members)
    assert ranges.mean[1] == pytest.approx(np.mean(green), abs=0.5)
    assert ranges.covariance[1][1] == pytest.approx(np.var(green, ddof=1) + 4, rel=0.02)


def test_sizes_are_those_of_all_training_images_however_many_are_described(
    lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(quick(lesions, TRANSFER))
    train_rows = list(prepared.split.train)
    sizes = prepared.cache.size.copy()
    sizes[train_rows[1]], sizes[train_rows[2]] = (400, 48), (48, 9)
    monkeypatch.setattr(training_images, "SAMPLED", 12)
    found = describe_training_images(replace(prepared, cache=replace(prepared.cache, size=sizes)))
    assert found.images == 12
    assert (found.height, found.width) == ((48, 400), (9, 48))
    assert not found.sizes_unlike((400, 9))


def test_the_distance_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(20, 7)) * 30
    mean, covariance = mean_and_covariance(values[1:])
    expected = mahalanobis(values[0], mean, np.linalg.inv(covariance))
    assert distances_of_left_out(values)[0] == pytest.approx(expected)


def test_images_like_those_of_training_are_not_listed(tmp_path: Path, run: Path, lesions: Path) -> None:
    predict_run(run, [lesions], tmp_path)
    found = differing(tmp_path)
    assert all(what == {"features"} for what in found.values())
    assert len(found) <= 0.1 * 60  # the reach of features is that of 95 %


def test_images_unlike_those_of_training_are_listed_with_a_warning(
    tmp_path: Path, run: Path, lesion: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    changed = {
        "same": lesion, "grey": np.repeat(lesion.mean(axis=2, keepdims=True), 3, axis=2), "dark": lesion * 0.1,
        "swapped": lesion[:, :, ::-1], "noise": np.random.default_rng(0).integers(0, 256, lesion.shape),
        "large": lesion.repeat(9, axis=0).repeat(9, axis=1),
    }  # fmt: skip
    for name, pixels in changed.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        predict_run(run, [folder], tmp_path / "out")
    found = {Path(name).stem: what for name, what in differing(tmp_path / "out").items()}
    assert set(found) == {"grey", "dark", "swapped", "noise", "large"}
    assert found["large"] >= {"height", "width"}
    assert all("appearance" in found[name] for name in ("grey", "dark", "swapped", "noise"))
    (message,) = [record.getMessage() for record in caplog.records if "unlike" in record.getMessage()]
    assert message.startswith("5 of 6 images unlike the training images")
    assert "\n" not in message


def test_the_list_is_complete_after_a_resumed_prediction(tmp_path: Path, run: Path, lesion: np.ndarray) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray((lesion * 0.1).astype(np.uint8)).save(folder / f"{name}.png")
        predict_run(run, [folder], out, resume=out.exists())
    assert [Path(name).stem for name in differing(out)] == ["a", "b"]
    Image.fromarray(lesion).save(folder / "a.png")
    predict_run(run, [folder], tmp_path / "new")
    assert [Path(name).stem for name in differing(tmp_path / "new")] == ["b"]


def test_few_training_images_and_older_runs_say_nothing(tmp_path: Path, run: Path) -> None:
    ranges = read_training_images(run)
    assert ranges is not None
    assert set(ranges.sizes_unlike((999, 48))) == {"height"}
    assert ranges.sizes_unlike((24, 96)) == {}
    assert ranges.model_copy(update={"images": 9}).sizes_unlike((999, 48)) == {}
    assert read_training_images(tmp_path) is None


@pytest.mark.real
@pytest.mark.parametrize("trained", ["ph2", "fundus", "nuclei"])
def test_real_images_of_other_kinds_are_unlike_and_those_of_the_same_are_not(real_data: Path, trained: str) -> None:
    def values(name: str) -> np.ndarray:
        paths = image_files(real_data / name / "images")
        chosen = paths[:: max(1, len(paths) // 60)][:60]
        return appearance(np.stack([resize_image(read_image(path), (64, 64)) for path in chosen]))

    known = values(trained)
    mean, covariance = mean_and_covariance(known[::2])
    reach = FACTOR * np.quantile(distances_of_left_out(known[::2]), QUANTILE)

    def share(rows: np.ndarray) -> float:
        return float(np.mean([distance(row, mean, covariance) > reach for row in rows]))

    assert share(known[1::2]) <= 0.07
    # Fundus images are as dark as those of nuclei, and more varied; see training/training_images.py.
    others = {"ph2": ["fundus", "nuclei"], "fundus": ["ph2"], "nuclei": ["ph2", "fundus"]}
    assert min(share(values(name)) for name in others[trained]) >= 0.5


def test_what_was_found_before_a_kill_is_still_listed_after_it(tmp_path: Path) -> None:
    """The rows of an image are in the list before its prediction is complete."""
    images = [InputImage(name, name, DatasetImage(tmp_path / name, name)) for name in ("a.png", "b.png")]
    killed = UnlikeTraining(tmp_path, [], images, kept=[])
    killed._rows = {"a.png": [("a.png", "height", "9", "1", "2")]}
    killed.keep(images[0])
    killed.keep(images[1])
    resumed = UnlikeTraining(tmp_path, [], images, kept=images[:1])
    resumed._rows["b.png"] = [("b.png", "width", "9", "1", "2")]
    resumed.keep(images[1])
    resumed.write()
    lines = (tmp_path / UNLIKE_NAME).read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["id", "a.png", "b.png"]
