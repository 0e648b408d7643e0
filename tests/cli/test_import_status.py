"""The exit status of an import agrees with what it prints: not 0 if a finding is an error."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app


@pytest.mark.parametrize(("second", "status"), [("test", 1), ("train", 0)])
def test_a_patient_in_two_parts_is_an_error_of_the_import(tmp_path: Path, second: str, status: int) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abcd"):
        Image.new("RGB", (4, 4), (number, 9, 9)).save(tmp_path / "in" / f"{name}.png")
    rows = ["image,label,group,split", "a,x,p1,train", f"b,y,p1,{second}", "c,x,p2,test", "d,y,p3,test"]
    (tmp_path / "in" / "labels.csv").write_text("\n".join(rows) + "\n")
    arguments = ["data", "import", "table", str(tmp_path / "in" / "labels.csv"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == status
    assert (tmp_path / "out" / "dataset.yaml").exists()
    assert ("error:" in result.output) == bool(status)
    if status:
        assert "group 'p1' is in test here, but in train in line 2" in result.output
        assert "written, but not usable with 1 error" in str(result.exception)
