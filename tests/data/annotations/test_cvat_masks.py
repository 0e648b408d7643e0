"""Masks of CVAT, "Segmentation mask 1.1"."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.annotations.merge import apply_merge, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError

LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nlesion:250,50,83::\nrim: outer:51,221,255::\n"
COLOURS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], dtype=np.uint8)


def export(folder: Path, *, palette: bool, labels: str = LABELS) -> np.ndarray:
    """Write an export of one image with two classes; return its mask."""
    mask = np.zeros((64, 96), dtype=np.uint8)
    mask[4:20, 6:30] = 1
    mask[30:50, 40:41] = 2
    image = Image.fromarray(mask, "P") if palette else Image.fromarray(COLOURS[mask])
    if palette:
        image.putpalette(COLOURS.ravel().tolist())
    for name in ("SegmentationClass", "SegmentationObject"):
        (folder / name).mkdir(parents=True)
        image.save(folder / name / "c00.png")
    (folder / "labelmap.txt").write_text(labels)
    return mask


@pytest.mark.parametrize("palette", [True, False])
def test_annotation_cvat_masks_are_read_by_colour(
    plain_images: Callable[..., Manifest], tmp_path: Path, palette: bool
) -> None:
    data = plain_images("c00.jpg", "c01.jpg")
    mask = export(tmp_path / "cvat", palette=palette)
    plan = plan_merge(data, {tmp_path / "cvat": read_annotations(tmp_path / "cvat")}, MergeRules())
    assert not plan.errors
    classes = plan.spec.mask_classes
    assert set(classes) == {"background", "lesion", "rim: outer"}
    for index, name in enumerate(("background", "lesion", "rim: outer")):
        assert np.array_equal(plan.masks[0].classes == classes.index(name), mask == index)
    assert apply_merge(plan).changed == 1


def test_annotation_cvat_a_mask_of_background_is_background_on_demand_alone(
    plain_images: Callable[..., Manifest], tmp_path: Path
) -> None:
    data = plain_images("c00.jpg", "c01.jpg")
    export(tmp_path / "cvat", palette=False)
    Image.new("RGB", (96, 64)).save(tmp_path / "cvat" / "SegmentationClass" / "c01.png")
    sources = {tmp_path / "cvat": read_annotations(tmp_path / "cvat")}
    assert list(plan_merge(data, sources, MergeRules()).masks) == [0]
    plan = plan_merge(data, sources, MergeRules(empty=True))
    assert list(plan.masks) == [0, 1]
    assert not plan.masks[1].classes.any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("lesion:250,50,83::\n", "cvat/SegmentationClass/c00.png: colour 51,221,255 is not in labelmap.txt"),
        ("lesion:250,50::\n", r"cvat/labelmap.txt:1: must be label:red,green,blue::"),
        ("lesion:250,50,83::\nrim:250,50,83::\n", r"cvat/labelmap.txt:2: 'rim' has the colour of 'lesion'"),
    ],
)
def test_invalid_cvat_masks_are_refused_in_one_line(tmp_path: Path, labels: str, message: str) -> None:
    export(tmp_path / "cvat", palette=False, labels=labels)
    with pytest.raises(S4miError, match=message) as caught:
        read_annotations(tmp_path / "cvat")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["9" * 5000, "1000", "²", "-1"])
def test_a_colour_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "SegmentationClass" / "a.png")
    (tmp_path / "labelmap.txt").write_text(f"lesion:{number},0,0::\n")
    with pytest.raises(S4miError, match=r"labelmap.txt:1: must be label:red,green,blue::"):
        read_annotations(tmp_path)
