"""Segmentations of 3D Slicer, merged into the slices that an import took from a volume."""

from pathlib import Path

import numpy as np
import pytest

from s4mi.data.annotations.merge import apply_merge, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

nrrd = pytest.importorskip("nrrd", reason="pynrrd is in the extra `nrrd`")

LPS = {"space": "left-posterior-superior", "space directions": np.diag([1, 1, -2.0]), "space origin": [0, 0, 9]}
NAMES = {"Segment0_Name": "tumour", "Segment0_LabelValue": "1", "Segment0_Layer": "0"}


def mask() -> np.ndarray:
    """A mask whose slices are stored from the head downwards."""
    mask = np.zeros((6, 7, 5), dtype=np.uint8)
    mask[1:3, 2:6, 1:3] = 1
    return mask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    nrrd.write(str(tmp_path / "in" / "ct.nrrd"), mask() * 200, LPS)
    write_import(read_folder(tmp_path / "in"), tmp_path / "data", naming=DatasetNaming("x"))
    return tmp_path / "data"


@pytest.mark.parametrize("folder", [True, False])
def test_slicer_slices_are_merged_into_their_images(data: Path, tmp_path: Path, folder: bool) -> None:
    (tmp_path / "seg").mkdir()
    path = tmp_path / "seg" / "ct.seg.nrrd"
    nrrd.write(str(path), mask(), LPS | NAMES)
    source = path.parent if folder else path
    plan = plan_merge(load_manifest(data), {source: read_annotations(source)}, MergeRules())
    assert (plan.errors, apply_merge(plan).changed) == ([], 5)
    manifest = load_manifest(data)
    assert list(manifest.spec.mask_values.values()) == ["background", "tumour"]
    for row in manifest.rows:
        assert row.mask is not None
        bright = read_image(row.image)[:, :, 0] > 0
        np.testing.assert_array_equal(read_mask(row.mask, manifest.spec.mask_values), bright)


def test_slicer_a_volume_of_fewer_slices_is_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "ct.seg.nrrd"
    nrrd.write(str(path), mask()[:, :, :4], LPS | NAMES)
    plan = plan_merge(load_manifest(data), {path: read_annotations(path)}, MergeRules())
    assert len(plan.errors) == 4
    assert "image 'ct_004' is beyond its last slice" in plan.errors[0]


def test_slicer_a_cropped_volume_is_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "ct.seg.nrrd"
    nrrd.write(str(path), mask(), LPS | NAMES | {"Segmentation_ReferenceImageExtentOffset": "0 0 1"})
    with pytest.raises(S4miError, match=r"ct\.seg\.nrrd: file: cropped; save it in the geometry of its image"):
        read_annotations(path)


def test_slicer_a_segmentation_without_voxels_is_blank(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "ct.seg.nrrd"
    nrrd.write(str(path), mask() * 0, LPS | NAMES)
    plan = plan_merge(load_manifest(data), {path: read_annotations(path)}, MergeRules())
    assert (plan.blank, plan.masks, plan.errors) == (5, {}, [])
