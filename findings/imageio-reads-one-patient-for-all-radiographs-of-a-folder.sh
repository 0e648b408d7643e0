#!/usr/bin/env bash
# Packages: imageio 2.38.1, pydicom 3.0.2, numpy 2.4.6; Python 3.11.
#
# `imageio.v3.imread` is the current way to read an image with imageio: the path of a file in, its pixels out. For PNG,
# TIFF and DICOM in the older `imageio.v2.imread` that is what it does. Given the path of one DICOM file, v3 looks at
# the whole folder and what lies below it. If all files are of one series it returns the file asked for. If there are
# several it returns the first series, by its UID, whatever file was named: a folder of radiographs, one each per
# patient, gives the image of one and the same patient for every path. Of scans it returns the whole first volume for
# a path of any slice of any scan. Labels then belong to images that were never read; shapes are as expected, nothing
# warns, and with one file in the folder, or one scan, which is what one tests with, it is right. `index` picks a series
# of the folder, not a file.
#
# Seen, 6 radiographs of the values 1 to 6 in one folder: v3 1 1 1 1 1 1, v2 and pydicom 1 2 3 4 5 6. Two scans of 3
# slices (1 2 3 and 11 12 13) in one folder: v3 for each of the 6 files the volume 1 2 3, v2 the slice. One scan: both
# the slice. (The lower UID is that of the first here.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet imageio==2.38.1 pydicom==3.0.2 numpy==2.4.6
cat > "$work/folders.py" <<'PYTHON'
import contextlib
import io
from pathlib import Path

import imageio.v2
import imageio.v3
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write(path, value, series, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), series
    image.Modality, image.PatientName, image.PatientID = "CT", "A", "1"
    image.SeriesNumber, image.InstanceNumber = 1, number + 1
    image.Rows = image.Columns = 8
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
    image.PhotometricInterpretation, image.PixelSpacing, image.SliceThickness = "MONOCHROME2", [1, 1], 1
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    image.PixelData = np.full((8, 8), value, dtype="<u2").tobytes()
    image.save_as(path, enforce_file_format=True)


def values(read, folder):
    """The different values in what `read` returns for each file of the folder."""
    found = []
    for path in sorted(Path(folder).iterdir()):
        with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress
            found.append(np.unique(read(path)).tolist())
    return found


series = [f"1.2.3.{number}" for number in range(6)]
for number in range(6):
    write(Path(f"radiographs/{number}.dcm"), number + 1, series[number])
for scan in range(2):
    for number in range(3):
        write(Path(f"scans/{scan}-{number}.dcm"), 10 * scan + number + 1, series[scan], number)
for number in range(3):
    write(Path(f"scan/{number}.dcm"), number + 1, series[0], number)

for folder in ("radiographs", "scans", "scan"):
    new, old, true = (
        values(read, folder)
        for read in (imageio.v3.imread, imageio.v2.imread, lambda path: pydicom.dcmread(path).pixel_array)
    )
    print(f"{folder}: imageio.v3 {new}, imageio.v2 {old}, pydicom {true}")
    assert old == true
    assert new == {"radiographs": [[1]] * 6, "scans": [[1, 2, 3]] * 6, "scan": true}[folder]
PYTHON
cd "$work"
"$work/venv/bin/python" -W ignore "$work/folders.py"
