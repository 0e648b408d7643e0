from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from s4mi.data.manifest import load_manifest
from s4mi.data.row import Row
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.mask_naming import name_mask_values
from s4mi.data.sources.types import DatasetNaming, FoundDataset
from s4mi.data.sources.write import ImportResult, tasks_of, write_import
from s4mi.errors import S4miError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def draw(path: Path, *, value: int = 1, size: tuple[int, int] = (4, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size, dtype=np.uint8)
    pixels[1:3] = value
    Image.fromarray(pixels).save(path)


def seen(found: FoundDataset) -> dict[str, tuple[str | None, tuple[str, ...] | None, str | None, str | None]]:
    """Image → mask, labels, group, split."""
    place = found.folder
    return {
        row.image.relative_to(place).as_posix(): (
            None if row.mask is None else row.mask.relative_to(place).as_posix(), row.labels, row.group, row.split
        )
        for row in found.rows
    }  # fmt: skip


def write(
    found: FoundDataset, folder: Path, *, copy: bool = False, force: bool = False, **naming: object
) -> ImportResult:
    return write_import(
        found, folder, naming=DatasetNaming("x", **naming), options=ImportOptions(copy=copy, force=force)
    )  # type: ignore[arg-type]


def test_a_folder_per_class_labels_its_images_and_others_stay_unlabelled(tmp_path: Path) -> None:
    touch(tmp_path, "melanoma/a.png", "naevus/deep/b.JPG", "unlabelled/c.png", "d.png", "naevus/.hidden.png")
    found = read_folder(tmp_path)
    assert found.classes == ("melanoma", "naevus")
    assert {name: row[1] for name, row in seen(found).items()} == {
        "melanoma/a.png": ("melanoma",), "naevus/deep/b.JPG": ("naevus",), "unlabelled/c.png": None, "d.png": None,
    }  # fmt: skip


def test_class_folders_in_train_valid_and_test_are_an_official_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/a.png", "train/y/b.png", "valid/x/c.png", "Test/y/d.png")
    found = read_folder(tmp_path)
    assert found.classes == ("x", "y")
    assert {name: row[3] for name, row in seen(found).items()} == {
        "train/x/a.png": "train", "train/y/b.png": "train", "valid/x/c.png": "val", "Test/y/d.png": "test",
    }  # fmt: skip


def test_a_class_called_test_beside_other_classes_is_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "test/a.png", "control/b.png")
    assert read_folder(tmp_path).classes == ("control", "test")


def test_masks_are_matched_by_stem_and_an_image_without_one_is_kept(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png")
    found = read_folder(tmp_path)
    assert seen(found) == {
        "images/a.jpg": ("masks/a.png", None, None, None),
        "images/b.jpg": (None, None, None, None),
    }
    assert found.findings == ()


def test_masks_beside_their_images_are_recognised_by_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_segmentation.png", "b.jpg")
    found = read_folder(tmp_path, FolderOptions(mask_suffix="_segmentation"))
    assert {name: row[0] for name, row in seen(found).items()} == {"a.jpg": "a_segmentation.png", "b.jpg": None}


def test_masks_of_equal_names_are_matched_by_their_path(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{kind}/{side}/1.png" for kind in ("images", "masks") for side in ("left", "right")))
    found = read_folder(tmp_path, FolderOptions(classes=False))
    assert {name: row[0] for name, row in seen(found).items()} == {
        "images/left/1.png": "masks/left/1.png", "images/right/1.png": "masks/right/1.png"
    }  # fmt: skip


def test_unmatched_masks_are_a_warning_and_an_error_if_none_matches(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    finding = read_folder(tmp_path).findings[0]
    assert (finding.code, finding.severity) == ("mask-without-image", "warning")
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "a_seg.png")
    found = read_folder(tmp_path)
    assert found.findings[0].severity == "error"
    with pytest.raises(S4miError, match="--mask-suffix"):
        write(found, tmp_path.parent / f"{tmp_path.name}-out")


def test_the_patient_is_group_one_of_the_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "p1_left.png", "p1_right.png", "p2_left.png")
    found = read_folder(tmp_path, FolderOptions(group_pattern=r"^(p\d+)_"))
    assert [row.group for row in found.rows] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(("pattern", "words"), [("(", "not a valid regular expression"), ("p", "has no group")])
def test_a_pattern_that_cannot_name_a_patient_is_refused(tmp_path: Path, pattern: str, words: str) -> None:
    touch(tmp_path, "p1.png")
    with pytest.raises(S4miError, match=words):
        read_folder(tmp_path, FolderOptions(group_pattern=pattern))


def test_a_name_without_patient_is_an_error_because_it_could_cross_the_split(tmp_path: Path) -> None:
    touch(tmp_path, "p1_a.png", "other.png")
    finding = read_folder(tmp_path, FolderOptions(group_pattern=r"^(p\d+)_")).findings[0]
    assert (finding.code, finding.severity) == ("no-group", "error")
    assert "'other.png'" in finding.message


def test_a_single_class_is_not_a_task(tmp_path: Path) -> None:
    found = read_folder(touch(tmp_path / "s", "only/a.png"))
    with pytest.raises(S4miError, match="only class"):
        write(found, tmp_path / "out")
    found = read_folder(tmp_path / "s", FolderOptions(classes=False))
    assert tasks_of(found) == ()


def test_the_error_of_a_folder_without_images_lists_its_file_types(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"the folder contains \.mha"):
        read_folder(touch(tmp_path, "a.mha", "b.mha"))
    with pytest.raises(S4miError, match="not a folder"):
        read_folder(tmp_path / "a.mha")


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.png")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "again").symlink_to(tmp_path / "s")
    assert [row.image.name for row in read_folder(tmp_path / "s").rows] == ["a.png"]


def test_a_reference_beside_the_source_survives_moving_both(tmp_path: Path) -> None:
    draw(tmp_path / "work" / "source" / "x" / "a.png")
    draw(tmp_path / "work" / "source" / "y" / "b.png")
    write(read_folder(tmp_path / "work" / "source"), tmp_path / "work" / "out")
    (tmp_path / "work").rename(tmp_path / "moved")
    rows = load_manifest(tmp_path / "moved" / "out").rows
    assert [row.image for row in rows] == [tmp_path / "moved" / "source" / name for name in ("x/a.png", "y/b.png")]


def test_a_reference_elsewhere_survives_moving_the_data_set(tmp_path: Path) -> None:
    draw(tmp_path / "far" / "source" / "a.png")
    write(read_folder(tmp_path / "far" / "source"), tmp_path / "near" / "out")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "near" / "out").rename(tmp_path / "deep" / "down" / "out")
    assert load_manifest(tmp_path / "deep" / "down" / "out").rows[0].image == tmp_path / "far" / "source" / "a.png"


def test_a_copy_stands_on_its_own_and_the_originals_are_untouched(tmp_path: Path) -> None:
    for part in ("train", "test"):
        draw(tmp_path / "s" / part / "images" / "a.png")
        draw(tmp_path / "s" / part / "masks" / "a.png", value=255)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "s").rglob("*.png")}
    write(read_folder(tmp_path / "s"), tmp_path / "out", copy=True, foreground="lesion")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "s").rglob("*.png")} == before
    (tmp_path / "s").rename(tmp_path / "gone")
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.mask_values == {0: "background", 255: "lesion"}
    assert manifest.spec.root == ""
    assert sorted((row.id, row.split) for row in manifest.rows) == [
        ("test/images/a", "test"),
        ("train/images/a", "train"),
    ]
    for row in manifest.rows:
        assert row.image.is_relative_to(tmp_path / "out" / "images")
        assert row.mask is not None
        assert row.image.read_bytes() == before[tmp_path / "s" / str(row.split) / "images" / "a.png"][0]


def test_an_interrupted_copy_resumes(tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / "s" / f"{name}.png")
    write(read_folder(tmp_path / "s"), tmp_path / "out", copy=True)
    kept = (tmp_path / "out" / "images" / "a.png").stat().st_ino
    (tmp_path / "out" / "images" / "b.png").write_bytes(b"half")
    (tmp_path / "out" / "dataset.yaml").unlink()
    (tmp_path / "out" / "manifest.csv").unlink()
    write(read_folder(tmp_path / "s"), tmp_path / "out", copy=True)
    assert (tmp_path / "out" / "images" / "a.png").stat().st_ino == kept
    assert (tmp_path / "out" / "images" / "b.png").read_bytes() == (tmp_path / "s" / "b.png").read_bytes()
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {"a.png", "b.png"}


def test_a_data_set_is_replaced_only_by_force_and_never_written_into_the_source(tmp_path: Path) -> None:
    draw(tmp_path / "s" / "a.png")
    found = read_folder(tmp_path / "s")
    write(found, tmp_path / "out")
    with pytest.raises(S4miError, match="--force"):
        write(found, tmp_path / "out")
    write(found, tmp_path / "out", force=True)
    for inside in (tmp_path / "s", tmp_path / "s" / "out"):
        with pytest.raises(S4miError, match="inside the source"):
            write(found, inside, force=True)


def test_the_lock_of_an_import_that_was_killed_at_its_end_is_removed(tmp_path: Path) -> None:
    draw(tmp_path / "s" / "a.png")
    found = read_folder(tmp_path / "s")
    write(found, tmp_path / "out")
    (tmp_path / "out" / ".import.lock").touch()
    with pytest.raises(S4miError, match="--force"):
        write(found, tmp_path / "out")
    assert not (tmp_path / "out" / ".import.lock").exists()


def test_grey_sources_are_recorded_as_grey(tmp_path: Path) -> None:
    draw(tmp_path / "s" / "a.png")
    assert write(read_folder(tmp_path / "s"), tmp_path / "one").spec.channels == "grey"
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "s" / "b.png")
    assert write(read_folder(tmp_path / "s"), tmp_path / "two").spec.channels == "rgb"


def test_an_unreadable_mask_is_a_warning_and_the_others_are_used(tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / "s" / "images" / f"{name}.png")
        draw(tmp_path / "s" / "masks" / f"{name}.png", value=255)
    (tmp_path / "s" / "masks" / "b.png").write_bytes(b"")
    written = write(read_folder(tmp_path / "s"), tmp_path / "out")
    assert [finding.code for finding in written.findings] == ["empty-file"]
    (tmp_path / "s" / "masks" / "a.png").write_bytes(b"")
    with pytest.raises(S4miError, match="none of 2 masks can be read"):
        write(read_folder(tmp_path / "s"), tmp_path / "out", force=True)


@given(inside=st.integers(1, 255), background=st.booleans())
def test_one_value_beside_zero_needs_no_name(inside: int, background: bool) -> None:
    values = {0, inside} if background else {inside}
    assert name_mask_values(values, naming=DatasetNaming("x", foreground="cell")) == {0: "background", inside: "cell"}


@given(values=st.sets(st.integers(0, 255), min_size=3))
def test_several_mask_values_must_all_be_named(values: set[int]) -> None:
    with pytest.raises(S4miError, match=f"masks contain the values {min(values)}, "):
        name_mask_values(values, naming=DatasetNaming("x"))
    names = {value: f"c{value}" for value in values}
    assert name_mask_values(values, naming=DatasetNaming("x", mask_values=names)) == names
    del names[max(values)]
    with pytest.raises(S4miError, match=f"{max(values)} have no name"):
        name_mask_values(values, naming=DatasetNaming("x", mask_values=names))


def test_the_background_comes_first_whatever_its_value() -> None:
    naming = DatasetNaming("x", mask_values={1: "rim", 9: "background", 0: "ignore"})
    assert list(name_mask_values({0, 1, 9}, naming=naming).values()) == ["background", "ignore", "rim"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(places=st.sets(st.sampled_from(["a.png", "a.jpg", "x/a.png", "x/b.png", "y/a.png", "images/a.png"]), min_size=1))
def test_ids_are_unique_and_copies_never_collide(tmp_path_factory, places: set[str]) -> None:
    folder = tmp_path_factory.mktemp("ids")
    for number, place in enumerate(sorted(places)):
        (folder / "s" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (number + 2, 3)).save(folder / "s" / place)
    rows = tuple(
        Row("", folder / "s" / place, mask=None, labels=None, group=None, split=None, line=0)
        for place in sorted(places)
    )
    written = write(FoundDataset(folder / "s", "files", rows), folder / "out", copy=True)
    loaded = load_manifest(folder / "out").rows
    assert len({row.id for row in loaded}) == len({row.image for row in loaded}) == len(places)
    for original, copied in zip(rows, written.rows, strict=True):
        assert copied.image.read_bytes() == original.image.read_bytes()


@pytest.mark.parametrize(("named", "severity"), [(None, "warning"), ("images", "note")])
def test_images_beside_the_folder_of_images_are_not_left_out_without_a_word(
    tmp_path: Path, named: str | None, severity: str
) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "second batch/b.png", "c.png")
    found = read_folder(tmp_path, FolderOptions(images=named))
    assert list(seen(found)) == ["images/a.png"]
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("left-out", severity)
    assert finding.message.startswith("2 images outside 'images' left out: 'c.png', 'second batch/b.png'; ")
