"""Every layout of public data sets is imported by the one command that `data check` proposes, and nothing is lost."""

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from made_layouts import LAYOUTS, disc
from s4mi.cli import app
from s4mi.data.checks.check import check_path
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.splits.split import SplitMethod, make_split

pytestmark = pytest.mark.slow


class Expected(NamedTuple):
    """What an import holds, counted by hand from the drawing of the layout."""

    images: int
    classes: Mapping[str, int] = MappingProxyType({})
    masks: int = 0
    patients: int = 0
    split: tuple[int, ...] = ()
    options: str = ""
    mask_classes: tuple[str, ...] = ("background", "foreground")


EXPECTED = {
    "BUSI": Expected(
        12, {"benign": 4, "malignant": 4, "normal": 4}, masks=12, options="--mask-suffix _mask"
    ),
    "ISIC2018_Task1": Expected(11, masks=11, split=(6, 2, 3), options="--mask-suffix _segmentation"),
    "CVC-ClinicDB": Expected(6, masks=6, options="--images Original --masks 'Ground Truth'"),
    "DSB2018": Expected(6, masks=6),
    "Dataset005_Prostate": Expected(
        15, masks=15, patients=5, split=(12, 3, 0), options="--channel 0 --fold 0",
        mask_classes=("background", "PZ", "TZ"),
    ),
    "HAM10000": Expected(
        10, {"bkl": 2, "mel": 4, "nv": 4}, patients=5,
        options="--images HAM10000_images_part_1 --images HAM10000_images_part_2",
    ),
    "ISIC2018_Task3": Expected(
        9, {"MEL": 4, "NV": 3, "BCC": 2}, patients=5, options="--join ISIC2018_Task3_Training_LesionGroupings.csv"
    ),
    "ISIC2019": Expected(
        9, {"MEL": 4, "NV": 5, "UNK": 0}, patients=5, options="--join ISIC_2019_Training_Metadata.csv"
    ),
    "ISIC2020": Expected(20, {"0": 15, "1": 5}, patients=10, options="--label target --group patient_id"),
    "CheXpert-v1.0-small": Expected(
        12, {"Cardiomegaly": 6, "Edema": 4, "Atelectasis": 4}, patients=8, split=(9, 3, 0),
        options="--blank no --uncertain unknown",
    ),
    "NIH": Expected(
        24, {"Cardiomegaly": 4, "Effusion": 8, "Mass": 8}, patients=12, split=(18, 0, 6),
        options="--label-separator '|' --images 'images_*/images' --negative 'No Finding'",
    ),
    "EyePACS": Expected(10, {"0": 4, "1": 3, "2": 3}, patients=5, options="--group-pattern"),
    "APTOS": Expected(9, {"0": 3, "1": 2, "2": 2}, split=(7, 0, 2)),
    "Kvasir-SEG": Expected(6, masks=6, options="--mask-threshold 128"),
    "GlaS": Expected(6, masks=6, options="--mask-nonzero object", mask_classes=("background", "object")),
    "DRIVE": Expected(9, masks=9, split=(6, 0, 3), options="--mask-suffix _manual1"),
    "PanNuke": Expected(
        6, {"Breast": 3, "Colon": 3}, masks=6, options="class_4,background",
        mask_classes=("background", "class_0", "class_1", "class_2", "class_3", "class_4"),
    ),
    "PCam": Expected(12, {"class_0": 6, "class_1": 6}, split=(4, 4, 4)),
    "npz": Expected(9, {"class_0": 3, "class_1": 3, "class_2": 3}, split=(6, 0, 3)),
    "MedMNIST": Expected(12, {"normal": 6, "pneumonia": 6}, split=(4, 4, 4)),
}  # fmt: skip


def test_every_layout_is_expected_and_drawn() -> None:
    assert EXPECTED.keys() == LAYOUTS.keys()


@pytest.mark.parametrize("name", LAYOUTS)
def test_data_set_is_imported_by_the_one_command_that_check_proposes(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "PCam":
        pytest.importorskip("h5py", reason="h5py is in the extra `hdf5`")
    LAYOUTS[name](tmp_path / name)
    (report,) = check_path(tmp_path / name, duplicates=False)
    assert report.command is not None
    expected = EXPECTED[name]
    for option in shlex.split(expected.options):
        assert option in report.command or shlex.quote(option) in report.command
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, shlex.split(report.command)[1:])
    assert run.exit_code == 0, run.output
    manifest = load_manifest(next((tmp_path / "datasets").iterdir()))
    rows = manifest.rows
    counts = Counter(label for row in rows for label in row.labels or ())
    parts = Counter(row.split for row in rows if row.split is not None)
    assert len(rows) == expected.images
    assert {one: counts[one] for one in manifest.spec.classes} == expected.classes
    assert sum(row.mask is not None for row in rows) == expected.masks
    assert len({row.group for row in rows if row.group}) == expected.patients
    assert tuple(parts[part] for part in ("train", "val", "test")) == (expected.split or (0, 0, 0))
    if expected.masks:
        assert manifest.spec.mask_classes == expected.mask_classes
    (checked,) = check_path(manifest.folder, duplicates=False)
    assert [finding for finding in checked.findings if finding.severity == "error"] == []
    assert_split(manifest, seed=0)


def assert_split(manifest: Manifest, *, seed: int) -> None:
    """A run has a training and a validation part; nobody is in two, and the official test part is as published."""
    method = SplitMethod("official" if manifest.official else "random", seed=seed, ratios=(0.6, 0.2, 0.2))
    split = make_split(
        manifest, manifest.spec.tasks[0], method=method, fraction_seed=0, foreground=[0.1] * len(manifest.rows)
    )
    assert split.train
    assert split.val
    part_of = {row: part for part in ("train", "val", "test") for row in split.rows(part)}  # type: ignore[arg-type]
    assert len(part_of) == len(manifest.rows)
    for one, row in enumerate(manifest.rows):
        assert all(
            part_of[one] == part_of[n] for n, o in enumerate(manifest.rows) if row.group and o.group == row.group
        )
        if manifest.official:
            assert (row.split == "test") == (part_of[one] == "test")


def test_masks_of_layouts_keep_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for name in ("DSB2018", "GlaS", "DRIVE", "PanNuke", "BUSI"):
        LAYOUTS[name](tmp_path / name)
        (report,) = check_path(tmp_path / name, duplicates=False)
        assert report.command is not None
        assert CliRunner().invoke(app, shlex.split(report.command)[1:]).exit_code == 0
        manifest = load_manifest(tmp_path / "datasets" / name)
        found[name] = {
            row.id: read_mask(row.mask, manifest.spec.mask_values) for row in manifest.rows if row.mask is not None
        }
    nuclei = np.maximum.reduce([np.roll(disc(2, 1), 9 * n, axis=0) for n in range(3)])
    np.testing.assert_array_equal(found["DSB2018"]["0002abcdef"], nuclei)
    np.testing.assert_array_equal(found["GlaS"]["train_3"], disc(3, 1) | np.roll(disc(3, 1), 11, axis=0))
    np.testing.assert_array_equal(found["DRIVE"]["22_training"], disc(22, 1))
    np.testing.assert_array_equal(found["BUSI"]["benign (2)"], disc(2, 1) | np.roll(disc(2, 1), 12, axis=1))
    np.testing.assert_array_equal(found["PanNuke"]["images_000004"], disc(4, 1) * (4 % 3 + 1))
