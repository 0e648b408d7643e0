"""An option that the user gave and that fits no file is an error with a suggestion; one that fits some, a warning."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.pair_by_name import AffixPattern
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming, FoundDataset
from s4mi.data.sources.write import write_import
from s4mi.data.spec import Finding
from s4mi.errors import S4miError

NAMES = [f"x{number}" for number in range(4)]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(source: Path, *, images: str = "images", masks: str = "masks", **affixes: str) -> FoundDataset:
    return read_pairs(source, PairsOptions(images=(images,), masks=(masks,), naming=AffixPattern(**affixes)))  # type: ignore[arg-type]


def of(found: FoundDataset, severity: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.severity == severity]


@pytest.mark.parametrize("affixes", [{"mask_suffix": "_mask"}, {"mask_suffix": "_SEG"}, {"mask_prefix": "m-"}])
@pytest.mark.parametrize("folders", [("images", "masks"), (".", ".")])
def test_affixes_of_no_mask_are_an_error_that_proposes_those_that_fit(
    tmp_path: Path, affixes: dict[str, str], folders: tuple[str, str]
) -> None:
    images, masks = folders
    touch(tmp_path, *(f"{images}/{name}.png" for name in NAMES), *(f"{masks}/{name}_seg.png" for name in NAMES))
    (finding,) = of(pairs(tmp_path, images=images, masks=masks, **affixes), "error")
    option, value = f"--{next(iter(affixes)).replace('_', '-')}", next(iter(affixes.values()))
    assert f"{option} {value!r}" in finding.message
    assert "--mask-suffix '_seg'" in finding.message or finding.message.endswith("--mask-suffix _seg")
    assert not of(pairs(tmp_path, images=images, masks=masks, mask_suffix="_seg"), "error")


@pytest.mark.parametrize("word", ["seg", "sgm", "kjh"])
@pytest.mark.parametrize("masks", ["masks/", "", "train/"])
def test_a_suffix_of_no_mask_is_an_error_for_a_folder_too(tmp_path: Path, masks: str, word: str) -> None:
    images = "images/" if masks == "masks/" else masks
    touch(tmp_path, *(f"{images}{name}.png" for name in NAMES), *(f"{masks}{name}_{word}.png" for name in NAMES))
    (finding,) = of(read_folder(tmp_path, FolderOptions(mask_suffix="_mask")), "error")
    assert f"use --mask-suffix _{word}" in finding.message.replace("'", "")
    assert not of(read_folder(tmp_path, FolderOptions(mask_suffix=f"_{word}")), "error")


def test_the_command_fails_and_writes_nothing(tmp_path: Path) -> None:
    for name in touch(tmp_path / "raw", "images/a.png", "masks/a_seg.png").rglob("*.png"):
        Image.new("L", (4, 4), 255).save(name)
    arguments = [str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--mask-suffix", "_mask"]
    for source in ("pairs", "folder"):
        result = CliRunner().invoke(app, ["data", "import", source, *arguments])
        assert result.exit_code == 1
        assert "--mask-suffix '_seg'" in str(result.exception)
        assert not (tmp_path / "out" / "dataset.yaml").exists()


@pytest.mark.parametrize("masks", ["masks", "."])
def test_masks_left_out_by_a_suffix_are_a_warning_with_their_number_and_the_first(tmp_path: Path, masks: str) -> None:
    images = "images" if masks == "masks" else "."
    touch(tmp_path, *(f"{images}/{name}.png" for name in NAMES), f"{masks}/x0_seg.png")
    touch(tmp_path, *(f"{masks}/{name}_sgm.png" for name in NAMES[1:]))
    for found in (
        pairs(tmp_path, images=images, masks=masks, mask_suffix="_seg"),
        read_folder(tmp_path, FolderOptions(mask_suffix="_seg")),
    ):
        assert not of(found, "error")
        (warning,) = of(found, "warning")
        assert "3 of 4 masks: 'x1_sgm.png'" in warning.message or warning.message.startswith("3 images named nearly")
        assert "'x1_sgm.png'" in warning.message


def test_masks_of_another_kind_are_a_note_where_every_image_has_its_mask(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}.png" for name in NAMES))
    touch(tmp_path, *(f"masks/{name}_{kind}.png" for name in NAMES for kind in ("seg", "superpixels")))
    found = pairs(tmp_path, mask_suffix="_seg")
    assert [finding.code for finding in found.findings] == ["mask-left-out"]
    assert of(found, "note") == list(found.findings)


def test_a_folder_per_image_uses_the_suffix_of_its_masks(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/images/{name}.png" for name in NAMES))
    touch(tmp_path, *(f"{name}/masks/{name}{mask}.png" for name in NAMES for mask in ("_a", "_b")))
    assert "--mask-suffix '_c'" in of(pairs(tmp_path, mask_suffix="_c"), "error")[0].message
    found = pairs(tmp_path, mask_suffix="_b")
    assert [row.mask and row.mask.stem for row in found.rows] == [f"{name}_b" for name in NAMES]


def test_images_left_out_by_a_suffix_are_a_warning_and_a_suffix_of_none_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "images/a_im.png", "images/b_im.png", "images/c_mi.png", "masks/a.png", "masks/b.png")
    (warning,) = of(pairs(tmp_path, image_suffix="_im"), "warning")
    assert "--image-suffix '_im' does not fit 1 of 3 images: 'c_mi.png'" in warning.message
    naming = AffixPattern(image_suffix="_im", more_image_suffixes=("_photo",))
    (error,) = of(read_pairs(tmp_path, PairsOptions(naming=naming)), "error")
    assert "--image-suffix '_photo' fits no image" in error.message
    with pytest.raises(S4miError, match=r"--image-suffix '_photo' fits no image \(example.*'a_im.png'\)"):
        pairs(tmp_path, image_suffix="_photo")


@pytest.mark.parametrize("option", ["images", "masks"])
def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path, option: str) -> None:
    touch(tmp_path / "folder", "pictures/a.png", "pictures/b.png")
    with pytest.raises(S4miError, match=rf"--{option} 'gt': no such folder .*\(existing: pictures\)"):
        read_folder(tmp_path / "folder", FolderOptions(**{option: "gt"}))  # type: ignore[arg-type]
    touch(tmp_path / "table", "pictures/a.png", "a.png")
    (tmp_path / "table" / "labels.csv").write_text("image,mask\na.png,\n")
    with pytest.raises(S4miError, match=rf"--{option} 'picture': no such folder .*; did you mean 'pictures'\?"):
        read_tables(tmp_path / "table", TableOptions(**{option: ("picture",)}))  # type: ignore[arg-type]
    with pytest.raises(S4miError, match=rf"--{option} 'part_\*': no such folder"):
        read_tables(tmp_path / "table", TableOptions(**{option: ("part_*",)}))  # type: ignore[arg-type]
    assert len(read_tables(tmp_path / "table", TableOptions(**{option: ("pictures",)})).rows) == 1  # type: ignore[arg-type]


def test_a_prefix_of_no_column_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text("image,eye_n,eye_d\na,1,0\nb,0,1\n")
    columns = ("eye_n", "eye_d")
    assert read_tables(tmp_path, TableOptions(one_hot=columns, one_hot_prefix="eye_")).classes == ("n", "d")
    with pytest.raises(S4miError, match=r"--one-hot-prefix 'ear_': prefix of no one-hot column .*eye_n, eye_d"):
        read_tables(tmp_path, TableOptions(one_hot=columns, one_hot_prefix="ear_"))


def test_a_label_separator_of_no_label_is_a_warning(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "labels.csv").write_text("image,label\na,x\nb,y\nc,x;y\n")
    (warning,) = of(read_tables(tmp_path, TableOptions(separator="|")), "warning")
    assert warning.message.startswith("--label-separator '|' is in no label")
    assert not of(read_tables(tmp_path, TableOptions(separator=";")), "warning")
    with pytest.raises(S4miError, match="--on 'id': there is no table to join"):
        read_tables(tmp_path, TableOptions(join_on="id"))


@pytest.mark.parametrize(
    ("naming", "masks", "message"),
    [
        (
            {"mask_values": {0: "background", 255: "rim", 7: "core", 9: "ignore"}},
            True,
            r"no mask has the value 7 (core)",
        ),
        ({"mask_values": {0: "background", 1: "rim", 2: "core"}}, False, "no mask has the values 1 (rim), 2 (core)"),
        ({"mask_rule": MaskRule(threshold=128)}, False, "no image has a mask, so --mask-threshold"),
        ({"mask_values": {0: "background", 255: "rim"}}, True, ""),
        ({}, False, ""),
    ],
)
def test_a_name_of_a_value_that_no_mask_has_is_a_warning(
    tmp_path: Path, naming: dict[str, Any], masks: bool, message: str
) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    for number, folder in enumerate(["images", "masks"] if masks else ["images"]):
        (tmp_path / "in" / folder).mkdir(exist_ok=True)
        Image.new("L", (4, 4), 255 * number).save(tmp_path / "in" / folder / "a.png")
    written = write_import(read_folder(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x", **naming))
    warnings = [finding.message for finding in written.findings if finding.severity == "warning"]
    assert [warning[: len(message)] for warning in warnings] == [message] * bool(message)
