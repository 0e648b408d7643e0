"""DICOM segmentations are read by what they refer to, whatever the order of their frames; they are never images."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import write_dicom
from s4mi.data.files import read_frame, read_header
from s4mi.data.formats.axial import turn_of
from s4mi.data.formats.dicom_seg import is_seg, masks_of
from s4mi.data.formats.frame import ImageError
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask, read_mask_frame
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.spec import MaskKey
from s4mi.inference.writers.mask_files import write_dicom_seg

highdicom = pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
pydicom = pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")

Kind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]
KINDS: tuple[Kind, ...] = ("BINARY", "FRACTIONAL", "LABELMAP")
SHAPE = (24, 32)
VALUES: dict[MaskKey, str] = {0: "background", 1: "one", 2: "two"}
uid = pydicom.uid.generate_uid


def truth(count: int = 5) -> NDArray[np.uint8]:
    """A different mask for each slice: class 1, in every other slice class 2 as well; the second slice is empty."""
    masks = np.zeros((count, *SHAPE), np.uint8)
    for number, mask in enumerate(masks):
        mask[2 + number : 6 + number, 3:9] = 1
        if number % 2 == 0:
            mask[14 : 16 + number, 20 - number : 25] = 2
    masks[1] = 0
    return masks


def ct(path: Path, stored: NDArray[Any], position: float = 0, **attributes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    common: dict[str, Any] = {
        "PatientID": "p", "PatientName": "P^Q", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "",
        "StudyTime": "", "StudyID": "1", "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesNumber": 1,
        "InstanceNumber": 1, "Modality": "CT", "PixelSpacing": [0.5, 0.5], "SliceThickness": 1,
        "ImagePositionPatient": [0, 0, position], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5",
    }  # fmt: skip
    return write_dicom(path, stored, **{**common, **attributes})


def series(folder: Path, count: int = 5) -> list[Path]:
    """Slices whose names are in another order than their positions."""
    return [ct(folder / f"{(7 * n) % count}.dcm", np.full(SHAPE, n, np.uint16), 3.0 * n, InstanceNumber=n + 1)
            for n in range(count)]  # fmt: skip


def enhanced(
    path: Path, stored: NDArray[Any] | None = None, orientation: tuple[int, ...] = (1, 0, 0, 0, 1, 0), count: int = 5
) -> Path:
    """An enhanced CT whose frames go from feet to head."""
    plain = ct(path, np.stack([np.full(SHAPE, n, np.uint16) for n in range(count)]) if stored is None else stored)
    dataset = pydicom.dcmread(plain)
    for name in ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient"):
        del dataset[name]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    shared, measures, plane = (pydicom.Dataset() for _ in range(3))
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 3
    plane.ImageOrientationPatient = list(orientation)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(count):
        group, position, content = (pydicom.Dataset() for _ in range(3))
        position.ImagePositionPatient = [0, 0, 3.0 * number]
        content.DimensionIndexValues = [number + 1]
        group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path, enforce_file_format=True)
    return path


def seg(path: Path, images: list[Path], masks: NDArray[Any], kind: Kind, *, shuffled: bool = False) -> Path:
    """A segmentation of two segments by highdicom itself, of slices in another order if `shuffled`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(images)) if shuffled else np.arange(len(images))
    sources = [pydicom.dcmread(images[number]) for number in order]
    pixels = masks[order] if len(images) > 1 else masks
    if kind == "FRACTIONAL":
        pixels = np.stack([(pixels == 1) * 0.8, (pixels == 2) * 0.6 + (pixels == 1) * 0.1], axis=-1).astype(np.float32)
    code = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
    segments = [highdicom.seg.SegmentDescription(n, f"s{n}", code, code, "MANUAL") for n in (1, 2)]
    highdicom.seg.Segmentation(
        sources, pixels, kind, segments, uid(), 2, uid(), 1, "maker", "model", "1", "0", omit_empty_frames=True
    ).save_as(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_masks_of_a_series_are_found_by_instance_and_segment(kind: Kind, shuffled: bool, tmp_path: Path) -> None:
    images, masks = series(tmp_path), truth()
    path = seg(tmp_path / "s.dcm", images, masks, kind, shuffled=shuffled)
    for image, mask in zip(images, masks, strict=True):
        (frame,) = masks_of(path, image)
        np.testing.assert_array_equal(frame.values, mask)


@pytest.mark.parametrize("kind", KINDS)
def test_the_masks_of_an_enhanced_ct_are_found_by_frame(kind: Kind, tmp_path: Path) -> None:
    image, masks = enhanced(tmp_path / "ct.dcm"), truth()
    path = seg(tmp_path / "s.dcm", [image], masks, kind)
    np.testing.assert_array_equal(np.stack([frame.values for frame in masks_of(path, image)]), masks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["one file for a series", "enhanced"])
def test_an_import_gives_each_image_its_mask(kind: Kind, source: str, tmp_path: Path) -> None:
    masks = truth()
    images = [enhanced(tmp_path / "data/images/ct.dcm")] if source == "enhanced" else series(tmp_path / "data/images")
    seg(tmp_path / "data/masks/anything.dcm", images, masks, kind)
    write_import(read_pairs(tmp_path / "data"), tmp_path / "out", naming=DatasetNaming("x", mask_values=VALUES))
    rows = load_manifest(tmp_path / "out").rows
    assert len(rows) == len(masks)
    for row in rows:
        assert row.mask is not None
        if source == "enhanced":
            number = int(row.id.rpartition("_")[2])
        else:
            number = next(n for n in range(5) if Path(row.id).name == str((7 * n) % 5))
        np.testing.assert_array_equal(read_mask(row.mask, VALUES), masks[number])


@pytest.mark.parametrize("source", ["series", "enhanced"])
def test_what_predict_writes_is_read_back_as_the_identical_masks(source: str, tmp_path: Path) -> None:
    masks = truth()
    images = [enhanced(tmp_path / "data/images/ct.dcm")] if source == "enhanced" else series(tmp_path / "data/images")
    (tmp_path / "data/masks").mkdir()
    for number, image in enumerate(images):
        write_dicom_seg(
            tmp_path / "data/masks" / image.name, masks if source == "enhanced" else masks[number : number + 1], image,
            classes=tuple(VALUES.values()), model_name="m",
        )  # fmt: skip
    write_import(read_pairs(tmp_path / "data"), tmp_path / "out", naming=DatasetNaming("x", mask_values=VALUES))
    names = {str((7 * n) % 5): n for n in range(5)}
    for row in load_manifest(tmp_path / "out").rows:
        number = int(row.id.rpartition("_")[2]) if source == "enhanced" else names[Path(row.id).name]
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, VALUES), masks[number])


ORIENTATIONS = {
    "standard": (1, 0, 0, 0, 1, 0),
    "rows flipped": (1, 0, 0, 0, -1, 0),
    "columns flipped": (-1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "rows along the patient": (0, 1, 0, -1, 0, 0),
}


@pytest.mark.parametrize("writer", ["predict", "other software"])
@pytest.mark.parametrize("source", ["series", "enhanced"])
@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_a_mask_is_turned_exactly_as_its_image(
    orientation: tuple[int, ...], source: str, writer: str, tmp_path: Path
) -> None:
    directions = np.array(orientation, float)
    turn, masks = turn_of(directions[:3], directions[3:]), truth()
    masks[1, 2:7, 20:23] = 1
    stored = np.stack([turn.undo(mask) for mask in masks])
    folder = tmp_path / "data/images"
    if source == "enhanced":
        images = [enhanced(folder / "ct.dcm", stored.astype(np.uint16) * 100, orientation)]
    else:
        images = [
            ct(folder / f"{n}.dcm", slice_.astype(np.uint16) * 100, 3.0 * n, InstanceNumber=n + 1,
               ImageOrientationPatient=list(orientation))
            for n, slice_ in enumerate(stored)
        ]  # fmt: skip
    (tmp_path / "data/masks").mkdir()
    if writer == "predict":
        shown = [masks] if source == "enhanced" else list(masks[:, None])
        for image, of_image in zip(images, shown, strict=True):
            path = tmp_path / "data/masks" / image.name
            write_dicom_seg(path, of_image, image, classes=tuple(VALUES.values()), model_name="m")
            if len(of_image) == 1:
                np.testing.assert_array_equal(read_mask_frame(path).values, of_image[0])
    else:
        seg(tmp_path / "data/masks/s.dcm", images, stored, "BINARY")
    write_import(read_pairs(tmp_path / "data"), tmp_path / "out", naming=DatasetNaming("x", mask_values=VALUES))
    rows = load_manifest(tmp_path / "out").rows
    assert len(rows) == len(masks)
    for row in rows:
        mask = masks[int(row.id[-1])]
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, VALUES), mask)
        np.testing.assert_array_equal(read_frame(row.image).values > 0, mask > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_segmentation_is_never_an_image(kind: Kind, tmp_path: Path) -> None:
    images = series(tmp_path / "data/images")
    path = seg(tmp_path / "data/images/z.dcm", images, truth(), kind)
    assert is_seg(path)
    assert not is_seg(images[0])
    for read in (read_header, read_frame):
        with pytest.raises(ImageError, match=r"is a DICOM segmentation \(SEG\), a mask and not an image; import it as"):
            read(path)
    (tmp_path / "data/masks").mkdir()
    found = write_import(read_pairs(tmp_path / "data"), tmp_path / "out", naming=DatasetNaming("x"))
    assert len(found.rows) == 5
    assert any("'z.dcm' is a DICOM segmentation" in finding.message for finding in found.findings)


def test_a_segmentation_of_other_images_is_refused_and_not_read_as_empty(tmp_path: Path) -> None:
    path = seg(tmp_path / "s.dcm", series(tmp_path / "one"), truth(), "BINARY")
    other = series(tmp_path / "two")[0]
    with pytest.raises(ImageError, match=r"is a DICOM segmentation of other images than '0\.dcm'"):
        list(masks_of(path, other))


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    images = series(tmp_path)
    both = np.ones((5, *SHAPE, 2), np.uint8)
    path = seg(tmp_path / "s.dcm", images, both, "BINARY")
    with pytest.raises(ImageError, match="has segments that overlap"):
        list(masks_of(path, images[0]))


def test_the_mask_of_a_single_image_needs_no_reference_and_that_of_several_does(tmp_path: Path) -> None:
    images, masks = series(tmp_path), truth()
    write_dicom_seg(tmp_path / "s.dcm", masks[:1], images[0], classes=tuple(VALUES.values()), model_name="m")
    np.testing.assert_array_equal(read_mask_frame(tmp_path / "s.dcm").values, masks[0])
    seg(tmp_path / "all.dcm", images, masks, "BINARY")
    with pytest.raises(ImageError, match=r"is a DICOM segmentation of 5 images; import them as DICOM"):
        read_mask_frame(tmp_path / "all.dcm")
