#!/usr/bin/env bash
# Packages: rt-utils 1.2.7, DicomRTTool 6.2.0, pydicom 3.0.2, opencv-python-headless 4.12.0.88, numpy 2.2.6; Python
# 3.11.
#
# Masks go to planning systems as contours (RTSTRUCT). rt-utils writes them, and reads its own files back without a
# pixel of difference: lesions, single pixels, holes. So one takes the contours for right. Of a mask with a hole (the
# wall of a bladder, myocardium, a ring around a target, a necrotic core) the inner contour is drawn through the
# pixels of the wall that border on the hole, not around the hole. A reader that fills both contours and removes the
# inner area from the outer one removes these pixels too: the wall is a pixel thinner all around. Structures without a
# hole agree to the pixel in both, which is what one tests with. Nothing warns.
#
# Seen, pixels of a ring with an outer radius of 20 by the width of its wall; a full square of 11 × 11 is 121 in both:
#   width          1     2     3     6
#   mask         128   248   356   644
#   rt-utils     128   248   356   644
#   DicomRTTool   20   144   256   564
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet DicomRTTool==6.2.0 pydicom==3.0.2 \
    opencv-python-headless==4.12.0.88 numpy==2.2.6
"$work/venv/bin/python" -m pip install --quiet --no-deps rt-utils==1.2.7 # asks for the OpenCV that needs a display
cat > "$work/contours.py" <<'PYTHON'
from pathlib import Path

import numpy as np
from DicomRTTool.ReaderWriter import DicomReaderWriter
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

SIZE, SLICES = 64, 5
study, series, frame = generate_uid(), generate_uid(), generate_uid()
Path("data/ct").mkdir(parents=True)
for number in range(SLICES):
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
    image.Modality, image.PatientName, image.PatientID = "CT", "A", "1"
    image.PatientBirthDate = image.PatientSex = ""
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20200101", "000000", "1", ""
    image.ReferringPhysicianName, image.PositionReferenceIndicator = "", ""
    image.SeriesNumber, image.InstanceNumber = 1, number + 1
    image.Rows = image.Columns = SIZE
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 1, 1
    image.PhotometricInterpretation, image.RescaleSlope, image.RescaleIntercept = "MONOCHROME2", 1, -1024
    image.PixelSpacing, image.SliceThickness = [1, 1], 3
    image.ImagePositionPatient, image.ImageOrientationPatient = [-30, -40, 3 * number], [1, 0, 0, 0, 1, 0]
    image.PixelData = bytes(2 * SIZE * SIZE)
    image.save_as(f"data/ct/{number}.dcm", enforce_file_format=True)

y, x = np.mgrid[:SIZE, :SIZE]
radius = np.hypot(y - 30, x - 30)
areas = {f"wall{width}": (radius <= 20) & (radius > 20 - width) for width in (1, 2, 3, 6)}
areas["square"] = (abs(y - 30) <= 5) & (abs(x - 30) <= 5)

written = RTStructBuilder.create_new("data/ct")
for name, area in areas.items():
    mask = np.zeros((SIZE, SIZE, SLICES), dtype=bool)
    mask[..., 2] = area
    written.add_roi(mask=mask, name=name)
Path("data/rt").mkdir()
written.save("data/rt/rt.dcm")

own = RTStructBuilder.create_from("data/ct", "data/rt/rt.dcm")
reader = DicomReaderWriter(description="masks", arg_max=False)
reader.walk_through_folders("data")
reader.set_contour_names_and_associations(list(areas))
reader.get_images_and_mask()
counts = {}
for channel, (name, area) in enumerate(areas.items(), start=1):
    again = own.get_roi_mask_by_name(name)[..., 2]
    other = reader.mask[2, ..., channel].astype(bool)
    assert np.array_equal(again, area)
    assert not (other & ~area).any()
    counts[name] = (int(area.sum()), int(again.sum()), int(other.sum()))
    print(f"{name}: mask {counts[name][0]}, rt-utils {counts[name][1]}, DicomRTTool {counts[name][2]}")
assert counts == {
    "wall1": (128, 128, 20),
    "wall2": (248, 248, 144),
    "wall3": (356, 356, 256),
    "wall6": (644, 644, 564),
    "square": (121, 121, 121),
}
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/contours.py"
