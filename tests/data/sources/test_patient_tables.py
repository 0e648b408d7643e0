"""A table with a row per patient: the command that check proposes imports the images with patients and labels."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app
from s4mi.data.checks.check import CheckReport, check_path
from s4mi.data.manifest import Manifest, load_manifest

PEOPLE = "pid,age,dx\nK-0017,61,naevus\nK-0018,48,melanoma\nK-0099,30,naevus\n"


def draw(folder: Path, *names: str, **tables: str) -> Path:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)).save(path)
    for table, text in tables.items():
        (folder / f"{table}.csv").write_text(text)
    return folder


def imported(report: CheckReport) -> Manifest:
    """What the proposed command imports, below the current folder."""
    assert report.command is not None
    result = CliRunner().invoke(app, shlex.split(report.command)[1:])
    assert result.exit_code == 0, result.output
    return load_manifest(next(Path("datasets").iterdir()))


@pytest.mark.parametrize(
    "place", ["{0}/{1}.png", "images/{0}/{1}.png", "{0}_{1}.png", "images/{0} {1}.png", "{2}/{0}/{1}.png"]
)
def test_images_whose_names_or_folders_are_patients_are_imported_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images = {place.format(patient, n, kind): patient
              for patient, kind in (("K-0017", "naevus"), ("K-0018", "melanoma")) for n in range(3)}  # fmt: skip
    (report,) = check_path(draw(tmp_path / "in", *images, patients=PEOPLE), duplicates=False)
    (warning,) = (finding for finding in report.findings if finding.code == "table-of-patients")
    assert "'pid' lists patients, not images" in warning.message
    assert warning.message.endswith("import that with --group pid --join patients.csv --on pid --label dx")
    rows = imported(report).rows
    root = tmp_path / "in"
    assert {row.image.relative_to(root).as_posix(): row.group for row in rows} == images
    labels = {row.labels for row in rows}
    assert labels == ({("naevus",), ("melanoma",)} if place.startswith("{2}") else {None})


@pytest.mark.parametrize("checked", ["", "patients.csv", "images.csv"])
@pytest.mark.parametrize("column", ["pid", "patient_id"])
def test_a_table_of_patients_is_joined_to_the_one_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: str, column: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images = f"file,{column}\na.png,K-0017\nb.png,K-0017\nc.png,K-0018\n"
    folder = draw(tmp_path / "in", "a.png", "b.png", "c.png", images=images, patients=PEOPLE)
    (report,) = check_path(folder / checked, duplicates=False)
    if checked == "images.csv":  # whoever asks for one table alone gets that
        assert report.command is not None
        assert "--join" not in report.command
        return
    found = {row.id: (row.group, row.labels) for row in imported(report).rows}
    assert found == {"a": ("K-0017", ("naevus",)), "b": ("K-0017", ("naevus",)), "c": ("K-0018", ("melanoma",))}


def test_a_table_of_patients_without_any_image_is_an_error_as_before(tmp_path: Path) -> None:
    (report,) = check_path(draw(tmp_path / "in", "a.png", patients=PEOPLE) / "patients.csv", duplicates=False)
    assert "table-of-patients" not in {finding.code for finding in report.findings}
    assert report.count("error") == 1
