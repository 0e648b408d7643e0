"""Each kind of problem is planted, found with its rows, and not found elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.row import COLUMNS
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.spec import Finding

DRAWN = list(draw_lesions(24, size=96, seed=11))
CLASSES = ("naevus", "melanoma")


class Set:
    """A data set of drawn lesions, to plant one problem in."""

    def __init__(self, folder: Path, count: int = 12) -> None:
        self.folder = folder
        self.rows: list[dict[str, str]] = []
        self.spec: dict[str, Any] = {
            "name": "set", "tasks": ["multiclass", "segmentation"], "classes": list(CLASSES),
            "mask_values": {0: "background", 255: "lesion"},
        }  # fmt: skip
        for number in range(count):
            self.add(f"i{number:02d}.png", DRAWN[number].image, label=CLASSES[number % 2], mask=DRAWN[number].mask)

    def add(self, name: str, image: np.ndarray, *, mask: np.ndarray | None = None, **cells: str) -> int:
        """Write an image, and a mask, and a row; the line of the row."""
        for kind, pixels in (("images", image), ("masks", mask)):
            if pixels is not None:
                path = self.folder / kind / (name if kind == "images" else f"{Path(name).stem}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path, quality=80) if path.suffix == ".jpg" else Image.fromarray(
                    pixels
                ).save(path)
        row = {"image": f"images/{name}", "mask": "" if mask is None else f"masks/{Path(name).stem}.png", **cells}
        self.rows.append(row)
        return len(self.rows) + 1

    def fill(self, column: str, values: Callable[[int], str]) -> "Set":
        for number, row in enumerate(self.rows):
            row[column] = values(number)
        return self

    def findings(self, *, notes: bool = False) -> dict[str, Finding]:
        """Findings by code; each code once."""
        lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in self.rows)]
        (self.folder / "manifest.csv").write_text("\n".join(lines) + "\n")
        if not any(row.get("mask") for row in self.rows):
            self.spec["tasks"] = ["multiclass"]
        (self.folder / "dataset.yaml").write_text(yaml.safe_dump(self.spec))
        (report,) = check_path(self.folder)
        found = [finding for finding in report.findings if notes or finding.severity != "note"]
        assert all("; " in finding.message and "\n" not in finding.message for finding in found)
        assert len({finding.code for finding in found}) == len(found), found
        return {finding.code: finding for finding in found}


@pytest.fixture
def data(tmp_path: Path) -> Set:
    return Set(tmp_path)


def test_a_sound_set_has_no_findings(data: Set) -> None:
    assert data.findings(notes=True) == {}


def copy_of(number: int) -> np.ndarray:
    """Saved again and resized."""
    small = cv2.resize(DRAWN[number].image, (60, 60), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1), dtype=np.uint8)


def parts(number: int) -> str:
    return ("train", "train", "train", "train", "val", "val", "test", "test")[number % 8]


def test_a_copy_in_another_part_saved_again_and_resized_is_an_error(data: Set) -> None:
    line = data.add("copy.jpg", copy_of(0), label="naevus")
    data.fill("split", parts).rows[-1]["split"] = "test"
    found = data.findings()
    assert set(found) == {"near-duplicate-across-splits"}
    assert found["near-duplicate-across-splits"].severity == "error"
    assert found["near-duplicate-across-splits"].rows == (line, 2)


def test_a_copy_of_another_patient_is_a_warning_and_of_the_same_one_none(data: Set) -> None:
    line = data.add("copy.jpg", copy_of(0), label="naevus")
    data.fill("group", lambda number: f"patient {number}")
    found = data.findings()
    assert found["near-duplicate"].rows == (line, 2)
    data.rows[-1]["group"] = "patient 0"
    assert data.findings() == {}


@pytest.mark.parametrize("exact", [True, False])
def test_an_image_without_annotation_that_copies_a_test_image_is_an_error(data: Set, exact: bool) -> None:
    line = data.add("copy.png" if exact else "copy.jpg", DRAWN[6].image if exact else copy_of(6))
    data.fill("split", parts).rows[-1]["split"] = "train"
    found = data.findings()
    assert set(found) == {"unlabelled-copy-of-test"}
    assert found["unlabelled-copy-of-test"].rows == (line, 8)


def test_one_patient_under_two_spellings_is_a_warning(data: Set) -> None:
    names = ["P012", "p12", "P 12", "P13", "P130", "Q12"]
    found = data.fill("group", lambda number: names[number % 6]).findings()
    assert set(found) == {"patient-two-spellings"}
    assert "'P 12', 'P012', 'p12'" in found["patient-two-spellings"].message
    assert found["patient-two-spellings"].rows == (2, 3, 4, 8, 9, 10)


@pytest.mark.parametrize("names", ["Müller Möller Mayer", "Иванов Петров Сидоров", "山田 佐藤 鈴木"])
def test_names_in_other_letters_than_ascii_are_not_spellings_of_each_other(data: Set, names: str) -> None:
    assert data.fill("group", lambda number: names.split()[number % 3]).findings() == {}
    spelt = [*names.split(), names.split()[0].upper() + "."]
    found = data.fill("group", lambda number: spelt[number % 4]).findings()
    assert set(found) == {"patient-two-spellings"}


def test_a_file_name_with_the_id_of_another_patient_is_a_warning(tmp_path: Path) -> None:
    data = Set(tmp_path, count=0)
    for number in range(12):
        data.add(
            f"p{number // 2}_{number}.png", DRAWN[number].image, label=CLASSES[number % 2], group=f"P{number // 2}"
        )
    assert data.findings() == {}
    data.rows[5]["group"] = "P4"
    found = data.findings()
    assert set(found) == {"patient-in-file-name"}
    assert found["patient-in-file-name"].rows == (7,)
    assert (
        "'p2_5.png' has the id of group 'P2' in its name, but is of group 'P4'" in found["patient-in-file-name"].message
    )


def test_two_sides_of_one_body_in_two_groups_are_a_warning(tmp_path: Path) -> None:
    data = Set(tmp_path, count=0)
    for number in range(12):
        side = ("left", "right")[number % 2]
        name = f"case{number // 2}_{side}.png"
        data.add(name, DRAWN[number].image, label=CLASSES[number % 2], group=f"g{number // 2}")
    assert data.findings() == {}
    data.rows[4]["group"] = "another"
    found = data.findings()
    assert set(found) == {"pair-in-two-groups"}
    assert found["pair-in-two-groups"].rows == (6, 7)


def test_a_class_that_a_part_lacks_is_a_warning(data: Set) -> None:
    found = data.fill(
        "split", lambda number: "test" if number in (0, 2) else "val" if number in (1, 4) else "train"
    ).findings()
    assert set(found) == {"class-missing-in-part"}
    assert "class 'melanoma' has no image in test" in found["class-missing-in-part"].message


def test_parts_whose_classes_differ_are_a_warning_unless_it_may_be_chance(tmp_path: Path) -> None:
    from s4mi.data.checks.class_balance import check_balance
    from s4mi.data.checks.summary import Summary

    def summary(table: dict[str, dict[str, int]]) -> Summary:
        parts = ("train", "test")
        splits = {part: sum(row[part] for row in table.values()) for part in parts}
        classes = {name: sum(row.values()) for name, row in table.items()}
        count = sum(classes.values())
        return Summary(
            images=count, classes=classes, labelled=count, no_class=0, masked=0, unannotated=0, sizes=None, channels={},
            foreground={}, groups=0, ungrouped=count, images_per_group=None, splits=splits, frames=count,
            classes_by_part=table, foreground_by_part={},
        )  # fmt: skip

    def codes(table: dict[str, dict[str, int]]) -> set[str]:
        return {finding.code for finding in check_balance(summary(table))}

    assert codes({"a": {"train": 500, "test": 50}, "b": {"train": 100, "test": 200}}) == {"class-shift"}
    assert codes({"a": {"train": 500, "test": 100}, "b": {"train": 100, "test": 24}}) == set()
    assert codes({"a": {"train": 20, "test": 4}, "b": {"train": 10, "test": 6}}) == set()
    assert codes({"a": {"train": 10, "test": 2}, "b": {"train": 5, "test": 3}}) == {"class-imbalance"}
    assert codes({"a": {"train": 500, "test": 100}, "b": {"train": 6, "test": 2}}) == {"class-imbalance"}


def test_an_image_of_one_grey_is_a_warning(data: Set) -> None:
    line = data.add("flat.png", np.full((96, 96, 3), 77, dtype=np.uint8), label="naevus")
    found = data.findings()
    assert set(found) == {"constant-image"}
    assert found["constant-image"].line == line


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (np.zeros((96, 96), np.uint8), "empty-mask"),
        (np.full((96, 96), 255, np.uint8), "full-mask"),
        (255 - DRAWN[20].mask, "mask-touches-borders"),
    ],
)
def test_masks_that_are_empty_full_or_inverted_are_a_warning(data: Set, mask: np.ndarray, code: str) -> None:
    line = data.add("odd.png", DRAWN[20].image, mask=mask.astype(np.uint8), label="naevus")
    found = data.findings()
    assert set(found) == {code}
    assert found[code].rows == (line,)


def test_labels_and_masks_that_disagree_are_a_warning(data: Set) -> None:
    data.spec |= {"tasks": ["multilabel", "segmentation"], "classes": ["lesion", "hair"]}
    data.fill("label", lambda number: "lesion" if number else "lesion;hair")
    assert data.findings() == {}
    data.rows[3]["label"] = "none"
    found = data.findings()
    assert set(found) == {"label-mask-disagree"}
    assert "contains lesion, but the label is 'none'" in found["label-mask-disagree"].message
    data.rows[3]["label"] = "hair"
    assert "lesion is in the mask, but not in the label" in data.findings()["label-mask-disagree"].message


def test_mixed_channels_sizes_and_depths_are_reported_once_with_their_rows(data: Set) -> None:
    grey = data.add("grey.png", DRAWN[20].image[:, :, 0], label="naevus")
    small = data.add("small.png", DRAWN[21].image[:40, :50], label="naevus")
    tifffile.imwrite(data.folder / "images" / "deep.tif", DRAWN[22].image.astype(np.uint16) * 200, photometric="rgb")
    data.rows.append({"image": "images/deep.tif", "label": "melanoma"})
    found = data.findings(notes=True)
    assert {code: finding.rows for code, finding in found.items()} == {
        "mixed-channels": (grey,), "mixed-sizes": (small,), "mixed-depths": (len(data.rows) + 1,)
    }  # fmt: skip
    assert [found[code].severity for code in ("mixed-channels", "mixed-sizes", "mixed-depths")] == [
        "warning",
        "note",
        "note",
    ]


def test_an_image_that_exif_rotates_is_a_note_and_with_an_upright_mask_a_warning(data: Set) -> None:
    line = data.add("turned.jpg", DRAWN[20].image, label="naevus")
    photo = Image.open(data.folder / "images" / "turned.jpg")
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(data.folder / "images" / "turned.jpg", exif=exif)
    found = data.findings(notes=True)
    assert (found["exif-orientation"].severity, found["exif-orientation"].rows) == ("note", (line,))
    Image.fromarray(DRAWN[20].mask).save(data.folder / "masks" / "turned.png")
    data.rows[-1]["mask"] = "masks/turned.png"
    assert data.findings(notes=True)["exif-orientation"].severity == "warning"
    turned_alike = Image.open(data.folder / "masks" / "turned.png")
    turned_alike.save(data.folder / "masks" / "turned.png", exif=exif)
    assert data.findings(notes=True)["exif-orientation"].severity == "note"


def test_files_of_several_frames_are_a_warning(data: Set) -> None:
    stack = np.stack([DRAWN[20].image, DRAWN[21].image])
    tifffile.imwrite(data.folder / "images" / "stack.tif", stack, photometric="rgb")
    data.rows.append({"image": "images/stack.tif", "label": "melanoma"})
    assert set(data.findings()) == {"several-frames"}


def test_dicom_that_names_its_patient_or_has_text_in_its_pixels_is_a_warning(data: Set) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import write_dicom

    grey = DRAWN[20].image[:, :, 0].astype(np.uint16) * 10
    write_dicom(data.folder / "images" / "a.dcm", grey, PatientName="Test^Only", BurnedInAnnotation="YES")
    data.rows.append({"image": "images/a.dcm", "label": "melanoma"})
    found = data.findings()
    assert set(found) == {"dicom-identifiers", "dicom-burnt-in", "mixed-channels"}
    assert "'PatientName'" in found["dicom-identifiers"].message
    assert "Test" not in found["dicom-identifiers"].message


def test_the_search_for_duplicates_can_be_disabled(data: Set) -> None:
    data.add("copy.png", DRAWN[0].image, label="naevus")
    assert set(data.findings()) == {"duplicate-image"}
    (report,) = check_path(data.folder, duplicates=False)
    assert report.findings == ()
