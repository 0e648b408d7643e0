"""What a DICOM file says about the patient, study and series that it belongs to, as hashes of their identifiers."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.data.formats.dicom import open_dataset

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class DicomSource:
    """Where a DICOM file comes from.

    Attributes:
        patient, study, series: hashes of PatientID, StudyInstanceUID and SeriesInstanceUID, None without one. They
            can be reversed by trying identifiers, so they stay in memory; see `sources/pseudonyms`.
        burnt_in: whether the file declares text burned into its pixels.
    """

    patient: str | None
    study: str | None
    series: str | None
    burnt_in: bool


def read_source(path: Path) -> DicomSource:
    """Read the source of a DICOM file, without its pixels.

    Raises:
        ImageError: the file is missing, empty or not a DICOM image.
    """
    with open_dataset(path, pixels=False) as dataset:
        return DicomSource(
            patient=_hash(dataset, "PatientID"),
            study=_hash(dataset, "StudyInstanceUID"),
            series=_hash(dataset, "SeriesInstanceUID"),
            burnt_in=str(dataset.get("BurnedInAnnotation", "")).upper() == "YES",
        )


def _hash(dataset: "Dataset", name: str) -> str | None:
    identifier = str(dataset.get(name) or "").strip()
    return hashlib.blake2b(identifier.encode(), digest_size=16).hexdigest() if identifier else None
