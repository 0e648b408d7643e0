#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, highdicom 0.28.2, pydicom 3.0.2, numpy 2.2.6; Python 3.11.
#
# A DICOM segmentation holds one frame for each segment and slice in which it occurs, with the position of each in its
# header; slices without a pixel of the segment are usually left out. `SimpleITK.ReadImage`, with which people read all
# other DICOM images, opens it without a warning and returns the frames on top of each other in the order of the file:
# as many "slices" as frames, one segment above the other, slices that both occupy twice, upside down where the file
# goes downwards (as highdicom's do), a spacing of 1 instead of that of the slices, and 255 as the only label. The
# number of frames can happen to equal that of the images; then nothing fails further on, and the mask lies on wrong
# slices.
#
# Seen: six images 2.5 mm apart from 0 on; segment 1 of 16 pixels at 5 and 7.5 mm, segment 2 of 9 pixels at 5 to 12.5
# mm: six frames. SimpleITK: six slices of 16 16 9 9 9 9 pixels from 7.5 mm on upwards in steps of 1 mm, and no sign of
# which is which. highdicom's get_volume: 9 9 25 25 pixels for both together, in steps of 2.5 mm from 12.5 mm on
# downwards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import highdicom
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def identity():
    return generate_uid(prefix=None)


def image(number, study, series):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = identity()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, study
    data.Modality, data.PatientID, data.PatientName, data.StudyID = "CT", "1", "A^B", "1"
    data.PatientBirthDate = data.PatientSex = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PositionReferenceIndicator, data.Manufacturer = "", "none"
    data.StudyDate, data.StudyTime = "20200101", "101010"
    data.SeriesNumber, data.InstanceNumber = 1, number + 1
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 2.5 * number], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [1, 1], 2.5
    data.Rows = data.Columns = 16
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelData = np.zeros((16, 16), "<i2").tobytes()
    return data


def description(number):
    kind = highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    return highdicom.seg.SegmentDescription(number, f"lesion {number}", codes.SCT.Tissue, codes.SCT.Tissue, kind)


study, series = identity(), identity()
masks = np.zeros((6, 16, 16, 2), dtype=np.uint8)
masks[2:4, 4:8, 4:8, 0] = 1
masks[2:6, 8:11, 8:11, 1] = 1
highdicom.seg.Segmentation(
    source_images=[image(number, study, series) for number in range(6)],
    pixel_array=masks,
    segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
    segment_descriptions=[description(1), description(2)],
    series_instance_uid=identity(),
    series_number=2,
    sop_instance_uid=identity(),
    instance_number=1,
    manufacturer="none",
    manufacturer_model_name="none",
    software_versions="1",
    device_serial_number="1",
).save_as("segments.dcm")

stack = SimpleITK.ReadImage("segments.dcm")
pixels = SimpleITK.GetArrayFromImage(stack)
counts = (pixels > 0).sum(axis=(1, 2)).tolist()
print("SimpleITK: size", stack.GetSize(), "spacing", stack.GetSpacing(), "origin", stack.GetOrigin(), "pixels", counts)
assert stack.GetSize() == (16, 16, 6) and stack.GetSpacing() == (1, 1, 1) and stack.GetOrigin() == (0, 0, 7.5)
assert counts == [16, 16, 9, 9, 9, 9]
assert np.unique(pixels).tolist() == [0, 255]

segmentation = highdicom.seg.segread("segments.dcm")
assert segmentation.NumberOfFrames == 6
volume = segmentation.get_volume()
union = (volume.array > 0).any(axis=-1).sum(axis=(1, 2)).tolist()
print("highdicom: pixels of the union by slice", union, "spacing", volume.spacing, "first at", volume.position)
assert union == [9, 9, 25, 25], union
assert volume.spacing[0] == 2.5 and tuple(volume.position) == (0, 0, 12.5)
PYTHON
