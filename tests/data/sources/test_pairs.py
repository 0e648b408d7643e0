from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.pair_by_name import AffixPattern
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([[0, 255], [0, 255]], dtype=np.uint8)).save(path)
    return folder


def pairs(source: Path, **options: object) -> dict[str, str | None]:
    found = read_pairs(source, PairsOptions(**options))  # type: ignore[arg-type]
    return {row.image.name: None if row.mask is None else row.mask.name for row in found.rows}


def test_names_are_matched_by_their_affixes(tmp_path: Path) -> None:
    files(tmp_path, "images/img_a_x.png", "images/img_b_x.png", "masks/seg-a-m.bmp", "masks/seg-b-m.bmp")
    pattern = AffixPattern(image_prefix="img_", image_suffix="_x", mask_prefix="seg-", mask_suffix="-m")
    assert pairs(tmp_path, naming=pattern) == {"img_a_x.png": "seg-a-m.bmp", "img_b_x.png": "seg-b-m.bmp"}


def test_an_image_without_a_mask_is_not_annotated_and_a_mask_without_an_image_is_a_warning(tmp_path: Path) -> None:
    files(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/z.png")
    found = read_pairs(tmp_path)
    assert [row.mask is not None for row in found.rows] == [True, False]
    assert {finding.code: finding.severity for finding in found.findings} == {
        "mask-without-image": "warning", "no-mask": "note"
    }  # fmt: skip


@pytest.mark.parametrize("outside", [True, False])
def test_the_folders_of_the_official_split_may_be_outside_or_inside(tmp_path: Path, outside: bool) -> None:
    for part in ("train", "validation", "test"):
        for what in ("images", "masks"):
            files(tmp_path, f"{part}/{what}/{part}1.png" if outside else f"{what}/{part}/{part}1.png")
    found = read_pairs(tmp_path)
    assert [row.split for row in found.rows] == (["test", "train", "val"])
    assert all(row.mask is not None and row.mask.name == row.image.name for row in found.rows)


def test_the_same_name_in_two_folders_is_matched_by_path(tmp_path: Path) -> None:
    files(tmp_path, "images/p1/a.png", "images/p2/a.png", "masks/p1/a.png", "masks/p2/a.png")
    found = read_pairs(tmp_path)
    assert all(row.mask is not None and row.mask.parent.name == row.image.parent.name for row in found.rows)


def test_a_mask_in_the_folder_of_another_patient_is_not_that_of_an_image_of_the_same_name(tmp_path: Path) -> None:
    files(tmp_path, "images/p1/7.png", "images/p2/1.png", *(f"masks/p2/{name}.png" for name in ("1", "7", "7_1")))
    found = read_pairs(tmp_path)
    assert [row.mask and row.mask.name for row in found.rows] == [None, "1.png"]
    warning = next(finding for finding in found.findings if finding.severity == "warning")
    assert warning.message.startswith("2 of 3 masks without an image: '7.png', '7_1.png'")


@pytest.mark.parametrize(("image", "mask"), [("p1/7", "7"), ("7", "p1/7"), ("p1_im/7", "p1_seg/7")])
def test_a_mask_may_be_in_a_folder_that_holds_no_images(tmp_path: Path, image: str, mask: str) -> None:
    files(tmp_path, f"images/{image}.png", f"masks/{mask}.png")
    assert pairs(tmp_path) == {"7.png": "7.png"}


def test_masks_of_an_image_in_two_folders_are_not_said_to_be_without_an_image(tmp_path: Path) -> None:
    files(tmp_path, "images/1.png", "images/2.png", "lesion/1.png", "organ/1.png", "organ/3.png")
    found = read_pairs(tmp_path, PairsOptions(masks=("lesion", "organ")))
    messages = {finding.code: finding.message for finding in found.findings if finding.severity == "warning"}
    assert messages["mask-twice"].startswith("1 mask left out, whose images have another mask of the same name: ")
    assert "'lesion/1.png'" in messages["mask-twice"]
    assert messages["mask-without-image"].startswith("1 of 2 masks without an image: '3.png'")


def test_patients_come_from_names(tmp_path: Path) -> None:
    files(tmp_path, "images/p1_a.png", "images/p1_b.png", "masks/p1_a.png")
    found = read_pairs(tmp_path, PairsOptions(group_pattern="^([^_]+)_"))
    assert [row.group for row in found.rows] == ["p1", "p1"]


@pytest.mark.parametrize(
    ("images", "masks", "hint"),
    [
        (["images/a.png"], ["masks/a_seg.png"], "use --mask-suffix '_seg'"),
        (["images/a.png"], ["masks/m-a.png"], "use --mask-prefix 'm-'"),
        (["images/case1_im.png"], ["masks/case1_gt.png"], "use --image-suffix 'im' --mask-suffix 'gt'"),
        (["images/a.png"], ["masks/z.png"], "example of an image name: 'a.png'"),
    ],
)
def test_when_nothing_matches_the_affixes_are_proposed(
    tmp_path: Path, images: list[str], masks: list[str], hint: str
) -> None:
    files(tmp_path, *images, *masks)
    found = read_pairs(tmp_path)
    assert hint in found.findings[0].message
    with pytest.raises(S4miError, match="1 of 1 mask without an image"):
        write_import(found, tmp_path.parent / f"{tmp_path.name}-out", naming=DatasetNaming("x"))


def test_the_error_of_a_missing_folder_lists_the_existing_ones(tmp_path: Path) -> None:
    files(tmp_path, "pictures/a.png")
    with pytest.raises(
        S4miError, match=r"images: does not exist \(existing folders: pictures\); set the folder with --images"
    ):
        read_pairs(tmp_path)


def test_images_and_masks_are_sliced_in_the_same_way(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    generator = np.random.default_rng(0)
    volume = generator.integers(-500, 500, (6, 7, 4)).astype(np.int16)
    mask = (volume > 0).astype(np.uint8)
    for what, array in (("images", volume), ("masks", mask)):
        (tmp_path / "source" / what).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "source" / what / "p1.nii.gz")
    write_import(read_pairs(tmp_path / "source"), tmp_path / "out", naming=DatasetNaming("x"))
    manifest = load_manifest(tmp_path / "out")
    assert [row.id for row in manifest.rows] == [f"p1_{n:03d}" for n in range(4)]
    assert {row.group for row in manifest.rows} == {"images/p1"}
    for number, row in enumerate(manifest.rows):
        assert row.mask is not None
        assert np.array_equal(read_mask(row.mask, manifest.spec.mask_values), np.fliplr(np.rot90(mask[:, :, number])))
