"""DICOM images are grouped by patient, else study, else series, and the import says so."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.formats.intensity import Intensity
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.errors import S4miError

pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")
from dicom_files import ramp, write_dicom

IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")


def imported(source: Path, out: Path, **options: Any) -> ImportResult:
    return write_import(read_folder(source), out, naming=DatasetNaming("x"), options=ImportOptions(**options))


def series(folder: Path, name: str, count: int = 4, **identifiers: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_dicom(folder / f"{name}-{number}.dcm", ramp() + number, **identifiers)


def groups(written: ImportResult) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for row in written.rows:
        found.setdefault(row.id.partition("-")[0], set()).add(row.group)
    return found


@pytest.mark.parametrize("keep", [False, True])
def test_slices_without_a_patient_id_are_grouped_by_study_which_is_said(tmp_path: Path, keep: bool) -> None:
    for study, name in product(("1.2.1", "1.2.2"), "ab"):
        series(tmp_path / "in", f"{study[-1]}{name}", StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{ord(name)}")
    written = imported(tmp_path / "in", tmp_path / "out", keep_dicom=keep, intensity=Intensity.parse("window:0:255"))
    found = groups(written)
    assert all(len(group) == 1 for group in found.values())
    assert found["1a"] == found["1b"] != found["2a"] == found["2b"]
    (said,) = [finding for finding in written.findings if finding.code == "dicom-study-groups"]
    assert said.severity == "warning"
    assert "16 DICOM files without a patient ID, grouped by study (StudyInstanceUID) into 2 studies" in said.message
    (report,) = check_path(tmp_path / "in")
    assert [finding.message for finding in report.findings if finding.code == "dicom-study-groups"] == [said.message]


def test_without_a_study_the_series_is_the_group(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        series(tmp_path / "in", f"s{number}", SeriesInstanceUID=f"1.2.{number}", PatientID=" ")
    written = imported(tmp_path / "in", tmp_path / "out")
    found = groups(written)
    assert len(set().union(*found.values())) == 3
    assert all(len(group) == 1 for group in found.values())
    assert any("grouped by series (SeriesInstanceUID) into 3 series" in str(finding) for finding in written.findings)


@pytest.mark.parametrize("present", list(product((True, False), repeat=3)))
def test_no_group_divides_what_one_identifier_joins(tmp_path: Path, present: tuple[bool, ...]) -> None:
    """Of each of two patients, one file has all identifiers and the others have some."""
    for who in "12":
        values = {"PatientID": f"p{who}", "StudyInstanceUID": f"1.3.{who}", "SeriesInstanceUID": f"1.4.{who}"}
        some = {name: values[name] for name, has in zip(IDENTIFIERS, present, strict=True) if has}
        series(tmp_path / "in", f"whole{who}", 1, **values)
        series(tmp_path / "in", f"some{who}", 3, **some)
    written = imported(tmp_path / "in", tmp_path / "out")
    found = groups(written)
    if any(present):
        assert found["some1"] == found["whole1"] != found["some2"] == found["whole2"]
    else:
        assert found["some1"] == {None}
        assert any(finding.code == "dicom-no-patient" for finding in written.findings)


def test_groups_that_the_user_names_win_and_nothing_is_said(tmp_path: Path) -> None:
    from s4mi.data.sources.folder import FolderOptions

    series(tmp_path / "in", "p1", StudyInstanceUID="1.2.3")
    series(tmp_path / "in", "p2", StudyInstanceUID="1.2.3")
    found = read_folder(tmp_path / "in", FolderOptions(group_pattern="^(p.)"))
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("x"))
    assert {row.group for row in written.rows} == {"p1", "p2"}
    assert not [finding for finding in written.findings if finding.code.startswith("dicom-")]


def test_all_images_of_one_patient_is_a_warning_at_import_and_check_and_no_call_for_more_at_training(
    tmp_path: Path,
) -> None:
    for name in "ab":
        series(tmp_path / "in" / name, name, StudyInstanceUID="1.2.3")
    written = imported(tmp_path / "in", tmp_path / "out")
    reports = [check_path(tmp_path / name)[0] for name in ("in", "out")]
    for findings in (written.findings, *(report.findings for report in reports)):
        (one,) = [finding for finding in findings if finding.code == "one-patient"]
        assert one.severity == "warning"
        assert "all 8 images are of one patient" in one.message
    manifest = load_manifest(tmp_path / "out")
    assert isinstance(manifest, Manifest)
    with pytest.raises(S4miError, match="all 8 images are of one patient") as caught:
        make_split(manifest, "multiclass", method=SplitMethod(), fraction_seed=0)
    assert "annotate more" not in str(caught.value)


def test_images_without_groups_are_not_of_one_patient(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8), number * 50, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    written = imported(tmp_path / "in", tmp_path / "out")
    assert not [finding for finding in written.findings if finding.code == "one-patient"]


def test_gaps_in_a_column_of_patients_are_filled_by_the_ids_of_the_files(tmp_path: Path) -> None:
    """Of merged cells only the first holds the patient; the rest would be another one under a pseudonym."""
    for patient in "AB":
        series(tmp_path / "in", patient, 3, PatientID=f"id of {patient}")
    series(tmp_path / "in", "C", 1, PatientID="id of C")
    lines = [f"{name}-{number}.dcm,{name if number == 0 else ''}" for name in "AB" for number in range(3)]
    (tmp_path / "in" / "t.csv").write_text("\n".join(["image,group", *lines, "C-0.dcm,", ""]))
    written = write_import(read_tables(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x"))
    found = groups(written)
    assert (found["A"], found["B"]) == ({"A"}, {"B"})
    assert len(found["C"] - {None, "A", "B", "id of C"}) == 1
