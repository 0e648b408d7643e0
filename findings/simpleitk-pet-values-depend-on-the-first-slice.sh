#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, dcm2niix 1.0.20260724, nibabel 5.4.2, pydicom 3.0.2, numpy 2.2.6; Python 3.11.
#
# PET is stored as integers with a rescale slope of its own in every slice. SimpleITK applies each slope, but decides on
# the type of the whole volume by the first slice it reads. Where that slope is a whole number the volume is of
# integers, and the activity of all other slices is cut down to whole numbers; where the product does not fit into 16
# bits it wraps around. There is no warning, and the same files in reverse order give the right values. dcm2niix notices
# that slopes differ and writes floating-point numbers.
#
# Seen, stored value 7 (slice 6: 2000) and slopes 1, 0.25, 0.5, 2.75, 0.1, 20.5:
#   right and dcm2niix          7  1.75  3.5  19.25  0.7  41000
#   SimpleITK, first to last    7  1     3    19     0    -24536  (16-bit integers)
#   SimpleITK, last to first    7  1.75  3.5  19.25  0.7  41000   (floating-point numbers)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 dcm2niix==1.0.20260724 nibabel==5.4.2 pydicom==3.0.2 \
    numpy==2.2.6
cd "$work"
mkdir series
"$work/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

STORED = [7, 7, 7, 7, 7, 2000]
SLOPES = [1, 0.25, 0.5, 2.75, 0.1, 20.5]


def write(path, number, stored, slope, study, series):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, study
    data.Modality, data.PatientID, data.PatientName = "PT", "1", "A^B"
    data.SeriesNumber, data.InstanceNumber, data.AcquisitionNumber = 1, number + 1, 1
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = "20200101"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = "101010"
    data.ImageType, data.PatientPosition, data.Units = ["ORIGINAL", "PRIMARY"], "HFS", "BQML"
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 3 * number], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [4, 4], 3
    data.RescaleSlope, data.RescaleIntercept = str(slope), "0"
    data.Rows = data.Columns = 16
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelData = np.full((16, 16), stored, "<i2").tobytes()
    data.save_as(path, enforce_file_format=True)


study, series = generate_uid(prefix=None), generate_uid(prefix=None)
files = [f"series/{number}.dcm" for number in range(len(SLOPES))]
for number, (file, stored, slope) in enumerate(zip(files, STORED, SLOPES, strict=True)):
    write(file, number, stored, slope, study, series)
right = np.multiply(STORED, SLOPES)


def by_simpleitk(paths):
    image = SimpleITK.ReadImage(paths)
    print("SimpleITK", image.GetPixelIDTypeAsString(), SimpleITK.GetArrayFromImage(image)[:, 0, 0].tolist())
    return SimpleITK.GetArrayFromImage(image)[:, 0, 0]


print("right", right.tolist())
assert by_simpleitk(files).tolist() == [7, 1, 3, 19, 0, 41000 - 2**16]
assert np.allclose(by_simpleitk(files[::-1])[::-1], right)
subprocess.run([str(Path(sys.executable).with_name("dcm2niix")), "-f", "out", "-o", ".", "series"], check=True)
converted = nibabel.load("out.nii").get_fdata()[0, 0]
print("dcm2niix", converted.tolist())
assert np.allclose(converted, right)
PYTHON
