"""Small DICOM files for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom

Pixels = np.ndarray[Any, Any]


def write_dicom(path: Path, stored: Pixels, **attributes: Any) -> Path:
    """A secondary capture with these pixels: (H, W), (N, H, W) or, with three samples, (H, W, 3)."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    colour = attributes.get("SamplesPerPixel", 1) == 3
    ds.Rows, ds.Columns = stored.shape[-3:-1] if colour else stored.shape[-2:]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = stored.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    if stored.ndim == (4 if colour else 3):
        ds.NumberOfFrames = len(stored)
    ds.PixelData = stored.tobytes()
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.save_as(path, enforce_file_format=True)
    return path


def ramp(count: int = 256, dtype: Any = np.uint16) -> Pixels:
    return np.arange(count, dtype=dtype).reshape(16, -1)
