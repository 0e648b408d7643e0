#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, dcm2niix 1.0.20260724, nibabel 5.4.2, pydicom 3.0.2, numpy 2.2.6; Python 3.11.
#
# A projection image can state two pixel sizes: ImagerPixelSpacing at the detector, which every machine writes, and
# PixelSpacing in the patient, once somebody corrected it for the magnification or calibrated it on an object of known
# size. PixelSpacing is what CT and MR have, so one expects a reader to use it wherever it is. SimpleITK decides by
# the kind of image: of CR, DX, mammography, angiography and fluoroscopy it takes the detector's size and never the
# calibrated one, and if only that is there, the spacing is 1. Of ophthalmic photographs it takes neither. dcm2niix
# takes the calibrated one of all kinds and never the detector's. So a stent, a heart or a leg of one file has two
# sizes, by the tool that read it, and a spacing of 1 looks like millimetres in both. No warning.
#
# Seen, ImagerPixelSpacing 0.1 and PixelSpacing 0.2 (SimpleITK / dcm2niix):
#                         both        PixelSpacing only   ImagerPixelSpacing only
#   CR, DX, MG, XA, RF    0.1 / 0.2   1 / 0.2             0.1 / 1
#   ophthalmic            1 / 0.2     1 / 0.2             1 / 1
#   CT, ultrasound        0.2 / 0.2   0.2 / 0.2           1 / 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 dcm2niix==1.0.20260724 nibabel==5.4.2 pydicom==3.0.2 \
    numpy==2.2.6
cat > "$work/spacing.py" <<'PYTHON'
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import pydicom.uid as uid
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
KINDS = {
    "CR": uid.ComputedRadiographyImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation,
    "MG": uid.DigitalMammographyXRayImageStorageForPresentation,
    "XA": uid.XRayAngiographicImageStorage,
    "RF": uid.XRayRadiofluoroscopicImageStorage,
    "OP": uid.OphthalmicPhotography8BitImageStorage,
    "CT": uid.CTImageStorage,
    "US": uid.UltrasoundImageStorage,
}


def spacings(kind, **tags):
    """Pixel size of an image of this kind by SimpleITK and by dcm2niix."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = KINDS[kind]
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = uid.generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = uid.generate_uid(), uid.generate_uid()
    image.Modality, image.SeriesNumber, image.InstanceNumber, image.Manufacturer = kind, 1, 1, "A"
    image.PatientID, image.StudyDate, image.StudyTime = "1", "20200101", "000000"
    image.Rows, image.Columns = 8, 6
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 7, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes(48)
    for name, value in tags.items():
        setattr(image, name, [value, value])
    with tempfile.TemporaryDirectory() as folder:
        image.save_as(f"{folder}/image.dcm", enforce_file_format=True)
        read = SimpleITK.ReadImage(f"{folder}/image.dcm").GetSpacing()
        converter = Path(sys.executable).parent / "dcm2niix"
        command = [converter, "-b", "n", "-f", "image", "-o", folder, folder]
        subprocess.run(command, check=True, capture_output=True)
        converted = nibabel.load(f"{folder}/image.nii").header.get_zooms()
    return round(float(read[0]), 4), round(float(converted[0]), 4)


for kind in KINDS:
    both = spacings(kind, PixelSpacing=0.2, ImagerPixelSpacing=0.1)
    calibrated = spacings(kind, PixelSpacing=0.2)
    detector = spacings(kind, ImagerPixelSpacing=0.1)
    print(f"{kind}: both {both}, PixelSpacing only {calibrated}, ImagerPixelSpacing only {detector}")
    if kind in ("CT", "US"):
        assert (both, calibrated, detector) == ((0.2, 0.2), (0.2, 0.2), (1, 1))
    elif kind == "OP":
        assert (both, calibrated, detector) == ((1, 0.2), (1, 0.2), (1, 1))
    else:
        assert (both, calibrated, detector) == ((0.1, 0.2), (1, 0.2), (0.1, 1))
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/spacing.py"
