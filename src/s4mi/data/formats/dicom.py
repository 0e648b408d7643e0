"""DICOM, single and multi-frame, through pydicom (extra `dicom`).

Stored numbers become values (modality LUT or rescale slope and intercept, e.g. Hounsfield units) and come with the
first VOI window of the file; a VOI LUT is applied. MONOCHROME1, where low means bright, is turned round. Palettes and
YBR become RGB.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import Frame, Header, ImageError, colours_last, explained
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
    """Whether a file without a usual ending is DICOM: `DICM` stands at byte 128."""
    if path.suffix and not path.suffix[1:].isdigit():  # unique identifiers end in a number after a dot
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def header(path: Path) -> Header:
    """From the attributes of the file, without its pixels.

    Raises:
        ImageError: the file is missing, empty or no DICOM image.
    """
    with _opened(path, pixels=False) as dataset:
        bits, signed = int(dataset.get("BitsAllocated", 16)), int(dataset.get("PixelRepresentation", 0)) == 1
        colour = int(dataset.get("SamplesPerPixel", 1)) > 1 or dataset.get("PhotometricInterpretation") == PALETTE
        dtype = {1: "bool"}.get(bits, f"{'' if signed else 'u'}int{bits}")
        frames = int(dataset.get("NumberOfFrames") or 1)
        return Header(frames, int(dataset.Rows), int(dataset.Columns), channels=3 if colour else 1, dtype=dtype)


def frames(path: Path) -> Iterator[Frame]:
    """Every frame, one decoded at a time.

    Raises:
        ImageError: the file is missing, empty, no DICOM image, or coded in a way that needs another package.
    """
    from pydicom.pixels import iter_pixels

    with _opened(path, pixels=True) as dataset:
        for number, stored in enumerate(iter_pixels(dataset)):
            yield _frame(dataset, stored, number)


def identifiers(path: Path) -> tuple[str, ...]:
    """Names of the attributes in the file that identify a person or place and are not empty.

    Raises:
        ImageError: the file is missing, empty or no DICOM image.
    """
    with _opened(path, pixels=False) as dataset:
        if str(dataset.get("PatientIdentityRemoved", "")).upper() == "YES":
            return ()
        return tuple(name for name in IDENTIFIERS if dataset.get(name) not in (None, "", []))


def burnt_in(path: Path) -> bool:
    """Whether the file says of itself that text is drawn into its pixels.

    Raises:
        ImageError: the file is missing, empty or no DICOM image.
    """
    with _opened(path, pixels=False) as dataset:
        return str(dataset.get("BurnedInAnnotation", "")).upper() == "YES"


def pseudonym(path: Path) -> str | None:
    """A short hash that stands for the file's `PatientID`, or None where there is none.

    Raises:
        ImageError: the file is missing, empty or no DICOM image.
    """
    with _opened(path, pixels=False) as dataset:
        identity = str(dataset.get("PatientID") or "").strip()
        return hashlib.blake2b(identity.encode(), digest_size=4).hexdigest() if identity else None


PALETTE = "PALETTE COLOR"


def _frame(dataset: "Dataset", stored: NDArray[Any], number: int) -> Frame:
    """One frame's values. `iter_pixels` has turned YBR into RGB already."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == PALETTE:
        palette = apply_color_lut(stored, dataset)
        deep = palette.dtype == np.uint16
        return Frame(colours_last((palette >> 8).astype(np.uint8) if deep else palette))
    if stored.ndim == 3:
        return Frame(colours_last(stored))
    settings = _functional(dataset, number)
    values = np.asarray(apply_modality_lut(stored, settings["modality"]))
    window = None
    if settings["voi"].get("VOILUTSequence"):
        values = np.asarray(apply_voi(values, settings["voi"]))
    elif "WindowCenter" in settings["voi"] and "WindowWidth" in settings["voi"]:
        window = _window(settings["voi"])
    if values.dtype == np.uint8 and (window is not None or photometric == "MONOCHROME1"):
        values = values.astype(np.int16)  # 8-bit numbers would be taken as they are
    if photometric == "MONOCHROME1":
        deep = np.int32 if values.dtype.kind in "iu" else np.float64
        values = np.negative(values, dtype=deep)
        window = None if window is None else (-window[1], -window[0])
    return Frame(values, window)


def _functional(dataset: "Dataset", number: int) -> "dict[str, Dataset]":
    """Where this frame's rescale and window stand: in the file, or in its functional groups (enhanced multi-frame)."""
    found = {"modality": dataset, "voi": dataset}
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[number : number + 1]
    for group in (*shared, *own):
        if group.get("PixelValueTransformationSequence"):
            found["modality"] = group.PixelValueTransformationSequence[0]
        if group.get("FrameVOILUTSequence"):
            found["voi"] = group.FrameVOILUTSequence[0]
    return found


def _window(dataset: "Dataset") -> tuple[float, float] | None:
    """The values shown black and white (PS3.3, C.11.2.1.2). A sigmoid is taken as its tangent."""
    centre, width = (_first(dataset[name].value) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    if str(dataset.get("VOILUTFunction", "LINEAR")) != "LINEAR":
        return centre - width / 2, centre + width / 2
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + max(width - 1, 1e-6) / 2


def _first(value: Any) -> float | None:
    """Of several windows the first."""
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


@contextmanager
def _opened(path: Path, *, pixels: bool) -> "Iterator[Dataset]":
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM")
    with explained(path):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=False)
        except pydicom.errors.InvalidDicomError as error:
            raise ImageError("not-an-image", "is no DICOM file; give it the ending of its true format") from error
        if "Rows" not in dataset or "Columns" not in dataset:
            what = str(dataset.get("Modality", "")) or "a report or directory"
            raise ImageError("not-an-image", f"is a DICOM file without pictures ({what}); leave it out")
        try:
            yield dataset
        except (NotImplementedError, RuntimeError) as error:
            if "decod" not in str(error) and "plugin" not in str(error):
                raise
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            name = getattr(syntax, "name", syntax)
            raise ImageError(
                "undecodable", f"is coded as {name}; install a decoder: pip install pylibjpeg pylibjpeg-libjpeg "
                "pylibjpeg-openjpeg"
            ) from error  # fmt: skip
