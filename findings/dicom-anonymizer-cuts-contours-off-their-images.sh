#!/usr/bin/env bash
# Packages: dicom-anonymizer 2.1.0, pydicom 3.0.2; Python 3.11.
#
# Before data leave a hospital every UID is replaced, by the profile of DICOM PS3.15 in the same way wherever it occurs,
# so that contours and segmentations still name the images they were drawn on. dicom-anonymizer replaces UIDs, and
# within one run it keeps one new UID for each old one; so one expects a study of images, RTSTRUCT and SEG to hang
# together afterwards. It replaces those at the top of a file only. All references to images are in sequences, and stay
# as they were: contours name images and a frame of reference that the anonymised study does not have, readers find no
# image for any contour or frame, and, the other way round, the original UIDs are still in the files, with which whoever
# has the archive finds the patient. The top level fits (same study, same frame of reference), which is what a
# quick check looks at.
#
# Seen, one folder with a CT, an RTSTRUCT and a SEG: study and frame of reference at the top are new and equal in all
# three; the CT's UID is new; 3 of 3 references to it, and the RTSTRUCT's 2 to its frame of reference, are the old ones.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet dicom-anonymizer==2.1.0 pydicom==3.0.2
cd "$work"
mkdir before after
"$work/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

STUDY, FRAME, CT_SERIES, CT_IMAGE = (generate_uid() for _ in range(4))


def item(**values):
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return data


def reference():
    return item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=CT_IMAGE)


def write(name, kind, modality, instance, series, **values):
    data = item(SOPClassUID=kind, SOPInstanceUID=instance, StudyInstanceUID=STUDY, SeriesInstanceUID=series)
    data.FrameOfReferenceUID, data.Modality, data.PatientName, data.PatientID = FRAME, modality, "Doe^Jane", "7"
    for key, value in values.items():
        setattr(data, key, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = kind, instance
    data.save_as(f"before/{name}.dcm", enforce_file_format=True)


pixels = {"Rows": 2, "Columns": 2, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
          "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0, "PixelData": bytes(8)}
write("ct", CTImageStorage, "CT", CT_IMAGE, CT_SERIES, **pixels)
contour = item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=3, ContourData=[0, 0, 0, 1, 0, 0, 0, 1, 0],
               ContourImageSequence=[reference()])
series = item(SeriesInstanceUID=CT_SERIES, ContourImageSequence=[reference()])
study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=STUDY,
             RTReferencedSeriesSequence=[series])
write("rtstruct", RTStructureSetStorage, "RTSTRUCT", generate_uid(), generate_uid(),
      ReferencedFrameOfReferenceSequence=[item(FrameOfReferenceUID=FRAME, RTReferencedStudySequence=[study])],
      StructureSetROISequence=[item(ROINumber=1, ReferencedFrameOfReferenceUID=FRAME, ROIName="Lesion")],
      ROIContourSequence=[item(ReferencedROINumber=1, ContourSequence=[contour])])
source = item(DerivationImageSequence=[item(SourceImageSequence=[reference()])])
write("seg", SegmentationStorage, "SEG", generate_uid(), generate_uid(), PerFrameFunctionalGroupsSequence=[source])

subprocess.run([str(Path(sys.executable).with_name("dicom-anonymizer")), "before", "after"], check=True)
ct, rtstruct, seg = (dcmread(f"after/{name}.dcm") for name in ("ct", "rtstruct", "seg"))
assert ct.SOPInstanceUID != CT_IMAGE
assert ct.PatientName == "" != "Doe^Jane"
assert ct.StudyInstanceUID == rtstruct.StudyInstanceUID == seg.StudyInstanceUID != STUDY
assert ct.FrameOfReferenceUID == rtstruct.FrameOfReferenceUID == seg.FrameOfReferenceUID != FRAME


def values(data, keyword):
    """All values of an element within sequences."""
    found = []
    for element in data:
        for inner in element.value if element.VR == "SQ" else []:
            found += [inner[keyword].value] if keyword in inner else []
            found += values(inner, keyword)
    return found


for name, data in (("RTSTRUCT", rtstruct), ("SEG", seg)):
    images = [one for one in values(data, "ReferencedSOPInstanceUID") if one != STUDY]
    print(name, "references to the image:", sum(one == ct.SOPInstanceUID for one in images), "new,",
          sum(one == CT_IMAGE for one in images), "old")
    assert images
    assert set(images) == {CT_IMAGE}
frames = values(rtstruct, "FrameOfReferenceUID") + values(rtstruct, "ReferencedFrameOfReferenceUID")
print("frames of reference:", sum(one == ct.FrameOfReferenceUID for one in frames), "new,", frames.count(FRAME), "old")
assert frames == [FRAME, FRAME]
PYTHON
