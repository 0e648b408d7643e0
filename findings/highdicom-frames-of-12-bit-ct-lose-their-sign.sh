#!/usr/bin/env bash
# Packages: highdicom 0.28.2, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6; Python 3.11.
#
# DICOM stores 12 bits in words of 16. What the other four hold is not part of the pixel: older files keep an overlay
# (the radiologist's marks) there, and a negative number of 12 bits need not be extended to 16. Readers have to mask and
# to extend, and pydicom 3 and SimpleITK do. highdicom, which opens the same file by pydicom, decodes by itself in
# `get_frame`, `get_frames` and `get_volume` of an image from `imread`, and takes all 16 bits: air of −1024 is 3072,
# brighter than bone, and marks are 32 768 more than the pixel. `pixel_array` of the same object and
# `get_volume_from_series` of the same file go another way and are right; once `pixel_array` has been looked at,
# `get_frame` of that object is right too. So a training set and new cases, or a first look and the run, differ. There
# is no warning; files with clean words are right everywhere.
#
# Seen, truth −1024 −5 0 2047 (signed, words not extended) and 0 100 1024 4095 (unsigned, an overlay in bit 15):
#   pydicom, SimpleITK, highdicom's pixel_array and get_volume_from_series   −1024 −5 0 2047     0 100 1024 4095
#   highdicom's get_frame and get_volume                                     3072 4091 0 2047    32768 32868 33792 36863
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet highdicom==0.28.2 pydicom==3.0.2 SimpleITK==2.5.7 numpy==2.4.6
cat > "$work/words.py" <<'PYTHON'
import highdicom
import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write(path, words, *, signed):
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    image.Modality, image.PatientName, image.PatientID, image.StudyDate = "CT", "A", "1", "20200101"
    image.StudyTime, image.SeriesNumber, image.InstanceNumber = "000000", 1, 1
    image.Rows, image.Columns = words.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation, image.SamplesPerPixel = int(signed), 1
    image.PhotometricInterpretation, image.RescaleSlope, image.RescaleIntercept = "MONOCHROME2", 1, 0
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelData = words.astype("<u2").tobytes()
    image.save_as(path, enforce_file_format=True)


def readings(path):
    seen = highdicom.imread(path)
    arrays = {
        "pydicom": pydicom.dcmread(path).pixel_array,
        "SimpleITK": SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))[0],
        "pixel_array": seen.pixel_array,
        "get_frame after pixel_array": seen.get_frame(1),
        "get_volume_from_series": highdicom.get_volume_from_series([pydicom.dcmread(path)]).array[0],
        "get_frame": highdicom.imread(path).get_frame(1),
        "get_volume": highdicom.imread(path).get_volume().array[0],
    }
    return {name: np.asarray(array)[0, :4].astype(int).tolist() for name, array in arrays.items()}


cases = {
    "signed, not extended": ([-1024, -5, 0, 2047], True, 0, [3072, 4091, 0, 2047]),
    "overlay in bit 15": ([0, 100, 1024, 4095], False, 0x8000, [32768, 32868, 33792, 36863]),
    "clean": ([0, 100, 1024, 4095], False, 0, [0, 100, 1024, 4095]),
}
for name, (values, signed, overlay, by_highdicom) in cases.items():
    words = np.tile(np.array(values), (4, 2)) & 0xFFF | overlay
    write("image.dcm", words, signed=signed)
    read = readings("image.dcm")
    print(name, read)
    for right in ("pydicom", "SimpleITK", "pixel_array", "get_frame after pixel_array", "get_volume_from_series"):
        assert read[right] == values, (name, right)
    assert read["get_frame"] == read["get_volume"] == by_highdicom
PYTHON
cd "$work"
"$work/venv/bin/python" -W ignore "$work/words.py"
