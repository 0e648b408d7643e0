import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.sources.nnunet import NnunetOptions, read_nnunet
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

VERSION_2 = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "PZ": 1, "TZ": 2}}


def grey(value: int) -> np.ndarray[Any, Any]:
    pixels = np.full((6, 7), value, dtype=np.uint8)
    pixels[0, 0] = 0
    return pixels


def data_set(folder: Path, content: dict[str, Any], *, channels: int = 1, test: bool = False) -> Path:
    """Four cases (and one of the test part) of 2-D grey images; channel c of case n is n + 10 c + 1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ".png"} | content), encoding="utf-8")
    for number in range(4 + test):
        part = "Tr" if number < 4 else "Ts"
        for channel in range(channels):
            path = folder / f"images{part}" / f"case_{number}_{channel:04d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(grey(number + 10 * channel + 1)).save(path)
        mask = np.zeros((6, 7), dtype=np.uint8)
        mask[2:4, 2:4], mask[5, 5] = 1, 2
        (folder / f"labels{part}").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / f"labels{part}" / f"case_{number}.png")
    return folder


def test_masks_have_the_classes_of_the_description_and_channels_their_colours(tmp_path: Path) -> None:
    source = data_set(tmp_path / "D", VERSION_2, channels=2)
    for asked, expected in ((("ADC",), (11, 11, 11)), (("0",), (1, 1, 1)), (("T2", "ADC"), (1, 11, 0))):
        read = read_nnunet(source, NnunetOptions(channels=asked))
        naming = DatasetNaming("x", mask_values=dict(read.mask_values))
        written = write_import(read.found, tmp_path / "-".join(asked), naming=naming)
        assert written.spec.mask_classes == ("background", "PZ", "TZ")
        for number, row in enumerate(written.rows):
            colour = np.where(np.array(expected) > 0, np.array(expected) + number, 0)
            np.testing.assert_array_equal(read_image(row.image)[3, 3], colour)
            assert row.mask is not None
            assert read_mask(row.mask, written.spec.mask_values)[[2, 5, 0], [2, 5, 0]].tolist() == [1, 2, 0]


def test_the_channel_of_cases_with_several_files_must_be_named(tmp_path: Path) -> None:
    source = data_set(tmp_path / "D", VERSION_2, channels=2)
    with pytest.raises(S4miError, match=r"2 files, one per channel \(0 T2, 1 ADC\); choose one with --channel T2"):
        read_nnunet(source)
    with pytest.raises(S4miError, match=r"--channel 'AD': no such channel; did you mean 'ADC'\?"):
        read_nnunet(source, NnunetOptions(channels=("AD",)))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"background": 0, "PZ": 1, "TZ": 2}, {0: "background", 1: "PZ", 2: "TZ"}),
        ({"0": "background", "1": "PZ", "2": "TZ"}, {0: "background", 1: "PZ", 2: "TZ"}),
        ({"background": 0, "PZ": 1, "ignore": 2}, {0: "background", 1: "PZ", 2: "ignore"}),
        ({"background": 0, "whole": [1, 2], "core": [2]}, {0: "background", 1: "whole", 2: "core"}),
    ],
    ids=["version 2", "version 1", "ignore", "regions"],
)
def test_labels_of_every_version(tmp_path: Path, labels: dict[str, Any], expected: dict[int, str]) -> None:
    read = read_nnunet(data_set(tmp_path / "D", {"labels": labels}))
    assert read.mask_values == expected
    assert ("nnunet-regions" in [finding.code for finding in read.found.findings]) == ("whole" in labels)


def test_a_fold_and_the_test_part_are_the_official_split(tmp_path: Path) -> None:
    source = data_set(tmp_path / "D", VERSION_2, test=True)
    assert [row.split for row in read_nnunet(source).found.rows] == ["train"] * 4 + ["test"]
    folds = [{"train": ["case_0", "case_1"], "val": ["case_2", "case_3"]}, {"train": ["case_0"], "val": ["case_1"]}]
    (source / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    rows = read_nnunet(source, NnunetOptions(fold=0)).found.rows
    assert [row.split for row in rows] == ["train", "train", "val", "val", "test"]
    findings = read_nnunet(source, NnunetOptions(fold=1)).found.findings
    assert "2 cases in neither part of the fold" in next(one.message for one in findings if one.severity == "error")
    with pytest.raises(S4miError, match="has 2 folds, counted from 0"):
        read_nnunet(source, NnunetOptions(fold=2))


def test_test_images_without_masks_are_left_out_which_is_said(tmp_path: Path) -> None:
    source = data_set(tmp_path / "D", VERSION_2, test=True)
    (source / "labelsTs" / "case_4.png").unlink()
    (source / "labelsTs").rmdir()
    found = read_nnunet(source).found
    assert [row.split for row in found.rows] == [None] * 4
    assert "1 case of imagesTs without labelsTs left out" in found.findings[0].message
