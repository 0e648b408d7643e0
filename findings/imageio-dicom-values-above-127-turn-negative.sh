#!/usr/bin/env bash
# Packages: imageio 2.38.1, pydicom 3.0.2, numpy 2.2.6; Python 3.11.
#
# imageio reads DICOM with a reader of its own and applies slope and intercept, which is why it is used for a quick
# look and in loaders that also read PNG. Afterwards it looks for a smaller type that the values fit into, image by
# image, and takes types with a sign for values up to 255 and up to 65 535, which fit only without one. A slope of 1
# and an intercept of 0, as most files state them, is enough: the white half of an image of 8 bits is negative, the
# upper half of a radiograph of 16 bits too. `volread` takes the type of the first slice for the whole volume: where
# that happens to be dark (the top of a head, the end of a coil) all slices are cut to 8 bits and wrap around. There
# is no warning; the same files without the two tags are right. pydicom is right in both cases.
#
# Seen, the value of each image; slope 1, intercept 0:
#   single images      100    127   128   200   255   256   32767   40000
#   imageio            100    127  -128   -56    -1   256   32767  -25536
#   slices of an MR     90    200   400   800  1200    50
#   volread             90    -56  -112    32   -80    50   (int8); without slope and intercept as stored
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet imageio==2.38.1 pydicom==3.0.2 numpy==2.2.6
cat > "$work/values.py" <<'PYTHON'
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def written(folder, values, rescaled=True):
    """A series with one slice of each value."""
    Path(folder).mkdir()
    series = generate_uid()
    for number, value in enumerate(values):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
        image.StudyInstanceUID = image.SeriesInstanceUID = series
        image.Modality, image.SeriesNumber, image.InstanceNumber = "MR", 1, number + 1
        image.Rows = image.Columns = 8
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.PixelSpacing, image.SliceThickness = [1, 1], 3
        image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 3 * number], [1, 0, 0, 0, 1, 0]
        if rescaled:
            image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.PixelData = np.full((8, 8), value, dtype=np.uint16).tobytes()
        image.save_as(f"{folder}/{number}.dcm", enforce_file_format=True)


def singly(folder, number):
    return [int(imageio.imread(f"{folder}/{n}.dcm")[0, 0]) for n in range(number)]


def by_pydicom(folder, number):
    files = [pydicom.dcmread(f"{folder}/{n}.dcm") for n in range(number)]
    return [int(apply_modality_lut(file.pixel_array, file)[0, 0]) for file in files]


values = [100, 127, 128, 200, 255, 256, 32767, 40000]
written("single", values)
written("plain", values, rescaled=False)
print("imageio:", singly("single", len(values)), "without slope and intercept:", singly("plain", len(values)))
assert singly("single", len(values)) == [100, 127, -128, -56, -1, 256, 32767, -25536]
assert singly("plain", len(values)) == values
assert by_pydicom("single", len(values)) == values

slices = [90, 200, 400, 800, 1200, 50]
written("mr", slices)
written("mr-plain", slices, rescaled=False)
volume, plain = (np.asarray(imageio.volread(folder, format="DICOM")) for folder in ("mr", "mr-plain"))
print("volread:", volume.dtype, volume[:, 0, 0].tolist(), plain.dtype, plain[:, 0, 0].tolist())
assert volume.dtype == np.int8
assert volume[:, 0, 0].tolist() == [90, -56, -112, 32, -80, 50]
assert plain[:, 0, 0].tolist() == slices == by_pydicom("mr", len(slices))
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/values.py"
