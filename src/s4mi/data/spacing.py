"""How large a pixel is in the patient, where a file says so in a way that can be trusted.

DICOM, NIfTI, and TIFF as microscopes write it (ImageJ or OME with a unit of length). The resolution of PNG, JPEG and
plain TIFF is for printers, and says nothing.
"""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from s4mi.data.files import suffix_of
from s4mi.data.formats import dicom, nifti, tiff
from s4mi.errors import require_extra

Spacing = tuple[float, float]
"""Millimetres from one row to the next, and from one column to the next."""

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "nm": 1e-6}


def pixel_spacing(path: Path) -> Spacing | None:
    """Of the pictures in a file, as they are read; None where it is not known. A broken file has none."""
    suffix = suffix_of(path)
    try:
        if suffix in nifti.SUFFIXES:
            return _nifti(path)
        if suffix in tiff.SUFFIXES:
            return _tiff(path)
        if suffix in dicom.SUFFIXES or dicom.is_nameless(path):
            return _dicom(path)
    except Exception:  # whatever is wrong with the file, reading its pixels tells it better
        return None
    return None


def _nifti(path: Path) -> Spacing | None:
    """A slice has the second axis of the standard orientation for its rows, and the first for its columns."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: reading NIfTI")
    image = nibabel.load(path)
    if len(image.shape) == 3:
        image = nibabel.as_closest_canonical(image)
    across, down = (float(zoom) for zoom in image.header.get_zooms()[:2])
    scale = {"meter": 1000.0, "mm": 1.0, "micron": 1e-3}.get(image.header.get_xyzt_units()[0], 1.0)
    return _known(down * scale, across * scale)


def _dicom(path: Path) -> Spacing | None:
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM")
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    places = [dataset]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(groups) or [])[:1]:
            places += list(group.get("PixelMeasuresSequence") or [])[:1]
    for place in places:
        if place.get("PixelSpacing"):
            down, across = place.PixelSpacing
            return _known(float(down), float(across))
    return None


def _tiff(path: Path) -> Spacing | None:
    with tifffile.TiffFile(path) as file:
        if file.is_ome and file.ome_metadata:
            return _ome(file.ome_metadata)
        unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
        if not file.is_imagej or unit not in MILLIMETRES:
            return None
        page = file.pages[0].aspage()
        across, down = (page.tags[name].value for name in ("XResolution", "YResolution"))
        scale = MILLIMETRES[unit]
        return _known(scale * down[1] / down[0], scale * across[1] / across[0])


def _ome(metadata: str) -> Spacing | None:
    for pixels in ElementTree.fromstring(metadata).iter():
        if pixels.tag.endswith("}Pixels") and "PhysicalSizeX" in pixels.attrib and "PhysicalSizeY" in pixels.attrib:
            down, across = (
                float(pixels.attrib[f"PhysicalSize{axis}"])
                * MILLIMETRES[pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm")]
                for axis in ("Y", "X")
            )
            return _known(down, across)
    return None


def _known(down: float, across: float) -> Spacing | None:
    return (down, across) if down > 0 and across > 0 else None
