"""Physical pixel spacing, from formats that store it reliably.

These are DICOM, NIfTI, NRRD with an orientation, and TIFF as written by microscopes (ImageJ or OME with a unit of
length). The resolution of PNG, JPEG and plain TIFF is meant for printing and is ignored. Of a radiograph only the
calibrated `PixelSpacing` counts: at the detector (`ImagerPixelSpacing`) a projection is larger than the patient.
"""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from s4mi.data.files import suffix_of
from s4mi.data.formats import dicom, nifti, nrrd, tiff, tiff_pixels
from s4mi.errors import require_extra

Spacing = tuple[float, float]
"""Distance between rows and between columns, in millimetres."""

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "nm": 1e-6}


def pixel_spacing(path: Path) -> Spacing | None:
    """Return the pixel spacing of the images in a file, or None if it is unknown or the file is broken."""
    suffix = suffix_of(path)
    try:
        if suffix in nifti.SUFFIXES:
            return _nifti(path)
        if suffix in nrrd.SUFFIXES:
            return _if_positive(*nrrd.grid_of(path).spacing) if nrrd.is_oriented(path) else None
        if suffix in tiff.SUFFIXES:
            return _tiff(path)
        if suffix in dicom.SUFFIXES or dicom.is_nameless(path):
            return _dicom(path)
    except Exception:  # decoding the pixels reports broken files with a better message
        return None
    return None


def _nifti(path: Path) -> Spacing | None:
    """Rows of a slice follow the second of its axes in the standard orientation, columns the first."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: reading NIfTI")
    image = nibabel.load(path)
    if len(image.shape) == 3:
        image = nibabel.as_closest_canonical(image)
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    if (flat := nifti.flat_axis(image.shape)) is not None:
        zooms.pop(flat)
    columns, rows = zooms[:2]
    if len(image.shape) == 2 and nifti.flat_turn(image.affine).swap:
        columns, rows = rows, columns
    scale = {"meter": 1000.0, "mm": 1.0, "micron": 1e-3}.get(image.header.get_xyzt_units()[0], 1.0)
    return _if_positive(rows * scale, columns * scale)


def _dicom(path: Path) -> Spacing | None:
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM")
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    candidates = [dataset]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(groups) or [])[:1]:
            candidates += list(group.get("PixelMeasuresSequence") or [])[:1]
    for candidate in candidates:
        if candidate.get("PixelSpacing"):
            rows, columns = candidate.PixelSpacing
            if dicom.turn_of_dataset(dataset).swap:
                rows, columns = columns, rows
            return _if_positive(float(rows), float(columns))
    return None


def _tiff(path: Path) -> Spacing | None:
    with tifffile.TiffFile(path) as file:
        if file.is_ome and file.ome_metadata:
            spacing = _ome(file.ome_metadata)
            return spacing[::-1] if spacing and tiff_pixels.is_transposed(file.pages[0].aspage()) else spacing
        unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
        if not file.is_imagej or unit not in MILLIMETRES:
            return None
        page = file.pages[0].aspage()
        columns, rows = (page.tags[name].value for name in ("XResolution", "YResolution"))
        if tiff_pixels.is_transposed(page):
            columns, rows = rows, columns
        scale = MILLIMETRES[unit]
        return _if_positive(scale * rows[1] / rows[0], scale * columns[1] / columns[0])


def _ome(metadata: str) -> Spacing | None:
    for pixels in ElementTree.fromstring(metadata).iter():
        if pixels.tag.endswith("}Pixels") and "PhysicalSizeX" in pixels.attrib and "PhysicalSizeY" in pixels.attrib:
            rows, columns = (
                float(pixels.attrib[f"PhysicalSize{axis}"])
                * MILLIMETRES[pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm")]
                for axis in ("Y", "X")
            )
            return _if_positive(rows, columns)
    return None


def _if_positive(rows: float, columns: float) -> Spacing | None:
    return (rows, columns) if rows > 0 and columns > 0 else None
