#!/usr/bin/env bash
# Packages: highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6; Python 3.11.
#
# A segmentation of a multi-frame image, such as an enhanced CT, is usually made by passing one mask per frame to
# `highdicom.seg.Segmentation`, and read back by `pixel_array`, in the belief that frame i of the file is the mask of frame i of
# the image, as the masks were passed in that order and there is one for each. It is not: highdicom sorts the frames by their
# positions in space, against the order of an image that is stored from feet to head. With a single segment that all
# frames have, nothing shows: the shape fits, and each mask is one of the image's own, of the wrong slice. What is right is the
# reference of each frame to the source frame, which `get_pixels_by_source_frame` follows.
#
# Seen: masks of 1, 2, 3, 4 and 5 pixels for frames at z = 0, 3, 6, 9 and 12 mm are 5, 4, 3, 2 and 1 pixels in `pixel_array`,
# and 1 to 5 by source frame.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cat > "$work/order.py" <<'PYTHON'
import highdicom
import numpy as np
import pydicom
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def enhanced_ct(count):
    """Frames from feet to head, 3 mm apart."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EnhancedCTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "p", "P^Q", "", ""
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.NumberOfFrames = "CT", 1, 1, count
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = np.zeros((count, 8, 8), np.uint16).tobytes()
    shared, measures, plane = (pydicom.Dataset() for _ in range(3))
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 3
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence, groups = [shared], []
    for number in range(count):
        group, position, content = (pydicom.Dataset() for _ in range(3))
        position.ImagePositionPatient = [0, 0, 3.0 * number]
        content.DimensionIndexValues = [number + 1]
        group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds


image = enhanced_ct(5)
masks = np.zeros((5, 8, 8), np.uint8)
for number, mask in enumerate(masks):
    mask[0, : number + 1] = 1
code = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
segment = highdicom.seg.SegmentDescription(1, "tissue", code, code, "MANUAL")
seg = highdicom.seg.Segmentation(
    [image], masks, "BINARY", [segment], generate_uid(), 2, generate_uid(), 1, "maker", "model", "1", "0"
)
stored = [int(frame.sum()) for frame in seg.pixel_array]
by_frame = seg.get_pixels_by_source_frame(image.SOPInstanceUID, [1, 2, 3, 4, 5], combine_segments=True)
referred = [int((frame > 0).sum()) for frame in by_frame]
print("passed:            ", [int(mask.sum()) for mask in masks])
print("pixel_array:       ", stored)
print("by source frame:   ", referred)
assert stored == [5, 4, 3, 2, 1], stored
assert referred == [1, 2, 3, 4, 5], referred
PYTHON
"$work/venv/bin/python" -W ignore "$work/order.py"
