"""Prediction answers any image at its own size, and goes on past broken ones."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.errors import S4miError
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train

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
    """Two images of other sizes in a folder and one below it, a broken one, and a file that is none."""
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


def test_masks_have_the_size_of_their_images_and_the_values_of_the_data_set(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    result = predict_run(runs / "segmentation", [images], tmp_path / "out")
    assert (result.answered, result.failed) == (3, 1)
    for name in ("wide.png", "high.jpg", "more/grey.png"):
        with Image.open(images / name) as image, Image.open((tmp_path / "out" / name).with_suffix(".png")) as mask:
            assert mask.size == image.size
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_probabilities_of_exclusive_classes_sum_to_one_and_the_answer_is_the_largest(
    tmp_path: Path, runs: Path, images: Path
) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    answers = rows(tmp_path / "out" / "predictions.csv")
    assert [row["image"] for row in answers] == ["high.jpg", "more/grey.png", "wide.png"]
    for row in answers:
        given = {name: float(row[name]) for name in ("melanoma", "nevus", "seborrheic_keratosis")}
        assert sum(given.values()) == pytest.approx(1, abs=1e-5)
        assert row["answer"] == max(given, key=given.__getitem__)


def test_several_labels_are_those_above_one_half(tmp_path: Path, runs: Path, images: Path) -> None:
    predict_run(runs / "multilabel", [images], tmp_path / "out")
    for row in rows(tmp_path / "out" / "predictions.csv"):
        above = [name for name in ("tfh_1", "tfh_217", "tfh_like", "b_cell", "other") if float(row[name]) > 0.5]
        assert row["answer"] == (";".join(above) or "none")


def test_a_broken_image_gets_a_line_and_the_others_go_on(tmp_path: Path, runs: Path, images: Path) -> None:
    predict_run(runs / "multiclass", [images], tmp_path / "out")
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert error["image"].endswith("broken.png")
    assert "is not an image" in error["error"]


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
    with pytest.raises(S4miError, match=r"nowhere: not there|empty: holds no images"):
        predict_run(runs / "multiclass", [tmp_path / given], tmp_path / "out")
