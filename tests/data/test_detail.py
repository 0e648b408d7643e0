"""The second look at pairs of images that are alike at 32 pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_modalities import COPIES, fundus, jpeg
from s4mi.data.checks.check import check_path
from s4mi.data.detail import detail, detail_correlation
from s4mi.data.duplicates import MIN_CORRELATION, correlation, near_duplicates
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.second_look import MIN_DETAIL, SecondLook
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.leakage import find_leaks
from s4mi.data.splits.split_file import Split
from s4mi.data.thumbnails import thumbnail


def test_thumbnails_of_different_eyes_are_alike_and_their_vessels_are_not() -> None:
    one, other = fundus(1), fundus(2)
    assert correlation(thumbnail(one), thumbnail(other)) >= MIN_CORRELATION
    assert detail_correlation(detail(one), detail(other)) < 0.5 < MIN_DETAIL


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_keeps_its_vessels(name: str) -> None:
    one = fundus(1)
    assert detail_correlation(detail(one), detail(COPIES[name](one))) >= MIN_DETAIL


def test_check_and_split_agree_and_a_pair_may_be_declared_different(tmp_path: Path) -> None:
    """Different eyes are no pair for either; a copy is one for both, until a person declares it different."""
    images = {"a": fundus(1), "b": fundus(2), "c": jpeg(fundus(1), 60)}
    for name, pixels in images.items():
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    thumbnails = np.stack([thumbnail(pixels) for pixels in images.values()])
    assert len(near_duplicates(thumbnails)) == 3
    for different, expected in (((), [(0, 2)]), ((("c", "a"),), [])):
        spec = DatasetSpec(name="eyes", tasks=("multiclass",), classes=("x", "y"), different=different)
        rows = [
            Row(name, tmp_path / "images" / f"{name}.png", None, ("x",), name, None, 0)  # type: ignore[arg-type]
            for name in images
        ]
        write_dataset(tmp_path, spec, rows)
        manifest = load_manifest(tmp_path)
        split = Split(train=(0,), val=(1,), test=(2,), labelled=(0,), hash="")
        leaks = find_leaks(manifest, split, digests=["1", "2", "3"], thumbnails=thumbnails)
        assert [(leak.first, leak.second) for leak in leaks] == expected
        (report,) = check_path(tmp_path)
        assert len([one for one in report.findings if one.code == "near-duplicate"]) == len(expected)


def test_copies_whose_labels_and_masks_disagree_say_so_and_by_how_much(tmp_path: Path) -> None:
    pixels, mask = fundus(3), np.zeros((256, 256), np.uint8)
    mask[40:80, 40:80] = 255
    for name, shift in (("a", 0), ("b", 20)):
        for folder, content in (("images", pixels), ("masks", np.roll(mask, shift, axis=0))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(content).save(tmp_path / folder / f"{name}.png")
    spec = DatasetSpec(name="eyes", tasks=("multiclass", "segmentation"), classes=("x", "y"),
                       mask_values={0: "background", 255: "disc"})  # fmt: skip
    rows = [
        Row(name, tmp_path / "images" / f"{name}.png", tmp_path / "masks" / f"{name}.png", (label,), "p", None, 0)
        for name, label in (("a", "x"), ("b", "y"))
    ]
    write_dataset(tmp_path, spec, rows)
    (report,) = check_path(tmp_path)
    (finding,) = [one for one in report.findings if one.code == "duplicate-image"]
    assert "their labels differ (labelled y and labelled x)" in finding.message
    assert "their masks differ at 2.4 % of the pixels (Dice 0.50)" in finding.message  # 1,600 of 65,536, half shared


@pytest.mark.real
def test_real_fundus_photographs_of_different_eyes_are_no_duplicates(real_data: Path) -> None:
    """Two patients of ODIR-5K have the same two photographs; no other pair of 1,689 is one, and copies are found."""
    paths = sorted((real_data / "fundus").rglob("*.jpg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    thumbnails = np.stack([thumbnail(image) for image in images])
    look = SecondLook(lambda number: images[number], len(images))
    pairs = near_duplicates(thumbnails, same=look.same)
    alike = [(pair.first, pair.second) for pair in pairs]
    assert {(paths[first].name, paths[second].name) for first, second in alike} == {
        ("398_left.jpg", "668_left.jpg"), ("398_right.jpg", "668_right.jpg")
    }  # fmt: skip
    for image in images[::60]:
        for change in COPIES.values():
            assert detail_correlation(detail(image), detail(change(image))) >= MIN_DETAIL
