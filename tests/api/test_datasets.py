"""A data set in Python: its counts, images, check and split."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import s4mi
from conftest import TRANSFER
from parsed_page import Page
from s4mi.config import RunConfig
from s4mi.data.splits.split_file import read_split_hash
from s4mi.errors import S4miError
from s4mi.training.features import FOLDER

Quick = Callable[..., RunConfig]


def manifest_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def official(tmp_path: Path, lesions: Path) -> Path:
    """The lesions with an official split by patient, and some images without annotation."""
    folder = tmp_path / "data"
    shutil.copytree(lesions, folder)
    rows = manifest_rows(folder)
    for number, row in enumerate(rows):
        patient = int(row["group"].rpartition("_")[2])
        row["split"] = "val" if patient % 5 == 0 else "test" if patient % 5 == 1 else "train"
        if row["split"] == "train" and number % 3 == 0:
            row["label"], row["mask"] = "", ""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_counts_are_those_of_the_manifest(official: Path) -> None:
    data, rows = s4mi.Dataset(official), manifest_rows(official)
    counted = {row["count"]: row for row in data.counts.to_dicts()}
    for part in ("train", "val", "test"):
        own = [row for row in rows if row["split"] == part]
        assert counted["images"][part] == len(own)
        assert counted["labelled"][part] == sum(row["label"] != "" for row in own)
        assert counted["masked"][part] == sum(row["mask"] != "" for row in own)
        assert counted["patients"][part] == len({row["group"] for row in own})
        for name, count in Counter(row["label"] for row in own if row["label"]).items():
            assert counted[f"class {name}"][part] == count
    assert counted["images"]["all"] == len(data) == len(data.table) == 60
    assert data.table["labels"].null_count() == sum(row["label"] == "" for row in rows)


def test_images_and_masks_are_read_by_id_and_by_number(lesions: Path) -> None:
    data = s4mi.Dataset(str(lesions))
    row = data.table.row(-1, named=True)
    with Image.open(row["image"]) as image, Image.open(row["mask"]) as mask:
        for which in (row["id"], -1, 59):
            assert np.array_equal(data.image(which), np.asarray(image))
            assert np.array_equal(data.mask(which), np.asarray(mask) // 255)
    with pytest.raises(S4miError, match="no image 60; it has 60 images"):
        data.image(60)
    with pytest.raises(S4miError, match="no image with id 'lesion_001'; did you mean 'lesion_00"):
        data.mask("lesion_001")


def test_a_folder_that_is_no_data_set_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"^[^\n]*dataset\.yaml: [^\n]*s4mi data import[^\n]*$"):
        s4mi.Dataset(tmp_path)


def test_a_data_set_stands_for_its_folder(lesions: Path) -> None:
    assert Path(s4mi.Dataset(lesions)) == lesions


def test_drawing_again_gives_the_same_data_set(tmp_path: Path) -> None:
    first = s4mi.draw("cells", tmp_path / "cells", count=5, size=32)
    again = s4mi.draw("cells", tmp_path / "cells", count=5, size=32)
    assert first.table.equals(again.table)
    assert first.tasks == ("multilabel", "segmentation")
    with pytest.raises(S4miError, match="unknown kind of data set 'cell'; did you mean 'cells'"):
        s4mi.draw("cell", tmp_path)  # type: ignore[arg-type]


def test_notebooks_show_counts_and_thumbnails_and_escape_names(official: Path) -> None:
    spec = official / "dataset.yaml"
    spec.write_text(spec.read_text().replace("name: synthetic-lesions", "name: <b>&lesions"))
    (official / "images" / "lesion_0000.png").write_bytes(b"broken")
    data = s4mi.Dataset(official)
    shown = Page(data._repr_html_())
    assert "<b>&lesions" in shown.text
    assert not shown.all("b")
    assert 1 <= len(shown.all("img")) <= 8
    assert {"train", "val", "test", "all"} <= set(shown.words)
    assert "60 images (multiclass, segmentation)" in repr(data)


def test_a_check_lists_what_the_command_lists(official: Path) -> None:
    (official / "images" / "lesion_0001.png").write_bytes(b"broken")
    told: list[tuple[str, int, int]] = []
    found = s4mi.check(official, duplicates=False, progress=lambda *moment: told.append(moment))
    assert told[-1] == ("decoding", 60, 60)
    assert found.errors == 1
    (row,) = found.table.filter(severity="error").to_dicts()
    assert (row["code"], row["file"]) == ("not-an-image", "manifest.csv")
    assert "1 error" in repr(found)
    shown = Page(found._repr_html_())
    assert "not an image" in shown.text
    assert "no errors" not in shown.text
    assert all("text-align:left" in cell["style"] for cell in (*shown.all("th")[-2:], *shown.all("td")[-2:]))
    assert s4mi.Dataset(official).check(duplicates=False, progress=False).errors == 1


def test_a_plain_folder_is_told_how_to_become_a_data_set(lesions: Path) -> None:
    found = s4mi.check(lesions / "images", duplicates=False, progress=False)
    shown = Page(found._repr_html_()).text
    assert "s4mi data import folder" in shown
    assert "no errors, no warnings" in shown
    with pytest.raises(S4miError, match="import it first"):
        s4mi.check(lesions / "images", backbone="tiny_resnet", weights="none", progress=False)


def test_features_are_kept_in_the_cache_that_is_given(lesions: Path, tmp_path: Path) -> None:
    """Where an erasure with the same cache finds them."""
    s4mi.check(
        lesions, duplicates=False, backbone="tiny_resnet", weights="none", cache=tmp_path / "cache", progress=False
    )
    assert any((tmp_path / "cache" / FOLDER).iterdir())


def test_a_split_is_that_of_a_run_and_can_be_saved_for_one(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    split = s4mi.split(lesions, seed=3, fractions=[50, "10 images"], progress=False)
    config = quick(lesions, TRANSFER, epochs=1, seed=3, split={"seed": 3}, label_fraction=50)
    run = s4mi.train(config, tmp_path / "run", progress=False)
    saved = json.loads((run.path / "split.json").read_text())
    for part in ("train", "val", "test"):
        assert sorted(split.parts[part]) == sorted(saved[part])
    assert sorted(split.parts["50 %"]) == sorted(saved["labelled"])
    assert 10 <= len(split.parts["10 images"]) <= 13, "patients are taken whole"
    counted = {row["count"]: row for row in split.table.to_dicts()}
    assert counted["images"]["train"] == len(split.parts["train"])
    assert counted["images"]["labels 50 %"] == len(saved["labelled"])
    assert read_split_hash(split.save(tmp_path / "split.json")) == split.hash
    assert split.hash in Page(split._repr_html_()).text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "randon"}, "unknown kind of split 'randon'; did you mean 'random'"),
        ({"task": "segmentatio"}, "unknown task 'segmentatio'; did you mean 'segmentation'"),
        ({"kind": "random", "ratios": (0.5, 0.5, 0.5)}, "ratios must be three positive numbers that sum to 1"),
        ({"kind": "kfold", "folds": 4, "fold": 4}, "fold must be 0–3 for 4 folds (given 4)"),
        ({"kind": "file"}, "kind 'file' requires a saved split; pass it as file"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(lesions: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(S4miError) as refused:
        s4mi.split(lesions, progress=False, **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith(message)
