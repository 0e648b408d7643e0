"""DICOM, single and multi-frame, through pydicom (extra `dicom`).

Stored values are rescaled (modality LUT or rescale slope and intercept, e.g. to Hounsfield units) and returned with the
first VOI window of the file; a VOI LUT is applied. A rescale by slope 1 and intercept 0 is none. MONOCHROME1, where low
values are bright, is marked as inverted. Palettes and YBR become RGB.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.axial import Turn, turn_of
from s4mi.data.formats.dicom_seg import NOT_AN_IMAGE, SOP_CLASSES
from s4mi.data.formats.frame import Frame, Header, ImageError, colours_last, image_errors
from s4mi.data.formats.pixel_limit import check_pixels
from s4mi.errors import require_extra

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = (".dcm", ".dicom")
IDENTIFIERS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientAddress",
    "PatientTelephoneNumbers", "PatientMotherBirthName", "OtherPatientIDs", "OtherPatientIDsSequence",
    "OtherPatientNames", "PatientComments", "MilitaryRank", "MedicalRecordLocator", "AccessionNumber",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "ReferringPhysicianName",
    "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers", "PhysiciansOfRecord",
    "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "OperatorsName", "RequestingPhysician",
    "StationName", "DeviceSerialNumber", "StudyID",
)  # fmt: skip
"""Direct identifiers among the attributes that the Basic Application Level Confidentiality Profile removes or replaces
(DICOM PS3.15, table E.1-1)."""


def is_nameless(path: Path) -> bool:
    """Whether a file without a DICOM file extension is DICOM, i.e. has `DICM` at byte 128."""
    if path.suffix and not path.suffix[1:].isdigit():  # names that are UIDs end in a dot and a number
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_dicom(path: Path) -> bool:
    """Whether `path` has the extension of a DICOM file, or is one without extension."""
    return path.suffix.lower() in SUFFIXES or is_nameless(path)


def header(path: Path) -> Header:
    """Return the header from the attributes of the file, without its pixels.

    Raises:
        ImageError: the file is missing, empty or not a DICOM image.
    """
    with open_dataset(path, pixels=False) as dataset:
        bits, signed = int(dataset.get("BitsAllocated", 16)), int(dataset.get("PixelRepresentation", 0)) == 1
        colour = int(dataset.get("SamplesPerPixel", 1)) > 1 or dataset.get("PhotometricInterpretation") == PALETTE
        dtype = {1: "bool"}.get(bits, f"{'' if signed else 'u'}int{bits}")
        frames = int(dataset.get("NumberOfFrames") or 1)
        height, width = int(dataset.Rows), int(dataset.Columns)
        if turn_of_dataset(dataset).swap:
            height, width = width, height
        return Header(frames, height, width, channels=3 if colour else 1, dtype=dtype)


def frames(path: Path) -> Iterator[Frame]:
    """Yield every frame, one decoded at a time.

    Raises:
        ImageError: the file is missing, empty, not a DICOM image, or needs a decoder that is not installed.
    """
    from pydicom.pixels import iter_pixels

    with open_dataset(path, pixels=True) as dataset:
        turn = turn_of_dataset(dataset)
        for number, stored in enumerate(iter_pixels(dataset)):
            yield _turned(_frame(dataset, stored, number), turn)


def identifiers(path: Path) -> tuple[str, ...]:
    """List the attributes of the file that identify a person or institution and are not empty.

    Raises:
        ImageError: the file is missing, empty or not a DICOM image.
    """
    with open_dataset(path, pixels=False) as dataset:
        if str(dataset.get("PatientIdentityRemoved", "")).upper() == "YES":
            return ()
        return tuple(name for name in IDENTIFIERS if dataset.get(name) not in (None, "", []))


def burnt_in(path: Path) -> bool:
    """Whether the file declares text burned into its pixels (`BurnedInAnnotation`).

    Raises:
        ImageError: the file is missing, empty or not a DICOM image.
    """
    with open_dataset(path, pixels=False) as dataset:
        return str(dataset.get("BurnedInAnnotation", "")).upper() == "YES"


def turn_of_dataset(dataset: "Dataset") -> Turn:
    """Return how the frames of an image become axial slices of the convention; of no other are pixels moved.

    An enhanced image is turned by the orientation of its first frame.
    """
    candidates = [dataset]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(groups) or [])[:1]:
            candidates += list(group.get("PlaneOrientationSequence") or [])[:1]
    for candidate in candidates:
        cosines = candidate.get("ImageOrientationPatient")
        if cosines is not None and len(cosines) == 6:
            directions = np.array([float(number) for number in cosines])
            return turn_of(directions[:3], directions[3:])
    return Turn()


def turn_of_file(path: Path) -> Turn:
    """Return how the frames of a file become axial slices of the convention.

    Raises:
        ImageError: the file is missing, empty or not a DICOM image.
    """
    with open_dataset(path, pixels=False) as dataset:
        return turn_of_dataset(dataset)


def turn_of_segmentation(path: Path) -> Turn:
    """Return how the frames of a DICOM segmentation become axial slices of the convention, by its own orientation.

    Raises:
        ImageError: the file cannot be read.
    """
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM-SEG")
    with image_errors(path):
        return turn_of_dataset(pydicom.dcmread(path, stop_before_pixels=True))


def _turned(frame: Frame, turn: Turn) -> Frame:
    if turn == Turn():
        return frame
    padding = None if frame.padding is None else turn.apply(frame.padding)
    return replace(frame, values=turn.apply(frame.values), padding=padding)


PALETTE = "PALETTE COLOR"


def _frame(dataset: "Dataset", stored: NDArray[Any], number: int) -> Frame:
    """Convert stored pixels to a frame; `iter_pixels` has already converted YBR to RGB."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == PALETTE:
        palette = apply_color_lut(stored, dataset)
        if palette.dtype == np.uint16:
            palette = (palette >> 8 if _greatest_entry(dataset) > 255 else palette).astype(np.uint8)
        return Frame(colours_last(palette))
    if stored.ndim == 3:
        return Frame(colours_last(stored))
    settings = _frame_settings(dataset, number)
    rescale = settings["modality"]
    values = stored if _is_identity(rescale) else np.asarray(apply_modality_lut(stored, rescale))
    window = None
    if settings["voi"].get("VOILUTSequence"):
        values = np.asarray(apply_voi(values, settings["voi"]))
    elif "WindowCenter" in settings["voi"] and "WindowWidth" in settings["voi"]:
        window = _window(settings["voi"])
    if values.dtype == np.uint8 and window is not None:
        values = values.astype(np.int16)  # 8-bit values would bypass the window
    return Frame(values, window, inverted=photometric == "MONOCHROME1", padding=_padding(dataset, stored))


def _greatest_entry(dataset: "Dataset") -> int:
    """Return the greatest entry of a palette of 16 bits; some writers store 8 bits in it, as in TIFF."""
    tables = [dataset.get(f"{colour}PaletteColorLookupTableData") for colour in ("Red", "Green", "Blue")]
    return max((int(np.frombuffer(table, dtype="<u2").max()) for table in tables if table), default=65535)


def _padding(dataset: "Dataset", stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Find the stored values from PixelPaddingValue to PixelPaddingRangeLimit (PS3.3, C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # Some writers encode the value as unsigned beside signed pixels, or the other way round.
    bounds = np.array([value, limit if isinstance(limit, int) else value]).astype(stored.dtype)
    padding = (stored >= bounds.min()) & (stored <= bounds.max())
    return padding if padding.any() else None


def _is_identity(rescale: "Dataset") -> bool:
    """Whether a rescale leaves the stored values as they are."""
    if rescale.get("ModalityLUTSequence"):
        return False
    return (rescale.get("RescaleSlope"), rescale.get("RescaleIntercept")) == (1, 0)


def _frame_settings(dataset: "Dataset", number: int) -> "dict[str, Dataset]":
    """Find the data sets that hold a frame's rescale and window: the file or, if enhanced, its functional groups."""
    found = {"modality": dataset, "voi": dataset}
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    per_frame = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[number : number + 1]
    for group in (*shared, *per_frame):
        if group.get("PixelValueTransformationSequence"):
            found["modality"] = group.PixelValueTransformationSequence[0]
        if group.get("FrameVOILUTSequence"):
            found["voi"] = group.FrameVOILUTSequence[0]
    return found


def _window(dataset: "Dataset") -> tuple[float, float] | None:
    """Return the values shown as black and white (PS3.3, C.11.2.1.2); a sigmoid is replaced by its tangent."""
    centre, width = (_first(dataset[name].value) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    if str(dataset.get("VOILUTFunction", "LINEAR")) != "LINEAR":
        return centre - width / 2, centre + width / 2
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + max(width - 1, 1e-6) / 2


def _first(value: Any) -> float | None:
    """Return the first of several values, or None if there is none."""
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes that store every pixel: implicit and explicit little endian, explicit big endian."""
LEAST_FRAME = 8
"""Bytes of the item tag of a compressed frame."""


def _check_size(dataset: "Dataset", path: Path) -> None:
    """Refuse a header that claims more pixels than the file can hold, which decoders would look for one by one."""
    height, width = int(dataset.Rows), int(dataset.Columns)
    check_pixels(height, width)
    frames = int(dataset.get("NumberOfFrames") or 1)
    samples, bits = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("BitsAllocated") or 8)
    if frames < 1 or samples not in (1, 3, 4) or bits not in (1, 8, 16, 32, 64):
        raise ImageError(
            "undecodable", f"declares {frames} frames of {samples} samples of {bits} bits; export it again"
        )
    native = str(dataset.file_meta.get("TransferSyntaxUID", NATIVE[0])) in NATIVE
    subsampled = str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422"
    pixels = frames * height * width * samples * bits // 8 * (2 if subsampled else 3) // 3
    if (pixels if native else frames * LEAST_FRAME) > path.stat().st_size:
        raise ImageError(
            "undecodable", f"declares {frames} frames of {height}×{width} pixels, but is too small for them; "
            "copy it again from its source"
        )  # fmt: skip


@contextmanager
def open_dataset(path: Path, *, pixels: bool) -> "Iterator[Dataset]":
    """Open a DICOM image, with its pixels or without.

    Raises:
        ImageError: the file is missing, empty or not a DICOM image, or a decoder is missing.
    """
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM")
    with image_errors(path):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=False)
        except pydicom.errors.InvalidDicomError as error:
            raise ImageError("not-an-image", "is not a DICOM file; rename it to match its format") from error
        if str(dataset.get("SOPClassUID", "")) in SOP_CLASSES:
            raise ImageError("not-an-image", NOT_AN_IMAGE)
        if "Rows" not in dataset or "Columns" not in dataset:
            what = str(dataset.get("Modality", "")) or "a report or directory"
            raise ImageError("not-an-image", f"is a DICOM file without images ({what}); exclude it")
        _check_size(dataset, path)
        try:
            yield dataset
        except (NotImplementedError, RuntimeError) as error:
            if "decod" not in str(error) and "plugin" not in str(error):
                raise
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            name = getattr(syntax, "name", syntax)
            raise ImageError(
                "undecodable", f"uses the transfer syntax {name}; install a decoder: pip install pylibjpeg "
                "pylibjpeg-libjpeg pylibjpeg-openjpeg"
            ) from error  # fmt: skip
