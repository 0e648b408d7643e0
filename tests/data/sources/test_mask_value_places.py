"""Errors about values of masks name the masks that have them, so that a fault in a mask does not become a class."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.mask_value_places import describe_values
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError

COUNT = 12


def source(folder: Path, *, bad: str = "a03.png", pixels: object = ((0, 1), (2, 1))) -> Path:
    """Write images, and masks of 0 and 1 of which one has the pixels given."""
    for what in ("images", "masks"):
        (folder / what).mkdir(parents=True)
    for number in range(COUNT):
        name = f"a{number:02}.png"
        Image.fromarray(np.full((2, 2, 3), number, dtype=np.uint8)).save(folder / "images" / name)
        mask = np.array(pixels if name == bad else [[0, 1], [0, 1]], dtype=np.uint8)
        Image.fromarray(mask).save(folder / "masks" / name)
    return folder


def test_the_mask_of_a_stray_value_is_named_with_its_row(tmp_path: Path) -> None:
    folder = source(tmp_path / "in")
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask"])
        writer.writerows([f"images/a{number:02}.png", f"masks/a{number:02}.png"] for number in range(COUNT))
    expected = r"value 2 is in 1 of 12 masks, first in masks/a03.png \(labels.csv:5\): look at this mask first; else "
    with pytest.raises(S4miError, match=rf"classes are unknown; {expected}name each: --mask-value 0=background"):
        write_import(read_tables(folder / "labels.csv"), tmp_path / "out", naming=DatasetNaming("x"))
    naming = DatasetNaming("x", mask_values={0: "background", 1: "rim"})
    with pytest.raises(S4miError, match=rf"of which 2 have no name; {expected}add --mask-value 2=NAME"):
        write_import(read_tables(folder / "labels.csv"), tmp_path / "out", naming=naming)
    (report,) = check_path(folder)
    (finding,) = [one for one in report.findings if one.code == "mask-values"]
    assert "value 2 is in 1 of 12 masks, first in masks/a03.png (labels.csv:5)" in finding.message


def test_the_mask_of_noise_is_named(tmp_path: Path) -> None:
    noise = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(S4miError) as raised:
        write_import(read_folder(source(tmp_path / "in", pixels=noise)), tmp_path / "out", naming=DatasetNaming("x"))
    message = str(raised.value)
    assert "values 2, 3, 4, … (254 in all) are in 1 of 12 masks, first in masks/a03.png: look at this mask" in message
    assert "use --mask-nonzero NAME" in message
    assert len(message) < 500
    (report,) = check_path(tmp_path / "in")
    assert any("1 of 12 masks, first in masks/a03.png" in finding.message for finding in report.findings)


def test_masks_that_an_import_writes_are_named_by_their_source(tmp_path: Path) -> None:
    folder = source(tmp_path / "in", bad="")
    Image.fromarray(np.array([[3, 0], [3, 0]], dtype=np.uint8)).save(folder / "masks" / "a07_1.png")
    with pytest.raises(S4miError, match=r"value 3 is in 1 of 12 masks, first in masks/a07.png: look at this mask"):
        write_import(read_pairs(folder), tmp_path / "out", naming=DatasetNaming("x"))


def test_slices_of_volumes_are_named_by_their_file(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    mask = (volume % 2).astype(np.uint8)
    mask[1, 1, 4] = 7
    for what, array in (("images", volume), ("masks", mask)):
        (tmp_path / "in" / what).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "in" / what / "p1.nii.gz")
    with pytest.raises(S4miError, match=r"value 7 is in 1 of 6 masks, first in masks/p1.nii.gz, frame 4: look at this"):
        write_import(read_pairs(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x"))


def test_one_rule_for_all_values_needs_no_names(tmp_path: Path) -> None:
    naming = DatasetNaming("x", foreground="cell", mask_rule=MaskRule(nonzero=True))
    written = write_import(read_folder(source(tmp_path / "in")), tmp_path / "out", naming=naming)
    assert written.spec.mask_classes == ("background", "cell")


A, B, C, D = (Path(name) for name in "abcd")
CASES: list[tuple[list[MaskKey], dict[Path, tuple[MaskKey, ...]], str]] = [
    ([1, 2], {A: (0, 1), B: (0, 1, 2), C: (0, 1, 2), D: (1,)}, "value 2 is in 2 of 4 masks, first in b; "),
    ([1, 2], {A: (0, 1, 2), B: (0, 1, 2)}, ""),
    ([1, 2], {A: (0, 1, 2)}, ""),
    ([2], {C: (2,), A: (1,), B: (1,)}, "value 2 is in 1 of 3 masks, first in c: look at this mask first; else "),
    (
        ["#020202"],
        {A: (2,), B: ("#ff0000",)},
        "value #020202 is in 1 of 2 masks, first in a: look at this mask first; else ",
    ),
    ([9], {A: (1,), B: (1,)}, ""),
    (list(range(1, 99)), {A: tuple(range(60)), B: tuple(range(99)), C: tuple(range(50))}, ""),
]


@pytest.mark.parametrize(("values", "of_file", "expected"), CASES)
def test_a_value_is_described_by_its_masks(
    values: list[MaskKey], of_file: dict[Path, tuple[MaskKey, ...]], expected: str
) -> None:
    assert describe_values(values, of_file) == expected
