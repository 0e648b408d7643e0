import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli.data import app
from s4mi.data.checks.check import CheckReport, check_path
from s4mi.data.row import COLUMNS
from s4mi.errors import S4miError

SIZE = (24, 30)
SPEC = {
    "name": "lesions",
    "tasks": ["multiclass", "segmentation"],
    "classes": ["naevus", "melanoma"],
    "mask_values": {0: "background", 1: "lesion"},
}


def save_image(path: Path, seed: int, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def save_mask(path: Path, size: tuple[int, int] = SIZE, *, inside: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, dtype=np.uint8)
    mask[: size[0] // 2] = inside
    Image.fromarray(mask).save(path)
    return path


def dataset(folder: Path, *lines: str, header: str = ",".join(COLUMNS), **spec: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump({**SPEC, **spec}))
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def good(folder: Path, *, names: str = "ab") -> list[str]:
    for number, name in enumerate(names):
        save_image(folder / "images" / f"{name}.png", number)
        save_mask(folder / "masks" / f"{name}.png")
    labels = ("naevus", "melanoma")
    return [f",images/{name}.png,masks/{name}.png,{labels[i % 2]},," for i, name in enumerate(names)]


def listed(report: CheckReport) -> list[tuple[str, str, str, int | None]]:
    return [(finding.severity, finding.code, finding.file, finding.line) for finding in report.findings]


def only(path: Path) -> CheckReport:
    (report,) = check_path(path)
    return report


def plant_ten_errors(folder: Path) -> None:
    """Nine in one data set, each in a row of its own; the tenth, an empty manifest, needs another."""
    broken, images, masks = folder / "broken", folder / "broken" / "images", folder / "broken" / "masks"
    for number, name in enumerate(("good", "no_mask", "wrong_size", "scaled", "strange", "twice", "left", "right")):
        save_image(images / f"{name}.png", number)
        save_mask(masks / f"{name}.png", inside=255 if name == "scaled" else 1)
    save_mask(masks / "wrong_size.png", (480, 480))
    (masks / "no_mask.png").unlink()
    whole = save_image(images / "truncated.jpg", 50, (64, 64)).read_bytes()
    (images / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "notes.txt").write_text("taken on a Tuesday")
    (images / "empty.png").touch()
    dataset(
        broken,
        "good,images/good.png,masks/good.png,naevus,,",
        "no_mask,images/no_mask.png,masks/no_mask.png,naevus,,",
        "wrong_size,images/wrong_size.png,masks/wrong_size.png,melanoma,,",
        "scaled,images/scaled.png,masks/scaled.png,naevus,,",
        "strange,images/strange.png,masks/strange.png,mole,,",
        "truncated,images/truncated.jpg,,naevus,,",
        "good,images/twice.png,masks/twice.png,naevus,,",
        "left,images/left.png,masks/left.png,naevus,patient-7,train",
        "right,images/right.png,masks/right.png,naevus,patient-7,test",
        "notes,images/notes.txt,,naevus,,",
        "empty,images/empty.png,,naevus,,",
    )
    dataset(folder / "nothing")


def test_ten_planted_brokenare_all_named_with_file_and_line_and_nothing_else_is_an_error(tmp_path: Path) -> None:
    plant_ten_errors(tmp_path)
    broken, nothing = check_path(tmp_path)
    errors = [found for found in listed(broken) if found[0] == "error"]
    assert errors == [
        ("error", code, "manifest.csv", line)
        for code, line in [
            ("missing-mask", 3),
            ("mask-size", 4),
            ("mask-value", 5),
            ("unknown-class", 6),
            ("undecodable", 7),
            ("duplicate-id", 8),
            ("group-on-two-sides", 10),
            ("not-an-image", 11),
            ("empty-file", 12),
        ]
    ]
    assert listed(nothing) == [("error", "empty-manifest", "manifest.csv", 1)]


def test_one_command_names_all_ten_planted_errors(tmp_path: Path) -> None:
    plant_ten_errors(tmp_path)
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 1
    for location, words in [
        ("broken/manifest.csv:3", "mask 'masks/no_mask.png' does not exist in"),
        ("broken/manifest.csv:4", "is 480×480 but its image is 24×30"),
        ("broken/manifest.csv:5", "contains the value 255, not in mask_values (0, 1)"),
        ("broken/manifest.csv:6", "label 'mole' is not a class"),
        ("broken/manifest.csv:7", "image 'images/truncated.jpg' cannot be decoded"),
        ("broken/manifest.csv:8", "id 'good' is already used in line 2"),
        ("broken/manifest.csv:10", "group 'patient-7' is in test here, but in train in line 9"),
        ("broken/manifest.csv:11", "image 'images/notes.txt' is not an image"),
        ("broken/manifest.csv:12", "image 'images/empty.png' is an empty file"),
        ("nothing/manifest.csv:1", "lists no images"),
    ]:
        assert [
            line for line in result.stdout.splitlines() if line.startswith(f"error: {location}: ") and words in line
        ]


def test_every_finding_is_one_line_with_the_value_and_a_hint(tmp_path: Path) -> None:
    plant_ten_errors(tmp_path)
    findings = [finding for report in check_path(tmp_path) for finding in report.findings]
    assert not [finding for finding in findings if "\n" in str(finding)]
    assert not [finding for finding in findings if ";" not in finding.message]
    texts = [str(finding) for finding in findings]
    wrong_size = "manifest.csv:4: mask 'masks/wrong_size.png' is 480×480 but its image is 24×30"
    assert f"{wrong_size}; re-export the mask at the size of its image" in texts


def test_a_sound_data_set_has_no_findings_and_is_counted(tmp_path: Path) -> None:
    lines = good(tmp_path, names="abcd")
    save_image(tmp_path / "images" / "e.png", 9, (10, 10))
    grey = np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "images" / "f.png")
    report = only(dataset(tmp_path, *lines, ",images/e.png,,,,", ",images/f.png,,naevus,,"))
    assert {finding.code for finding in report.findings if finding.severity != "note"} == {"mixed-channels"}
    assert {finding.code: finding.rows for finding in report.findings} == {"mixed-sizes": (6,), "mixed-channels": (7,)}
    summary = report.summary
    assert summary is not None
    assert (summary.images, summary.labelled, summary.masked, summary.unannotated) == (6, 5, 4, 1)
    assert summary.classes == {"naevus": 3, "melanoma": 2}
    assert summary.foreground == {"lesion": 0.5}
    assert summary.channels == {"grey": 1, "colour": 5}
    assert summary.sizes is not None
    assert (summary.sizes.distinct, summary.sizes.smallest, summary.sizes.largest) == (2, (10, 10), SIZE)


def test_patients_and_official_parts_are_counted(tmp_path: Path) -> None:
    lines = good(tmp_path, names="abcd")
    sides = ["p1,train", "p1,train", "p2,test", "p3,val"]
    lines = [line.removesuffix(",,") + f",{side}" for line, side in zip(lines, sides, strict=True)]
    summary = only(dataset(tmp_path, *lines)).summary
    assert summary is not None
    assert (summary.groups, summary.ungrouped, summary.images_per_group) == (3, 0, (1, 1, 2))
    assert summary.splits == {"train": 2, "val": 1, "test": 1}


def test_unlisted_files_are_counted_and_the_first_named(tmp_path: Path) -> None:
    lines = good(tmp_path)
    for number in range(5):
        save_image(tmp_path / "images" / f"x{number}.png", 10 + number)
    finding = only(dataset(tmp_path, *lines)).findings[0]
    assert (finding.severity, finding.code, finding.file) == ("warning", "unlisted-file", "images")
    assert "5 unlisted files" in finding.message
    assert "'x0.png', 'x1.png', 'x2.png', …" in finding.message


def test_masks_of_images_without_mask_are_a_note_and_other_files_beside_masks_a_warning(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate("abc"):
        save_image(tmp_path / "images" / f"{name}.png", number)
        save_mask(tmp_path / "masks" / f"gt_{name}_seg.png")
        mask = "" if name == "c" else f"masks/gt_{name}_seg.png"
        lines.append(f",images/{name}.png,{mask},{('naevus', 'melanoma')[number % 2]},,")
    (tmp_path / "masks" / "d_seg.png").write_bytes((tmp_path / "masks" / "gt_a_seg.png").read_bytes())
    note, warning = [finding for finding in only(dataset(tmp_path, *lines)).findings if "unlisted" in finding.code]
    assert (note.severity, note.code, note.file) == ("note", "unlisted-mask", "masks")
    assert note.message.startswith("1 unlisted mask of images without mask: 'gt_c_seg.png'; if not intended")
    assert (warning.severity, warning.code) == ("warning", "unlisted-file")
    assert warning.message.startswith("1 unlisted file: 'd_seg.png'; enter them in the column mask")


def test_a_row_with_an_error_still_lists_its_files(tmp_path: Path) -> None:
    lines = [line.replace("naevus", "mole") for line in good(tmp_path)]
    assert [code for _, code, _, _ in listed(only(dataset(tmp_path, *lines)))] == ["unknown-class"]


def test_one_image_in_two_rows_is_a_warning_and_across_the_split_an_error(tmp_path: Path) -> None:
    lines = good(tmp_path)
    save_image(tmp_path / "images" / "b.png", 0)
    report = only(dataset(tmp_path, *lines))
    assert listed(report) == [("warning", "duplicate-image", "manifest.csv", 3)]
    assert "in line 2; their labels differ (labelled melanoma and labelled naevus)" in report.findings[0].message
    lines = [line + side for line, side in zip(lines, ("train", "test"), strict=True)]
    found = [one for one in listed(only(dataset(tmp_path, *lines))) if one[0] != "note"]
    assert found == [("error", "duplicate-across-splits", "manifest.csv", 3)]


def test_a_mask_without_foreground_is_a_warning(tmp_path: Path) -> None:
    lines = good(tmp_path)
    save_mask(tmp_path / "masks" / "b.png", inside=0)
    assert listed(only(dataset(tmp_path, *lines))) == [("warning", "empty-mask", "manifest.csv", 3)]


def test_a_mask_of_wrong_size_and_wrong_values_is_reported_for_both(tmp_path: Path) -> None:
    lines = good(tmp_path)
    save_mask(tmp_path / "masks" / "b.png", (5, 5), inside=255)
    assert [code for _, code, _, _ in listed(only(dataset(tmp_path, *lines)))] == ["mask-value", "mask-size"]


def test_declarations_of_dataset_yaml_without_a_row_are_named_with_their_line(tmp_path: Path) -> None:
    lines = good(tmp_path)
    report = only(dataset(tmp_path, *lines, classes=["naevus", "melanoma", "wart"]))
    keys = (tmp_path / "dataset.yaml").read_text().splitlines()
    assert listed(report) == [("warning", "class-without-images", "dataset.yaml", keys.index("classes:") + 1)]
    unmasked = [",".join([*line.split(",")[:2], "", *line.split(",")[3:]]) for line in lines]
    codes = {code for _, code, _, _ in listed(only(dataset(tmp_path, *unmasked)))}
    assert codes == {"task-without-annotation"}
    report = only(dataset(tmp_path, *lines, tasks=["multiclass"], mask_values={}))
    assert [code for _, code, _, _ in listed(report)] == ["no-mask-values"]


def test_groups_or_parts_of_some_rows_only_are_a_warning(tmp_path: Path) -> None:
    first, second = good(tmp_path)
    report = only(dataset(tmp_path, first.removesuffix(",,") + ",p1,train", second))
    assert {code for _, code, _, _ in listed(report)} == {"split-missing", "group-missing"}


def test_a_data_set_that_cannot_be_read_is_reported_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("name: [")
    report = only(tmp_path)
    assert report.summary is None
    assert report.count("error") == 1


def test_a_folder_per_class_is_recognised_with_its_import(tmp_path: Path) -> None:
    for number, name in enumerate(("naevus/a", "naevus/b", "melanoma/c")):
        save_image(tmp_path / f"{name}.png", number)
    (tmp_path / "melanoma" / "d.png").touch()
    report = only(tmp_path)
    assert report.kind == "a folder per class"
    assert report.summary is not None
    assert report.summary.classes == {"melanoma": 2, "naevus": 2}
    assert report.command == f"s4mi data import folder {tmp_path} -o datasets/{tmp_path.name}"
    assert listed(report) == [("error", "empty-file", "melanoma/d.png", None)]


def test_images_and_masks_are_recognised_and_many_mask_values_named_in_the_import(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png", 0)
    save_mask(tmp_path / "masks" / "a.png", inside=3)
    save_image(tmp_path / "images" / "b.png", 1)
    report = only(tmp_path)
    assert report.kind == "images and masks"
    assert report.summary is not None
    assert (report.summary.masked, report.summary.unannotated) == (1, 1)
    assert report.summary.foreground == {"foreground": 0.5}
    save_mask(tmp_path / "masks" / "b.png", inside=7)
    command = only(tmp_path).command
    assert command is not None
    assert command.endswith("--mask-value 0=background --mask-value 3=class_3 --mask-value 7=class_7")


def test_a_table_is_recognised_and_its_columns_suggested(tmp_path: Path) -> None:
    for number in range(3):
        save_image(tmp_path / "images" / f"{number}.png", number)
    (tmp_path / "labels.csv").write_text("file,dx,patient\n0.png,a,p\n1.png,b,p\n2.png,a,q\n")
    report = only(tmp_path)
    assert report.kind == "a table of images"
    assert report.command is not None
    assert report.command.endswith("--image file --label dx --group patient")
    (tmp_path / "labels.csv").write_text("image,eye_N,eye_D,age\n0.png,1,0,5\n1.png,0,0,6\n2.png,1,1,7\n9.png,1,1,7\n")
    report = only(tmp_path / "labels.csv")
    assert report.command is not None
    assert report.command.endswith("--one-hot eye_N,eye_D --one-hot-prefix eye_")
    assert listed(report) == [("error", "missing-image", "labels.csv", 5)]


def test_a_folder_of_images_alone_is_recognised_as_unlabelled(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", 0)
    report = only(tmp_path)
    assert report.kind == "unlabelled images"
    assert report.summary is not None
    assert report.summary.unannotated == 1


def test_folders_that_are_separate_data_sets_are_reported(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        save_image(tmp_path / name / "images" / "a.png", number)
    assert ("warning", "nested", ".", None) in listed(only(tmp_path))


@pytest.mark.parametrize("name", ["nothing", "empty", "words.txt"])
def test_a_path_without_images_gives_a_one_line_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").touch()
    with pytest.raises(S4miError, match=name):
        check_path(tmp_path / name)


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    dataset(tmp_path, *good(tmp_path, names="abc"))
    steps: list[tuple[int, int]] = []
    check_path(tmp_path, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_checking_needs_no_torch() -> None:
    code = "import sys, s4mi.data.checks.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real
@pytest.mark.skipif("S4MI_DATA" not in os.environ, reason="S4MI_DATA names no folder of real images")
@pytest.mark.parametrize(
    ("name", "images", "masked", "classes", "groups"),
    [
        ("ph2", 200, 200, {"atypical_nevus": 80, "common_nevus": 80, "melanoma": 40}, 0),
        ("nuclei", 541, 541, {}, 0),
        ("fundus", 1689, 0, {"N": 640, "D": 260, "G": 127, "C": 104, "A": 110, "H": 53, "M": 118, "O": 395}, 900),
    ],
)
def test_real_folders_are_recognised_and_sound(
    name: str, images: int, masked: int, classes: dict[str, int], groups: int
) -> None:
    report = only(Path(os.environ["S4MI_DATA"]) / name)
    assert report.kind == "a table of images"
    assert {finding.code for finding in report.findings} <= {"mixed-sizes", "mask-touches-borders", "near-duplicate"}
    same = {
        finding.message.split("'")[1].split("/")[-1] for finding in report.findings if finding.code == "near-duplicate"
    }
    known = {
        "fundus": {"668_left.jpg", "668_right.jpg"},  # patient 398 under another number
        # Two neighbouring planes of one embryo.
        "nuclei": {"cb4df20a83b2f38b394c67f1d9d4aef29f9794d5345da3576318374ec3a11490.png"},
    }
    assert same == known.get(name, set())
    assert report.summary is not None
    assert (report.summary.images, report.summary.masked, report.summary.groups) == (images, masked, groups)
    assert report.summary.classes == classes
