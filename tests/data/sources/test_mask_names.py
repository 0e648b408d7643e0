"""Masks beside their images, in every way they are named, and several masks of one image."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app
from s4mi.data.checks.check import check_path
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.sources import mask_names
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.mask_names import is_mask_word, masks_beside
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

SUFFIXES = (
    "_mask", "_Mask", "-mask", " mask", ".mask", "mask", "_masks", "_seg", "_segm", "_segmentation", "_Segmentation",
    "_label", "_labels", "_labelmap", "_gt", "_GT", "_groundtruth", "_ground_truth", "_GroundTruth", "_annotation",
    "_anno", "_roi", "_manual", "_lesion", "_contour", "_superpixels",
)  # fmt: skip
NUMBERS = ("", "_1", "1", " (2)", "-03")


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 12), dtype=np.uint8)).save(path)


def square(path: Path, row: int, column: int, *, value: int = 255, mode: str = "L", size: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((8, 12), dtype=np.uint8)
    pixels[row : row + size, column : column + size] = value
    Image.fromarray(pixels).convert(mode).save(path)


def busi(folder: Path) -> Path:
    """Class folders with masks beside the images, of 1 and 8 bits, one as RGBA; two images have two lesions."""
    for kind in ("benign", "malignant"):
        for number in range(1, 4):
            stem = f"{kind} ({number})"
            picture(folder / kind / f"{stem}.png", seed=number)
            square(folder / kind / f"{stem}_mask.png", 1, 1, mode=("1", "L", "RGBA")[number - 1])
        square(folder / kind / f"{kind} (1)_mask_1.png", 5, 8)
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", NUMBERS)
def test_every_way_of_naming_a_mask_beside_its_image_is_refused_with_the_option(
    tmp_path: Path, suffix: str, number: str
) -> None:
    for image in ("case 1", "case 2"):
        (tmp_path / f"{image}.png").touch()
        (tmp_path / f"{image}{suffix}{number}.png").touch()
    (finding,) = read_folder(tmp_path).findings
    assert finding.severity == "error"
    assert f"--mask-suffix {shlex.quote(suffix)};" in finding.message
    found = read_folder(tmp_path, FolderOptions(mask_suffix=suffix))
    assert [(row.image.stem, row.mask and row.mask.stem) for row in found.rows] == [
        ("case 1", f"case 1{suffix}{number}"), ("case 2", f"case 2{suffix}{number}"),
    ]  # fmt: skip


def test_masks_named_by_a_prefix_are_refused_with_the_command(tmp_path: Path) -> None:
    for name in ("a.png", "mask_a.png", "b.png", "mask_b.png"):
        (tmp_path / name).touch()
    (finding,) = read_folder(tmp_path).findings
    assert "--images . --masks . --mask-prefix mask_" in finding.message


@given(st.lists(st.text("abc123_ -", min_size=1, max_size=6), unique=True))
def test_names_without_a_word_for_masks_are_never_masks(names: list[str]) -> None:
    assert masks_beside([Path(f"/x/{name}.png") for name in names]) == {}


@pytest.mark.parametrize("name", ["mask_1", "label", "segmented nucleus", "masked", "x_masking", "gtx", "debin"])
def test_names_of_no_other_image_are_images(name: str) -> None:
    assert masks_beside([Path(f"/x/{name}.png"), Path("/x/other.png"), Path("/y/1.png")]) == {}


def test_images_named_like_masks_are_images_where_the_user_says_so(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png"):
        (tmp_path / name).touch()
    found = read_folder(tmp_path, FolderOptions(mask_suffix=""))
    assert len(found.rows) == 2
    assert found.findings == ()


def test_several_masks_of_an_image_are_united(tmp_path: Path) -> None:
    written = write_import(
        read_folder(busi(tmp_path / "busi"), FolderOptions(mask_suffix="_mask")),
        tmp_path / "out",
        naming=DatasetNaming("x", foreground="lesion"),
    )
    manifest = load_manifest(tmp_path / "out")
    assert written.spec.mask_classes == ("background", "lesion")
    assert len(manifest.rows) == 6
    sizes = {
        row.id: int((read_mask(row.mask, manifest.spec.mask_values) == 1).sum()) for row in manifest.rows if row.mask
    }
    assert sizes == {
        f"{kind} ({number})": 8 if number == 1 else 4 for kind in ("benign", "malignant") for number in (1, 2, 3)
    }
    assert {row.labels for row in manifest.rows} == {("benign",), ("malignant",)}


def test_check_of_the_folder_proposes_a_command_that_works(tmp_path: Path) -> None:
    (report,) = check_path(busi(tmp_path / "busi"))
    assert report.command is not None
    assert report.summary is not None
    assert (report.summary.images, report.summary.masked) == (6, 6)
    command = shlex.split(report.command)[1:]
    command[command.index("-o") + 1] = str(tmp_path / "out")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    (report,) = check_path(tmp_path / "out", duplicates=False)
    assert report.count("error") == 0


@pytest.mark.parametrize(
    "names", [("a_mask", "a_mask_1"), ("a", "a_1"), ("a_1_mask", "a_2_mask"), ("a_mask1", "a_mask2")]
)
def test_several_masks_in_a_folder_of_masks_are_united(tmp_path: Path, names: tuple[str, str]) -> None:
    picture(tmp_path / "s/images/a.png")
    square(tmp_path / f"s/masks/{names[0]}.png", 1, 1)
    square(tmp_path / f"s/masks/{names[1]}.png", 5, 8)
    options = FolderOptions(mask_suffix="_mask" if "mask" in names[0] else None)
    write_import(read_folder(tmp_path / "s", options), tmp_path / "out", naming=DatasetNaming("x"))
    manifest = load_manifest(tmp_path / "out")
    assert manifest.rows[0].mask is not None
    assert int((read_mask(manifest.rows[0].mask, manifest.spec.mask_values) == 1).sum()) == 8
    pattern = PairsOptions().naming if options.mask_suffix is None else None
    if pattern is not None:
        assert len(read_pairs(tmp_path / "s").united) == 1


def test_masks_that_contradict_each_other_are_refused_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "s/images/a.png")
    square(tmp_path / "s/masks/a.png", 1, 1, value=2)
    square(tmp_path / "s/masks/a_1.png", 2, 2, value=3)
    names = {0: "background", 2: "x", 3: "y"}
    with pytest.raises(S4miError, match=r"'a_1.png' has another class than 'a.png' at 1 pixels"):
        write_import(read_folder(tmp_path / "s"), tmp_path / "out", naming=DatasetNaming("x", mask_values=names))


def test_folders_of_masks_are_not_classes(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"s/Original/{number}.png", seed=number)
        square(tmp_path / f"s/Ground Truth/{number}.png", 1, 1)
    (finding,) = [one for one in read_folder(tmp_path / "s").findings if one.severity == "error"]
    assert "--images Original --masks 'Ground Truth'" in finding.message
    (report,) = check_path(tmp_path / "s")
    assert report.command is not None
    assert "pairs" in report.command
    assert report.count("error") == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("masks", True), ("ISIC2018_Task1_Training_GroundTruth", True), ("labelsTr", True), ("Ground Truth", True),
     ("SegmentationClass", True), ("benign", False), ("unlabelled", False), ("glabella", False), ("images", False)],
)  # fmt: skip
def test_words_for_folders_of_masks(name: str, expected: bool) -> None:
    assert is_mask_word(name) == expected


def test_check_names_masks_among_the_images_of_an_older_data_set(tmp_path: Path) -> None:
    busi(tmp_path / "s")
    found = read_folder(tmp_path / "s", FolderOptions(mask_suffix=""))
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("x"))
    write_dataset(tmp_path / "out", written.spec, written.rows)
    (report,) = check_path(tmp_path / "out", duplicates=False)
    (finding,) = [one for one in report.findings if one.code == "mask-as-image"]
    assert len(finding.rows) == 8


def test_kvasir_masks_stored_as_jpeg_are_read_by_a_threshold_that_check_proposes(tmp_path: Path) -> None:
    truth = np.zeros((64, 96, 3), dtype=np.uint8)
    truth[13:41, 21:70] = 255
    (tmp_path / "s/masks").mkdir(parents=True)
    picture(tmp_path / "s/images/a.png")
    Image.fromarray(np.zeros_like(truth) + 99).save(tmp_path / "s/images/a.png")
    Image.fromarray(truth).save(tmp_path / "s/masks/a.jpg", quality=75)
    assert len(np.unique(np.asarray(Image.open(tmp_path / "s/masks/a.jpg")))) > 4
    (report,) = check_path(tmp_path / "s")
    assert report.command is not None
    assert report.command.endswith("--mask-threshold 128")
    with pytest.raises(S4miError, match="--mask-threshold 128"):
        write_import(read_folder(tmp_path / "s"), tmp_path / "out", naming=DatasetNaming("x"))
    naming = DatasetNaming("x", mask_rule=MaskRule(threshold=128))
    write_import(read_folder(tmp_path / "s"), tmp_path / "out", naming=naming)
    (row,) = load_manifest(tmp_path / "out").rows
    assert row.mask is not None
    assert np.array_equal(read_mask(row.mask, {0: "background", 255: "foreground"}), truth[:, :, 0] == 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_instance_masks_with_ids_above_255_are_one_class_by_mask_nonzero(
    tmp_path: Path, dtype: type, suffix: str
) -> None:
    if suffix == ".png" and dtype is np.int32:
        dtype = np.uint16  # PNG holds no more bits
    ids = np.zeros((8, 12), dtype=dtype)
    ids[1:3, 1:3], ids[5:7, 5:9] = 3, min(np.iinfo(dtype).max, 256 * 3)
    (tmp_path / "s/masks").mkdir(parents=True)
    picture(tmp_path / "s/images/a.png")
    if suffix == ".npy":
        np.save(tmp_path / "s/masks/a.npy", ids)
    else:
        Image.fromarray(ids).save(tmp_path / f"s/masks/a{suffix}")
    if ids.max() > 255:
        (report,) = check_path(tmp_path / "s")
        assert report.command is not None
        assert report.command.endswith("--mask-nonzero object")
    command = ["data", "import", "folder", str(tmp_path / "s"), "-o", str(tmp_path / "out"), "--mask-nonzero", "cell"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.mask_classes == ("background", "cell")
    assert manifest.rows[0].mask is not None
    assert np.array_equal(read_mask(manifest.rows[0].mask, manifest.spec.mask_values), ids > 0)


@pytest.mark.parametrize(
    ("images", "masks", "image_end", "mask_end"),
    [
        ("Bilder", "Konturen", "", "_lesion_GT"),
        ("scans", "expert1", "", "_lesion_GT"),
        ("scans", "expert1", "", "_mask"),
        ("raw", "seg", "_DAPI", "_cells"),
        ("Bilder", "Masken", "", ""),
    ],
)
def test_folders_of_images_and_of_masks_are_not_classes(
    tmp_path: Path, images: str, masks: str, image_end: str, mask_end: str
) -> None:
    for number in range(3):
        picture(tmp_path / images / f"plate{number}{image_end}.png", seed=number)
        square(tmp_path / masks / f"plate{number}{mask_end}.png", 1, number)
    (finding,) = read_folder(tmp_path).findings
    assert (finding.code, finding.file) == ("mask-folder", masks)
    (report,) = check_path(tmp_path)
    assert report.command is not None
    options = shlex.split(report.command.partition("-o ")[2])[1:]
    affixes = ["--image-suffix", image_end] * bool(image_end) + ["--mask-suffix", mask_end] * bool(mask_end)
    assert options == ["--images", images, "--masks", masks, *affixes]
    assert report.summary is not None
    assert report.summary.images == 3


def test_classes_with_equal_names_of_images_are_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("benign", "malignant")):
        for stem in ("1", "2", "3_scan"):
            picture(tmp_path / name / f"{stem}.png", seed=number)
    assert read_folder(tmp_path).classes == ("benign", "malignant")


def test_folders_whose_names_have_no_word_for_masks_are_not_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder per patient: thousands of them would make millions of pairs."""
    compared: list[Path] = []
    monkeypatch.setattr(mask_names, "_mask_folder", lambda folder, *_, **__: compared.append(folder))
    source = Path("data")
    images = [source / f"P{patient:03d}" / f"image_{n}.png" for patient in range(50) for n in range(3)]
    masks = [source / "Konturen" / f"image_{n}_mask.png" for n in range(3)]
    assert mask_names.mask_folders([*images, *masks], source) == []
    assert set(compared) == {source / "Konturen"}
