from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.isic2017 import read_isic2017
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

DIAGNOSES = {"melanoma": "1.0,0.0", "seborrheic_keratosis": "0.0,1.0", "nevus": "0.0,0.0"}
PARTS = {"Training": "train", "Validation": "val", "Test_v2": "test"}


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """The official layout with an image of each diagnosis in each part."""
    folder = tmp_path / "archives"
    number = 0
    for name in PARTS:
        data, masks = folder / f"ISIC-2017_{name}_Data", folder / f"ISIC-2017_{name}_Part1_GroundTruth"
        data.mkdir(parents=True)
        masks.mkdir()
        lines = ["image_id,melanoma,seborrheic_keratosis"]
        for values in DIAGNOSES.values():
            key = f"ISIC_{number:07d}"
            pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(data / f"{key}.jpg")
            Image.fromarray(pixels).save(data / f"{key}_superpixels.png")
            Image.fromarray(np.where(pixels[:, :, 0] > 99, 255, 0).astype(np.uint8)).save(
                masks / f"{key}_segmentation.png"
            )
            lines.append(f"{key},{values}")
            number += 1
        (folder / f"ISIC-2017_{name}_Part3_GroundTruth.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_official_layout_gives_diagnoses_masks_and_the_official_split(archives: Path, tmp_path: Path) -> None:
    found = read_isic2017(archives)
    assert not found.findings
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("isic2017", foreground="lesion"))
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.classes == ("melanoma", "seborrheic_keratosis", "nevus")
    assert manifest.spec.tasks == ("multiclass", "segmentation")
    assert manifest.spec.mask_values == {0: "background", 255: "lesion"}
    expected = [(part, (name,)) for part in PARTS.values() for name in DIAGNOSES]
    assert [(row.split, row.labels) for row in manifest.rows] == expected
    for row in manifest.rows:
        assert row.mask is not None
        assert row.mask.name == f"{row.id}_segmentation.png"
    assert not written.findings


def test_the_check_recognises_it(archives: Path) -> None:
    (report,) = check_path(archives)
    assert report.kind == "the official ISIC-2017 layout"
    assert report.findings == ()
    assert report.command == f"s4mi data import isic2017 {archives} -o datasets/archives"


def test_missing_parts_are_warnings_and_the_rest_is_read(archives: Path) -> None:
    (archives / "ISIC-2017_Validation_Part3_GroundTruth.csv").unlink()
    (archives / "ISIC-2017_Test_v2_Part1_GroundTruth").rename(archives / "elsewhere")
    (archives / "ISIC-2017_Training_Data").rename(archives / "away")
    found = read_isic2017(archives)
    assert [(finding.severity, finding.file) for finding in found.findings] == [
        ("warning", "ISIC-2017_Training_Data"),
        ("warning", "ISIC-2017_Validation_Part3_GroundTruth.csv"),
        ("warning", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    ]
    annotated = [(row.split, row.labels is not None, row.mask is not None) for row in found.rows]
    assert annotated == [("val", False, True)] * 3 + [("test", True, False)] * 3


def test_an_archive_unpacked_into_a_folder_of_its_own_name_is_read_all_the_same(archives: Path) -> None:
    outer = archives / "ISIC-2017_Training_Data"
    outer.rename(archives / "moving")
    outer.mkdir()
    (archives / "moving").rename(outer / "ISIC-2017_Training_Data")
    assert len(read_isic2017(archives).rows) == 9


def test_an_invalid_diagnosis_is_an_error_with_its_line(archives: Path) -> None:
    table = archives / "ISIC-2017_Training_Part3_GroundTruth.csv"
    table.write_text(table.read_text().replace("0.0,1.0", "1.0,1.0"))
    finding = read_isic2017(archives).findings[0]
    assert (finding.code, finding.severity, finding.file, finding.line) == ("bad-label", "error", table.name, 3)


def test_labels_of_missing_images_are_warnings(archives: Path) -> None:
    (archives / "ISIC-2017_Training_Data" / "ISIC_0000001.jpg").unlink()
    found = read_isic2017(archives)
    assert len(found.rows) == 8
    assert {finding.code for finding in found.findings} == {"no-such-image"}


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="unpack the official archives"):
        read_isic2017(tmp_path)


@pytest.mark.real
def test_the_real_images_in_the_official_layout_are_2000_150_and_600(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "archives"
    for (name, part), suffix in zip(PARTS.items(), ("train", "val", "test"), strict=True):
        data, masks = source / f"ISIC-2017_{name}_Data", source / f"ISIC-2017_{name}_Part1_GroundTruth"
        data.mkdir(parents=True)
        masks.mkdir()
        lines = ["image_id,melanoma,seborrheic_keratosis"]
        for record in read_table(next((real_data / "isic2017" / suffix).glob("*.csv"))).records:
            stem, label = Path(record.cells["image"]).stem, record.cells["label"]
            (data / f"{stem}.jpg").symlink_to(next((real_data / "isic2017" / suffix).rglob(f"{stem}.jpg")))
            (data / f"{stem}_superpixels.png").write_bytes(b"")
            mask = real_data / "isic2017" / suffix / "masks" / f"{stem}.png"
            if mask.exists():
                (masks / f"{stem}_segmentation.png").symlink_to(mask)
            lines.append(f"{stem},{DIAGNOSES[label]}")
        (source / f"ISIC-2017_{name}_Part3_GroundTruth.csv").write_text("\n".join(lines) + "\n")
        assert part
    written = write_import(
        read_isic2017(source), tmp_path / "out", naming=DatasetNaming("isic2017", foreground="lesion")
    )
    assert Counter(row.split for row in written.rows) == {"train": 2000, "val": 150, "test": 600}
    assert Counter((row.split, *(row.labels or ())) for row in written.rows) == {
        ("train", "nevus"): 1372, ("train", "melanoma"): 374, ("train", "seborrheic_keratosis"): 254,
        ("val", "nevus"): 78, ("val", "melanoma"): 30, ("val", "seborrheic_keratosis"): 42,
        ("test", "nevus"): 393, ("test", "melanoma"): 117, ("test", "seborrheic_keratosis"): 90,
    }  # fmt: skip
    assert sum(row.mask is not None for row in written.rows) == 2150
