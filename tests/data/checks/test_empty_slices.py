"""Slices of a volume without foreground are usual; a volume without any is worth a warning."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from s4mi.data.checks.check import check_path
from s4mi.data.checks.scan import is_slice


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two patients whose first and last slice is empty in one mask, and all are in the other."""
    for name, value in (("one", 1), ("two", 0)):
        mask = np.zeros((20, 24, 4), np.uint8)
        mask[5:9, 6:10, 1:3] = value
        image = np.random.default_rng(len(name)).integers(0, 255, mask.shape).astype(np.int16)
        for folder, array in (("images", image), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / folder / f"{name}.nii.gz")
    return tmp_path


def test_the_first_slice_of_a_volume_is_not_taken_for_the_mask(volumes: Path) -> None:
    (report,) = check_path(volumes, duplicates=False)
    assert "empty-mask" not in {finding.code for finding in report.findings}


def test_only_a_volume_without_any_foreground_is_reported(volumes: Path, tmp_path: Path) -> None:
    lines = ["id,image,mask,label,group,split"]
    for name in ("one", "two"):
        mask = np.asarray(nibabel.load(volumes / "masks" / f"{name}.nii.gz").dataobj)
        lines += [_slice(tmp_path / "set", name, number, mask[..., number]) for number in range(4)]
    (tmp_path / "set" / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "set" / "dataset.yaml").write_text(
        "name: mine\ntasks: [segmentation]\nmask_values: {0: background, 255: lesion}\nroot: .\n"
    )
    (report,) = check_path(tmp_path / "set", duplicates=False)
    found = [finding for finding in report.findings if finding.code == "empty-mask"]
    assert [(finding.line, finding.rows) for finding in found] == [(6, (6, 7, 8, 9))]
    assert found[0].message.startswith("masks of volume 'two.nii.gz' have no foreground in 4 slices")


def _slice(folder: Path, name: str, number: int, mask: np.ndarray) -> str:
    from PIL import Image

    paths = [Path(kind, f"{name}.nii.gz", f"{name}_{number:03d}.png") for kind in ("images", "masks")]
    noise = np.random.default_rng(number).integers(0, 255, mask.shape).astype(np.uint8)
    for path, array in zip(paths, (noise, mask.astype(np.uint8) * 255), strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / path)
    assert is_slice(paths[1])
    return f"{name}_{number},{paths[0]},{paths[1]},,{name},"
