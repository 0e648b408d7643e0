#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6; Python 3.11.
#
# A DICOM dose (RT Dose) holds whole numbers; times DoseGridScaling they are Gy. Planning systems choose that factor so
# that the largest dose fills the bits, so each plan has its own. SimpleITK applies the slope of CT and PET, and one
# takes it that what it returns of a dose is a dose. It is the stored numbers, of plans of 50 and of 10 Gy alike with
# the same maximum: divided by the maximum nothing shows, but in a sum of plans the boost weighs as much as the whole
# treatment, and a network sees fractions of an unknown total. pydicom's `apply_modality_lut` does not scale a dose
# either. Planes are taken for equally spaced by the first two offsets of GridFrameOffsetVector, so a grid that is
# coarser at one end (the vector exists for that) is put in the wrong place there, by 3 mm here. No warning.
#
# Seen, plans of 50 and 10 Gy with offsets 0, 3, 6 and 12 mm: SimpleITK's maximum is 2 147 483 647 for both, its last
# plane lies at 9 mm; a CT of slope 0.5 and stored value 7 reads as 3.5.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet simpleitk==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTDoseStorage, generate_uid

OFFSETS = [0, 3, 6, 12]
TOP = 2**31 - 1


def write(name, kind, modality, stored, **fields):
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = kind
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    image.PatientID = image.PatientName = "made"
    image.Modality = modality
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [3, 3]
    image.Rows, image.Columns = stored.shape[-2:]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated = image.BitsStored = 8 * stored.itemsize
    image.HighBit = image.BitsStored - 1
    for field, value in fields.items():
        setattr(image, field, value)
    image.PixelData = stored.tobytes()
    image["PixelData"].VR = "OW"
    image.save_as(name, enforce_file_format=True)


for name, gray in (("plan.dcm", 50.0), ("boost.dcm", 10.0)):
    share = np.linspace(0, 1, len(OFFSETS) * 64).reshape(len(OFFSETS), 8, 8)
    stored = np.round(share * TOP).astype(np.uint32)
    write(
        name, RTDoseStorage, "RTDOSE", stored, NumberOfFrames=len(OFFSETS), FrameIncrementPointer=0x3004000C,
        GridFrameOffsetVector=OFFSETS, SliceThickness=None, DoseUnits="GY", DoseType="PHYSICAL",
        DoseSummationType="PLAN", DoseGridScaling=f"{gray / TOP:.10e}",
    )
    header, read = pydicom.dcmread(name), sitk.ReadImage(name)
    values = sitk.GetArrayFromImage(read)
    dose = header.pixel_array * float(header.DoseGridScaling)
    planes = [read.TransformIndexToPhysicalPoint((0, 0, plane))[2] for plane in range(len(OFFSETS))]
    print(f"{name}: {dose.max():.2f} Gy, SimpleITK {values.max()}, planes at {planes}")
    assert abs(dose.max() - gray) < 1e-6
    assert np.array_equal(values, stored) and np.array_equal(apply_modality_lut(header.pixel_array, header), stored)
    assert planes == [0, 3, 6, 9]

fields = {"RescaleSlope": 0.5, "RescaleIntercept": 0, "SliceThickness": 3}
write("ct.dcm", CTImageStorage, "CT", np.full((8, 8), 7, np.uint16), **fields)
(value,) = np.unique(sitk.GetArrayFromImage(sitk.ReadImage("ct.dcm")))
print("CT of slope 0.5 and stored value 7:", value)
assert value == 3.5
PYTHON
