"""Several DICOM segmentations of one image: united by the labels of their segments, and refused where they conflict."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_dicom_seg import SHAPE, enhanced, series

from s4mi.data.formats.dicom_seg import segments_of
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.edit_labels import edit_labels
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

highdicom = pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
pydicom = pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")

uid = pydicom.uid.generate_uid
LIVER, TUMOUR = ("10200004", "Liver"), ("108369006", "Neoplasm")


def seg(path: Path, images: list[Path], masks: NDArray[Any], *segments: tuple[str, tuple[str, str]]) -> Path:
    """A segmentation by highdicom of (N, H, W) segment numbers; `segments` are labels with their codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    described = []
    for number, (label, (value, meaning)) in enumerate(segments, start=1):
        code = highdicom.sr.CodedConcept(value, "SCT", meaning)
        described.append(highdicom.seg.SegmentDescription(number, label, code, code, "MANUAL"))
    highdicom.seg.Segmentation(
        [pydicom.dcmread(image) for image in images], masks.astype(np.uint8), "BINARY", described, uid(), 2, uid(), 1,
        "maker", "model", "1", "0", omit_empty_frames=True,
    ).save_as(path)  # fmt: skip
    return path


def box(count: int, top: int, left: int, size: int = 5) -> NDArray[np.uint8]:
    """A square in each slice, one row lower in each."""
    masks = np.zeros((count, *SHAPE), np.uint8)
    for number in range(count):
        masks[number, top + number : top + number + size, left : left + size] = 1
    return masks


def imported(folder: Path, **naming: Any) -> tuple[dict[str, NDArray[np.uint8]], tuple[str, ...]]:
    """Masks by the value of their image, and the classes."""
    write_import(read_pairs(folder), folder.parent / "out", naming=DatasetNaming("x", **naming))
    manifest = load_manifest(folder.parent / "out")
    masks = {row.id: read_mask(row.mask, manifest.spec.mask_values) for row in manifest.rows if row.mask is not None}
    return masks, manifest.spec.mask_classes


def test_a_file_for_each_structure_is_united_by_its_labels(tmp_path: Path) -> None:
    """Both files number their only segment 1; by hand, liver is 1 and tumour 2 in the order of their names."""
    images = series(tmp_path / "in/images")
    liver, tumour = box(5, 3, 4), box(5, 4, 20)
    seg(tmp_path / "in/masks/a.dcm", images, liver, ("liver", LIVER))
    seg(tmp_path / "in/masks/b.dcm", images[1:4], tumour[1:4], ("tumour", TUMOUR))
    masks, classes = imported(tmp_path / "in")
    assert classes == ("background", "liver", "tumour")
    for number, image in enumerate(images):
        expected = liver[number] + 2 * tumour[number] * (1 <= number < 4)
        np.testing.assert_array_equal(masks[image.stem], expected)


def test_frames_of_an_enhanced_ct_are_united_too(tmp_path: Path) -> None:
    image = enhanced(tmp_path / "in/images/ct.dcm") if (tmp_path / "in/images").mkdir(parents=True) is None else None
    assert image is not None
    liver, tumour = box(5, 3, 4), box(5, 4, 20)
    seg(tmp_path / "in/masks/b.dcm", [image], tumour, ("tumour", TUMOUR))
    seg(tmp_path / "in/masks/a.dcm", [image], liver, ("liver", LIVER))
    masks, _ = imported(tmp_path / "in")
    for name, mask in masks.items():
        number = int(name[-1])
        np.testing.assert_array_equal(mask, liver[number] + 2 * tumour[number])


def test_the_same_label_in_two_files_is_one_class(tmp_path: Path) -> None:
    images = series(tmp_path / "in/images", count=2)
    one, other = box(2, 3, 4), box(2, 5, 6)
    seg(tmp_path / "in/masks/a.dcm", images, one, ("lesion", TUMOUR))
    seg(tmp_path / "in/masks/b.dcm", images, other, ("lesion", TUMOUR))
    masks, classes = imported(tmp_path / "in")
    assert classes == ("background", "lesion")
    for number, image in enumerate(images):
        np.testing.assert_array_equal(masks[image.stem], one[number] | other[number])


@pytest.mark.long
def test_a_pixel_of_two_classes_is_refused_with_its_place(tmp_path: Path) -> None:
    images = series(tmp_path / "in/images", count=2)
    seg(tmp_path / "in/masks/a.dcm", images, box(2, 3, 4), ("liver", LIVER))
    seg(tmp_path / "in/masks/b.dcm", images, box(2, 7, 8), ("tumour", TUMOUR))
    with pytest.raises(S4miError) as caught:
        imported(tmp_path / "in")
    message = str(caught.value)
    assert "masks of frame 0 of '" in message
    # Images are read side by side; which of the two is named is not fixed.
    where = r"'b\.dcm' has 'tumour' at row \d, column 8, where 'a\.dcm' has 'liver' \(1 such pixels\)"
    assert re.search(where, message)
    assert "\n" not in message
    masks, classes = imported(tmp_path / "in", foreground="any", mask_rule=MaskRule(nonzero=True))
    assert classes == ("background", "any")
    np.testing.assert_array_equal(masks[images[0].stem] > 0, (box(2, 3, 4) | box(2, 7, 8))[0])


def test_a_number_that_is_another_structure_elsewhere_goes_by_its_label(tmp_path: Path) -> None:
    """One file for each image, and segment 1 is the liver in one and the tumour in the other."""
    images = series(tmp_path / "in/images", count=2)
    seg(tmp_path / "in/masks/a.dcm", images[:1], box(1, 3, 4), ("liver", LIVER))
    seg(tmp_path / "in/masks/b.dcm", images[1:], box(1, 3, 4), ("tumour", TUMOUR), ("liver", LIVER))
    masks, classes = imported(tmp_path / "in")
    assert classes == ("background", "liver", "tumour")
    assert [int(masks[image.stem].max()) for image in images] == [1, 2]


def test_labels_of_one_structure_may_differ_and_that_is_said(tmp_path: Path) -> None:
    images = series(tmp_path / "in/images", count=2)
    seg(tmp_path / "in/masks/a.dcm", images[:1], box(1, 3, 4), ("nodule 1", TUMOUR))
    seg(tmp_path / "in/masks/b.dcm", images[1:], box(1, 3, 4), ("nodule 7", TUMOUR))
    written = write_import(read_pairs(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x"))
    assert written.spec.mask_classes == ("background", "foreground")
    (finding,) = [one for one in written.findings if one.code == "segment-labels"]
    assert "segment 1 of DICOM segmentations has different labels ('nodule 1', 'nodule 7')" in finding.message


def test_segments_are_renamed_and_dropped_by_their_labels(tmp_path: Path) -> None:
    images = series(tmp_path / "in/images", count=2)
    seg(tmp_path / "in/masks/a.dcm", images, box(2, 3, 4), ("liver", LIVER))
    path = seg(tmp_path / "in/masks/b.dcm", images, box(2, 4, 20), ("tumour", TUMOUR))
    assert segments_of(path) == {1: ("tumour", "108369006")}
    found = edit_labels(read_pairs(tmp_path / "in"), {"tumour": "lesion"}, ["liver"])
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("x"))
    assert written.spec.mask_values == {0: "background", 1: "background", 2: "lesion"}
    assert Image.open(tmp_path / "out" / written.rows[0].mask).mode == "L"  # type: ignore[arg-type]
