#!/usr/bin/env bash
# Packages: pydicom 3.0.2, SimpleITK 2.5.7, highdicom 0.28.2, numpy 2.2.6; Python 3.11.
#
# Stored values of CT, PET and quantitative MR become Hounsfield units, activity or mm²/s by a slope and an intercept.
# In classic DICOM files these are at the top level; enhanced (multi-frame) files have them in functional groups, shared
# by all frames or one for each frame. Three packages read the same file three ways, none with a warning.
# `pydicom.pixels.apply_modality_lut` (and `apply_rescale`) looks at the top level alone and returns the stored values
# unchanged: air of an enhanced CT is 0 instead of -1024. SimpleITK applies the slope of the first frame to all frames,
# which is right as long as they share one. highdicom applies to each frame its own.
#
# Seen, stored value 1000 in each of 4 frames, intercept -1024:
#   slopes                  1 1 1 1               1 0.5 0.25 2
#   pydicom           1000 1000 1000 1000    1000 1000 1000 1000
#   SimpleITK          -24  -24  -24  -24     -24  -24  -24  -24
#   highdicom          -24  -24  -24  -24     -24 -524 -774  976
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pydicom==3.0.2 SimpleITK==2.5.7 highdicom==0.28.2 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import highdicom
import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_rescale
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def group(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def rescale(slope):
    return [group(RescaleSlope=slope, RescaleIntercept=-1024, RescaleType="HU")]


def write(path, slopes):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    data.PatientID, data.PatientName, data.PatientSex, data.PatientBirthDate = "1", "A^B", "O", ""
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20200101", "101010", "1", ""
    data.ReferringPhysicianName, data.SeriesNumber, data.InstanceNumber = "", 1, 1
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.Rows = data.Columns = 8
    data.NumberOfFrames = len(slopes)
    orientation = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    measures = group(PixelSpacing=[1, 1], SliceThickness=3)
    shared = group(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    frames = []
    for number, slope in enumerate(slopes):
        content = group(StackID="1", InStackPositionNumber=number + 1, DimensionIndexValues=[1, number + 1])
        position = group(ImagePositionPatient=[0, 0, 3 * number])
        frames.append(group(FrameContentSequence=[content], PlanePositionSequence=[position]))
        if len(set(slopes)) > 1:
            frames[-1].PixelValueTransformationSequence = rescale(slope)
    if len(set(slopes)) == 1:
        shared.PixelValueTransformationSequence = rescale(slopes[0])
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    data.PixelData = np.full((len(slopes), 8, 8), 1000, dtype="<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


for slopes in ([1, 1, 1, 1], [1, 0.5, 0.25, 2]):
    write("image.dcm", slopes)
    data = pydicom.dcmread("image.dcm")
    by_pydicom = apply_modality_lut(data.pixel_array, data)[:, 0, 0].tolist()
    by_simpleitk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("image.dcm"))[:, 0, 0].tolist()
    image = highdicom.imread("image.dcm")
    by_highdicom = image.get_frames(apply_real_world_transform=False, apply_modality_transform=True)[:, 0, 0].tolist()
    print(f"slopes {slopes}: pydicom {by_pydicom}, SimpleITK {by_simpleitk}, highdicom {by_highdicom}")
    assert np.array_equal(apply_rescale(data.pixel_array, data), data.pixel_array)
    assert by_pydicom == [1000] * 4
    assert by_simpleitk == [slopes[0] * 1000 - 1024] * 4
    assert by_highdicom == [slope * 1000 - 1024 for slope in slopes]
PYTHON
