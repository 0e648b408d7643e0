"""Groups of DICOM images: the patient, else the study, else the series, so that no split divides a series."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s4mi.data.files import suffix_of
from s4mi.data.formats import dicom
from s4mi.data.formats.dicom_series import DicomSource, read_source
from s4mi.data.parallel import in_parallel
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural

NAME_PATIENTS = "name the patients with a column (--group) or from file names (--group-pattern) if you know them"


@dataclass(frozen=True)
class DicomGroups:
    """The group of each DICOM file, and the identifier it comes from: patient, study or series.

    A file without PatientID belongs to the patient whom another file of its study or series names.
    """

    group: Mapping[Path, str]
    origin: Mapping[Path, str]

    @classmethod
    def of(cls, sources: Mapping[Path, DicomSource]) -> "DicomGroups":
        """Group the files by the best identifier they share."""
        patient_of = {
            key: source.patient
            for source in sources.values()
            for key in (("study", source.study), ("series", source.series))
            if source.patient is not None and key[1] is not None
        }
        study_of = {source.series: source.study for source in sources.values() if source.series and source.study}
        group, origin = {}, {}
        for path, source in sources.items():
            study = source.study or study_of.get(source.series or "")
            patient = (
                source.patient or patient_of.get(("series", source.series)) or patient_of.get(("study", study))
            )  # fmt: skip
            for name, value in (("patient", patient), ("study", study), ("series", source.series)):
                if value is not None:
                    group[path], origin[path] = value, name
                    break
        return cls(group, origin)


def dicom_sources(files: Sequence[Path]) -> dict[Path, DicomSource]:
    """Read patient, study and series of those files that are DICOM images, on all cores."""
    found = [path for path in files if suffix_of(path) in dicom.SUFFIXES or dicom.is_nameless(path)]
    sources = in_parallel(_read_source, found)
    return {path: source for path, source in zip(found, sources, strict=True) if source is not None}


def _read_source(path: Path) -> DicomSource | None:
    try:
        return read_source(path)
    except S4miError:  # decoding the pixels reports broken files with a better message
        return None


def group_dicom(
    rows: Sequence[Row], sources: Mapping[Path, DicomSource], *, named: Callable[[str], str] = str
) -> list[Row]:
    """Assign each DICOM row without a group the one of its file; a file without any identifier stays without.

    Where all rows of the same patient that have a group, such as from a table with gaps, have one, it is that.

    Args:
        named: turns the hash of an identifier into a pseudonym.
    """
    groups = DicomGroups.of(sources).group
    given: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group is not None and row.image in groups:
            given[groups[row.image]].add(row.group)
    names = {group: next(iter(of_rows)) for group, of_rows in given.items() if len(of_rows) == 1}
    return [
        row if row.group is not None or (group := groups.get(row.image)) is None
        else replace(row, group=names.get(group) or named(group))
        for row in rows
    ]  # fmt: skip


def dicom_findings(rows: Sequence[Row], sources: Mapping[Path, DicomSource], *, folder: Path) -> Iterator[Finding]:
    """Say where the groups of DICOM files come from, and which files declare burnt-in text.

    Args:
        rows: the rows before they are grouped.
    """
    burnt_in = [path for path, source in sources.items() if source.burnt_in]
    if burnt_in:
        message = (
            f"{plural(len(burnt_in), 'DICOM file')} with text burned into the pixels, which the import keeps; "
            "inspect it and black out what identifies a person"
        )
        yield Finding("dicom-burnt-in", "warning", relative_name(burnt_in[0], folder), None, message)
    with_patient = sum(source.patient is not None for source in sources.values())
    if with_patient:
        message = (
            f"{plural(with_patient, 'DICOM file')} with a patient ID; its pseudonym is the group of rows without one; "
            "no patient name or ID is written"
        )
        yield Finding("dicom-patients", "note", ".", None, message)
    found = DicomGroups.of(sources)
    ungrouped = [row.image for row in rows if row.group is None and row.image in sources]
    for origin, attribute in (("study", "StudyInstanceUID"), ("series", "SeriesInstanceUID")):
        files = [path for path in ungrouped if found.origin.get(path) == origin]
        if files:
            count = len({found.group[path] for path in files})
            groups = plural(count, origin, "studies" if origin == "study" else "series")
            message = (
                f"{plural(len(files), 'DICOM file')} without a patient ID, grouped by {origin} ({attribute}) into "
                f"{groups}; a patient may have several, so {NAME_PATIENTS}"
            )
            yield Finding(f"dicom-{origin}-groups", "warning", ".", None, message)
    unknown = [path for path in ungrouped if path not in found.group]
    if unknown:
        message = (
            f"{plural(len(unknown), 'DICOM file')} without patient ID, study and series UID "
            f"({some([path.name for path in unknown])}), each taken for a patient of its own; {NAME_PATIENTS}"
        )
        yield Finding("dicom-no-patient", "warning", ".", None, message)
