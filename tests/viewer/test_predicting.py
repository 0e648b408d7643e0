"""Predictions on the page are those of `s4mi predict`, made once, and of the file as it is now."""

import io
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import f1_score

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.errors import S4miError
from s4mi.inference.load import load_models
from s4mi.inference.predictor import Predictor, classes_of
from s4mi.recipes.train import train
from s4mi.viewer.masks import dice
from s4mi.viewer.run_list import open_runs
from s4mi.viewer.suggesting import read_ranks
from viewer_tab import Tab


@pytest.fixture(scope="module")
def segmenter(lesions: Path, quick: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter of the drawn lesions."""
    out = tmp_path_factory.mktemp("runs") / "segmenter"
    train(quick(lesions, DEDL, epochs=1), out)
    return out


@pytest.fixture(scope="module")
def classifier(lesions: Path, quick: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of the drawn lesions."""
    out = tmp_path_factory.mktemp("runs") / "classifier"
    train(quick(lesions, TRANSFER, epochs=1), out)
    return out


@pytest.fixture
def predicted(lesion_copy: Path, open_tab: Callable[..., Tab], segmenter: Path) -> Iterator[Tab]:
    """A tab on a data set with a segmenter."""
    tab = open_tab(lesion_copy)
    open_runs(tab.space, [segmenter], None)
    yield tab
    tab.app.state.predicting.stop()


def wait(tab: Tab, run: str = "r0", count: int = 1) -> None:
    """Wait until a run has predicted so many images."""
    for _ in range(600):
        known = next(one for one in tab.get("session")["runs"] if one["key"] == run)["known"]
        if known >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{known} images are predicted")


def test_the_mask_on_the_page_is_that_of_the_predictor(predicted: Tab, segmenter: Path) -> None:
    answer = predicted.write("POST", "predict", {"run": "r0", "scope": [4, 9]})
    assert answer.status_code == 202
    wait(predicted, count=2)
    predictor = Predictor(load_models(segmenter).models)
    for n in (4, 9):
        row = predicted.space.row(n)
        (probabilities,) = predictor.predict([predictor.read(row.image)])
        expected = classes_of(probabilities)
        assert np.array_equal(predicted.mask(n, "prediction", run="r0"), expected)
        shown = predicted.get(f"images/{n}", run="r0")["predictions"][0]
        truth = read_mask(row.mask, predicted.space.manifest.spec.mask_values)
        dice = f1_score(truth.ravel() == 1, expected.ravel() == 1, zero_division=1)
        assert shown["score"]["value"] == pytest.approx(dice)
        p = np.clip(probabilities.astype(np.float64), 1e-300, 1)
        assert shown["doubt"] == pytest.approx(-(p * np.log2(p)).sum(axis=0).mean(), abs=1e-3)


def test_opening_an_image_predicts_it_first_and_a_later_start_has_it_already(
    predicted: Tab, lesion_copy: Path, open_tab: Callable[..., Tab], segmenter: Path
) -> None:
    assert predicted.get("images/7", run="r0")["predictions"] == []
    wait(predicted)
    shown = predicted.get("images/7", run="r0")["predictions"]
    predicted.space.close()
    again = open_tab(lesion_copy)
    open_runs(again.space, [segmenter], None)
    assert again.get("images/7", run="r0")["predictions"] == shown
    assert again.get("session")["runs"][0]["known"] == 1


def test_a_changed_file_has_no_prediction_until_it_is_made_again(
    predicted: Tab, lesion_copy: Path, open_tab: Callable[..., Tab], segmenter: Path
) -> None:
    predicted.write("POST", "predict", {"run": "r0", "scope": [0]})
    wait(predicted)
    image = predicted.space.row(0).image
    cv2.imwrite(str(image), cv2.imread(str(image))[::-1])
    predicted.space.close()
    again = open_tab(lesion_copy)
    open_runs(again.space, [segmenter], None)
    assert again.get("session")["runs"][0]["known"] == 0


def test_correcting_starts_from_the_prediction_and_ends_in_the_next_version(predicted: Tab) -> None:
    predicted.write("POST", "predict", {"run": "r0", "scope": [3]})
    wait(predicted)
    prediction = predicted.mask(3, "prediction", run="r0")
    assert predicted.change("POST", 3, "start", {"from": "prediction", "run": "r0"})["mask"] == "prediction"
    predicted.change("POST", 3, "strokes", np.ones((5, 5), dtype=np.uint8), x=0, y=0)
    corrected = prediction.copy()
    corrected[:5, :5] = 1
    assert np.array_equal(predicted.mask(3, "edited"), corrected)
    merged = predicted.write("POST", "merge", {"dry_run": False, "replace": True})
    assert merged.json()["version"] == 2
    assert np.array_equal(predicted.mask(3, "truth"), corrected)
    score = predicted.get("images/3", run="r0")["predictions"][0]["score"]["value"]  # with the mask as it is now
    assert score == pytest.approx(f1_score(corrected.ravel() == 1, prediction.ravel() == 1))


@given(arrays(np.uint8, (2, 30), elements=st.sampled_from([0, 1, 2, 7, 255])))
def test_dice_is_the_mean_over_the_classes_in_either_mask_and_leaves_out_ignored_pixels(masks: np.ndarray) -> None:
    truth, prediction = masks[0], np.where(masks[1] == 255, 0, masks[1])
    known = truth != 255
    classes = sorted({*truth[known], *prediction[known]} - {0})
    expected = f1_score(truth[known], prediction[known], labels=classes, average="macro") if classes else 1
    assert dice(truth, prediction) == pytest.approx(expected)


def test_the_grid_sorts_by_doubt_and_finds_what_differs(predicted: Tab) -> None:
    predicted.write("POST", "predict", {"run": "r0", "scope": "all"})
    wait(predicted, count=60)
    items = predicted.get("grid", run="r0", sort="doubt", limit=60)["items"]
    doubts = [item["prediction"]["doubt"] for item in items]
    assert doubts == sorted(doubts, reverse=True)
    differ = {item["n"] for item in predicted.get("grid", run="r0", disagreement="yes", limit=60)["items"]}
    scores = {n: predicted.get(f"images/{n}", run="r0")["predictions"][0]["score"]["value"] for n in range(60)}
    assert differ == {n for n, score in scores.items() if score < 0.5}
    assert predicted.get("facets", run="r0")["disagreement"]["yes"] == len(differ)


def test_a_classifier_shows_test_predictions_at_once_and_where_it_looked(
    lesion_copy: Path, open_tab: Callable[..., Tab], classifier: Path
) -> None:
    tab = open_tab(lesion_copy)
    open_runs(tab.space, [classifier], None)
    run = tab.get("session")["runs"][0]
    assert run["known"] > 0  # without loading any network
    answer = tab.client.get("/api/images/0/saliency", params={"run": "r0"})
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content)) as saliency:
        assert (saliency.mode, saliency.format) == ("L", "PNG")


def test_runs_of_other_classes_are_refused_in_one_line(
    cells: Path, open_tab: Callable[..., Tab], classifier: Path, tmp_path: Path
) -> None:
    tab = open_tab(Path(shutil.copytree(cells, tmp_path / "cells")))
    with pytest.raises(S4miError, match="a run of the classes"):
        open_runs(tab.space, [classifier], None)


def test_images_to_annotate_next_are_those_of_the_command(
    lesion_copy: Path, open_tab: Callable[..., Tab], quick: Callable[..., RunConfig], s4mi: Any, tmp_path: Path
) -> None:
    manifest = load_manifest(lesion_copy)
    rows = [row if n % 2 else replace(row, mask=None) for n, row in enumerate(manifest.rows)]
    write_dataset(lesion_copy, manifest.spec, rows)
    train(quick(lesion_copy, DEDL, epochs=1), tmp_path / "run")
    tab = open_tab(lesion_copy)
    open_runs(tab.space, [tmp_path / "run"], None)
    assert tab.write("POST", "suggest", {"run": "r0", "count": 10}).status_code == 202
    for _ in range(200):
        if tab.space.ranks.any():
            break
        time.sleep(0.05)
    done = s4mi("suggest", tmp_path / "run", lesion_copy, "-n", 10, "-o", tmp_path / "next.csv")
    assert done.returncode == 0, done.stderr
    listed = [line.split(",")[1] for line in (tmp_path / "next.csv").read_text().splitlines()[1:]]
    items = tab.get("grid", sort="next", limit=10)["items"]
    assert [item["name"] for item in items] == listed
    assert [item["rank"] for item in items] == list(range(1, 11))
    tab.space.ranks[:] = 0
    read_ranks(tab.space, tmp_path / "next.csv")
    assert [item["name"] for item in tab.get("grid", sort="next", limit=10)["items"]] == listed


def test_images_with_an_answer_that_is_not_merged_are_not_ranked_again(
    lesion_copy: Path, open_tab: Callable[..., Tab], quick: Callable[..., RunConfig], tmp_path: Path
) -> None:
    manifest = load_manifest(lesion_copy)
    rows = [row if n % 2 else replace(row, mask=None) for n, row in enumerate(manifest.rows)]
    write_dataset(lesion_copy, manifest.spec, rows)
    train(quick(lesion_copy, DEDL, epochs=1), tmp_path / "run")
    tab = open_tab(lesion_copy)
    open_runs(tab.space, [tmp_path / "run"], None)

    def ranked() -> list[int]:
        tab.space.ranks[:] = 0
        assert tab.write("POST", "suggest", {"run": "r0", "count": 60}).status_code == 202
        for _ in range(200):
            if tab.space.ranks.any():
                break
            time.sleep(0.05)
        return [item["n"] for item in tab.get("grid", sort="next", limit=60)["items"] if item["rank"]]

    masked, empty, skipped, labelled, *others = ranked()
    tab.change("POST", masked, "strokes", np.ones((3, 3), dtype=np.uint8), x=1, y=1)
    tab.change("PUT", empty, "empty")
    tab.change("PUT", skipped, "skip", {"reason": "blurred"})
    tab.change("PUT", labelled, "labels", {"labels": ["melanoma"]})  # a class, where the run needs masks
    assert {*ranked()} == {labelled, *others}
