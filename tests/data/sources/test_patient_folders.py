"""A folder per patient is neither a class nor lost: the patient may be in the path."""

import shlex
from pathlib import Path

import pytest
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.patient_pattern import pattern_of_folders
from s4mi.data.sources.types import FoundDataset


def eyes(folder: Path, *patients: str) -> Path:
    for number, patient in enumerate(patients):
        for eye in ("OD", "OS"):
            (folder / patient).mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 9 * number).save(folder / patient / f"{eye}.png")
    return folder


def groups(found: FoundDataset) -> dict[str, str | None]:
    return {row.image.relative_to(found.folder).as_posix(): row.group for row in found.rows}


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["Patient_03", "Patient_4"], r"(Patient_\d+)/"),
        (["P1", "P2"], r"(P\d+)/"),
        ([f"K-{number:04d}" for number in range(20)], r"(K\-\d+)/"),
        ([str(number) for number in range(100, 120)], r"(?:^|/)(\d+)/"),
        (["class_1", "class_2"], ""),
        (["0", "1", "2", "3", "4"], ""),
        (["grade 1", "grade 2", "grade 3"], ""),
        (["P1", "normal"], ""),
        ([], ""),
    ],
)
def test_folders_of_patients_are_known_by_their_names(names: list[str], pattern: str) -> None:
    assert pattern_of_folders(names) == pattern


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_folders_of_patients_are_reported_with_what_makes_them_groups(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for number, part in enumerate(parts):
        eyes(tmp_path / part, f"Patient_{number}1", f"Patient_{number}2")
    (finding,) = read_folder(tmp_path).findings
    assert (finding.code, finding.severity) == ("patients-as-classes", "warning")
    words = shlex.split(finding.message.partition("import again with ")[2].partition(", or")[0])
    assert words == ["--no-classes", "--group-pattern", r"(Patient_\d+)/"]
    found = read_folder(tmp_path, FolderOptions(classes=False, group_pattern=words[-1]))
    assert not found.findings
    assert all(group == image.split("/")[-2] for image, group in groups(found).items())
    (report,) = check_path(tmp_path)
    assert report.command is not None
    assert shlex.split(report.command)[-3:] == words
    assert report.summary is not None
    assert report.summary.groups == 2 * len(parts)


def test_a_pattern_without_a_slash_is_searched_in_the_file_name_alone(tmp_path: Path) -> None:
    found = read_folder(eyes(tmp_path, "P1", "P2"), FolderOptions(classes=False, group_pattern="^(P.)"))
    (finding,) = found.findings
    assert finding.code == "no-group"
    assert "4 file names not matched" in finding.message
    (finding,) = read_folder(tmp_path, FolderOptions(classes=False, group_pattern="(x)/")).findings
    assert "4 paths not matched" in finding.message


def test_two_eyes_in_the_names_of_files_are_one_patient_in_the_proposed_command(tmp_path: Path) -> None:
    for name in ("12_left", "12_right", "15_left"):
        Image.new("L", (8, 8), len(name)).save(tmp_path / f"{name}.png")
    (report,) = check_path(tmp_path)
    assert report.command is not None
    assert "--group-pattern" in report.command
    assert report.summary is not None
    assert report.summary.groups == 2
