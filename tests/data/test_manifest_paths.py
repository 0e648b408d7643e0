"""A data set is moved or mounted elsewhere, and still has its images and the masks that were merged into it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.annotations.merge import apply_merge, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.checks.unlisted import find_unlisted
from s4mi.data.manifest import load_manifest, read_manifest
from s4mi.data.manifest_paths import HERE, ManifestPaths
from s4mi.data.masks import read_mask
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.spec import DatasetSpec
from s4mi.data.versions import load_version

MASK = np.array([[0, 255, 255, 0]] * 3, np.uint8)


def image(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((3, 4), 90, np.uint8) if pixels is None else pixels).save(path)
    return path


def with_merged_mask(source: Path, data: Path) -> None:
    """Import images in place, and merge a mask of the first."""
    for name in ("a", "b"):
        image(source / f"{name}.png")
    write_import(read_folder(source, FolderOptions(classes=False)), data, naming=DatasetNaming(name="x"))
    corrected = image(data.parent / "corrected" / "a.png", MASK).parent
    apply_merge(plan_merge(load_version(data), {corrected: read_annotations(corrected)}, MergeRules()))
    shutil.rmtree(corrected)


@pytest.mark.parametrize(
    ("source", "data", "moved"),
    [("images/in", "sets/x", "sets"), ("all/images", "all/x", "all"), ("all/images", "all/x", "all/x")],
    ids=["the data set alone", "with its images", "the data set alone, within their parent"],
)
def test_merged_masks_are_found_where_the_data_set_has_been_moved(
    tmp_path: Path, source: str, data: str, moved: str
) -> None:
    with_merged_mask(tmp_path / source, tmp_path / data)
    cells = (tmp_path / data / "manifest.csv").read_text()
    assert str(tmp_path) not in cells
    assert "a.png,./masks-v2/a.png," in cells
    target = tmp_path / "elsewhere" if moved != data else tmp_path / "all" / "y"
    (tmp_path / moved).rename(target)
    folder = target / Path(data).relative_to(moved)
    for version in (1, 2):
        rows = load_version(folder, version).rows
        assert [row.image.name for row in rows] == ["a.png", "b.png"]
        assert [row.mask is not None for row in rows] == [version == 2, False]
    manifest = load_version(folder)
    merged = manifest.rows[0].mask
    assert merged == folder / "masks-v2" / "a.png"
    assert np.array_equal(read_mask(merged, manifest.spec.mask_values), MASK // 255)
    assert not find_unlisted(folder, (folder / manifest.spec.root).resolve())


def test_a_merged_mask_is_not_one_of_the_same_name_below_the_images(tmp_path: Path) -> None:
    source, data = tmp_path / "all" / "images", tmp_path / "all" / "x"
    with_merged_mask(source, data)
    image(source / "masks-v2" / "a.png", 255 - MASK)
    manifest = load_manifest(data)
    assert manifest.rows[0].mask == data / "masks-v2" / "a.png"


def test_a_table_written_by_hand_may_have_dots_below_the_root_and_an_error_names_both_folders(tmp_path: Path) -> None:
    source, data = tmp_path / "all" / "images", tmp_path / "all" / "x"
    with_merged_mask(source, data)
    (data / "manifest.csv").write_text(
        "image,mask\n./a.png,./masks-v2/none.png\n./b.png,./masks-v2/a.png\n./c.png,\nc.png,\n/c/c.png,\n"
    )
    manifest, findings = read_manifest(data)
    assert manifest is not None
    assert manifest.rows[0].image == source / "b.png"
    assert [finding.message.split("; ")[0] for finding in findings] == [
        f"mask './masks-v2/none.png' does not exist in {data} or {source}",
        f"image './c.png' does not exist in {data} or {source}",
        f"image 'c.png' does not exist in {source}",
        "image '/c/c.png' does not exist",
    ]


def test_the_setting_says_which_paths_are_not_relative_to_the_root() -> None:
    assert f" {HERE}: " in (DatasetSpec.model_fields["root"].description or "")


def test_a_folder_of_masks_beside_that_of_images_moves_with_them(tmp_path: Path) -> None:
    image(tmp_path / "all" / "masks" / "a.png", MASK)
    paths = ManifestPaths(tmp_path / "all" / "x", "../images")
    assert paths.cell(tmp_path / "all" / "masks" / "a.png") == "../masks/a.png"
    absolute = ManifestPaths(tmp_path / "all" / "x", str(tmp_path / "all" / "images"))
    assert absolute.cell(tmp_path / "all" / "masks" / "a.png") == str(tmp_path / "all" / "masks" / "a.png")


@pytest.mark.parametrize("root", ["", "own"])
def test_images_elsewhere_are_found_after_a_merge_and_a_move_of_a_data_set_with_its_root(
    tmp_path: Path, root: str
) -> None:
    data, images = tmp_path / "all" / "x", tmp_path / "all" / "images"
    own = image(data / root / "own.png")
    listed = [own, image(images / "a.png"), image(images / "b.png")]
    (data / "dataset.yaml").write_text(f"name: x\ntasks: []\nroot: '{root}'\n")
    (data / "manifest.csv").write_text("\n".join(["id,image", "own,own.png", f"a,{listed[1]}", f"b,{listed[2]}", ""]))
    corrected = image(tmp_path / "corrected" / "b.png", MASK).parent
    apply_merge(plan_merge(load_version(data), {corrected: read_annotations(corrected)}, MergeRules()))
    moved = data.rename(tmp_path / "y")
    rows = load_manifest(moved).rows
    assert [row.image for row in rows] == [moved / root / "own.png", *listed[1:]]
    assert rows[2].mask is not None
    assert rows[2].mask.is_relative_to(moved)


def test_a_root_that_is_a_link_to_another_place_does_not_move_with_the_data_set(tmp_path: Path) -> None:
    image(tmp_path / "big" / "images" / "a.png")
    mask = image(tmp_path / "all" / "masks" / "a.png", MASK)
    (tmp_path / "all" / "images").symlink_to(tmp_path / "big" / "images")
    cell = ManifestPaths(tmp_path / "all" / "x", "../images").cell(mask)
    moved = (tmp_path / "all" / "x").parent.rename(tmp_path / "deep") / "x"
    assert cell == str(mask)
    assert ManifestPaths(moved, "../images").cell(moved.parent / "images" / "a.png") == "a.png"


@pytest.mark.parametrize("root", ["", "../images", ".", "ABSOLUTE", "..", "../pictures", "m"])
@pytest.mark.parametrize("file", ["all/images/a.png", "all/x/m/é.png", "all/masks/a.png", "other/a.png"])
def test_what_is_written_of_a_file_is_read_as_this_file(tmp_path: Path, root: str, file: str) -> None:
    image(tmp_path / "all" / "images" / "z.png")
    image(tmp_path / "other" / "pictures" / "z.png")
    (tmp_path / "all" / "pictures").symlink_to(tmp_path / "other" / "pictures")
    path, folder = image(tmp_path / file), tmp_path / "all" / "x"
    folder.mkdir(exist_ok=True)
    paths = ManifestPaths(folder, root.replace("ABSOLUTE", str(tmp_path / "all" / "images")))
    found = paths.find(paths.cell(path))
    assert found is not None
    assert found.samefile(path)
