import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.dermofit import CLASSES, COUNTS, FULL_NAMES, is_dermofit, read_dermofit
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

LESIONS = 3


def library(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """The layout of the library, with three lesions per class, of various sizes."""
    for k, name in enumerate(classes):
        for n in range(LESIONS):
            lesion = folder / name / f"{name[0]}{k}{n}"
            lesion.mkdir(parents=True)
            pixels = np.full((20 + k, 24 + n, 3), 10 * k + n, dtype=np.uint8)
            Image.fromarray(pixels).save(lesion / f"{lesion.name}.png")
            mask = np.zeros(pixels.shape[:2], dtype=np.uint8)
            mask[5:9, 5:9] = 255
            Image.fromarray(mask).save(lesion / f"{lesion.name}mask.png")
    return folder


def zipped(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for path in sorted((folder / name).rglob("*.png")):
            archive.write(path, path.relative_to(folder))
            path.unlink()
        archive.writestr(f"__MACOSX/{name}/._a.png", b"")
    for path in sorted((folder / name).rglob("*"), reverse=True):
        path.rmdir()
    (folder / name).rmdir()


def test_the_library_has_ten_classes_and_1300_lesions() -> None:
    assert len(CLASSES) == 10
    assert set(COUNTS) == set(FULL_NAMES) == set(CLASSES)
    assert sum(COUNTS.values()) == 1300


@pytest.mark.parametrize("archives", [(), ("AK", "MEL"), CLASSES])
@pytest.mark.parametrize("deeper", [False, True])
def test_folders_and_archives_give_the_same_data_set(tmp_path: Path, archives: tuple[str, ...], deeper: bool) -> None:
    home = library(tmp_path / "source" / "Dermofit" if deeper else tmp_path / "source")
    for name in archives:
        zipped(home, name)
    found = read_dermofit(tmp_path / "source")
    assert is_dermofit(tmp_path / "source")
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("dermofit", foreground="lesion"))
    manifest = load_manifest(tmp_path / "out")
    assert Counter(row.labels for row in manifest.rows) == {(name,): LESIONS for name in CLASSES}
    assert written.spec.tasks == ("multiclass", "segmentation")
    assert sorted(row.id for row in manifest.rows) == sorted(row.group or "" for row in manifest.rows)
    for row in manifest.rows:
        assert row.mask is not None
        k, n = (int(digit) for digit in row.id[-2:])
        assert read_image(row.image).shape == (20 + k, 24 + n, 3)
        assert int(read_image(row.image)[0, 0, 0]) == 10 * k + n
        assert int(read_mask(row.mask, manifest.spec.mask_values).sum()) == 16


def test_missing_files_are_warnings(tmp_path: Path) -> None:
    home = library(tmp_path, ("AK", "BCC", "ML"))
    (home / "AK" / "A00" / "A00mask.png").unlink()
    (home / "BCC" / "B11" / "B11.png").unlink()
    findings = {finding.code: str(finding) for finding in read_dermofit(home).findings}
    assert "1 lesion without a mask, so not annotated: 'A00.png'" in findings["missing-mask"]
    assert "1 mask without an image: 'B11mask.png'" in findings["mask-without-image"]
    assert "found 8 of 1,300 lesions (AK 3 of 45, BCC 2 of 239" in findings["incomplete"]


def test_a_broken_archive_and_another_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="contains none"):
        read_dermofit(tmp_path)
    (tmp_path / "AK.zip").write_bytes(b"PK and no more")
    with pytest.raises(S4miError, match=r"AK\.zip: not a valid zip archive") as caught:
        read_dermofit(tmp_path)
    assert "\n" not in str(caught.value)
