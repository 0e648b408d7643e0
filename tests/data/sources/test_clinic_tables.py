"""What spreadsheets of a clinic look like: gaps, columns twice, several sheets, merged cells, zeros that are lost."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_workbook import KIND, SHEET, Cells, parts_of, workbook, write_parts
from s4mi.data.checks.check import check_path
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.errors import S4miError


def test_rows_have_the_numbers_of_the_spreadsheet_whatever_is_empty_above(tmp_path: Path) -> None:
    rows: Cells = [[], [], ["image", "label"], ["a.png", "x"], [], [None, None], ["b.png", "y"]]
    records = read_table(workbook(tmp_path / "t.xlsx", rows)).records
    assert [(record.line, record.cells["image"]) for record in records] == [(4, "a.png"), (7, "b.png")]


def test_two_columns_of_one_name_are_refused_as_in_csv(tmp_path: Path) -> None:
    table = workbook(tmp_path / "t.xlsx", [["image", "label", "label"], ["a.png", "x", "y"]])
    with pytest.raises(S4miError, match=r"t\.xlsx:1: two columns are named 'label'; rename one"):
        read_table(table)


def two_sheets(path: Path, first: Cells, second: Cells) -> Path:
    """Write a workbook with two sheets, `labels` and `later`."""
    parts, other = parts_of(first), parts_of(second)
    book, relations = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
    parts[book] = parts[book].replace("</sheets>", '<sheet name="later" sheetId="2" r:id="r9"/></sheets>')
    link = f'<Relationship Id="r9" Type="{KIND}/worksheet" Target="worksheets/sheet2.xml"/></Relationships>'
    parts[relations] = parts[relations].replace("</Relationships>", link)
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(
        "</Types>",
        '<Override PartName="/xl/worksheets/sheet2.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.worksheet+xml"/></Types>',
    )
    parts["xl/worksheets/sheet2.xml"] = other[SHEET]
    write_parts(path, parts)
    return path


def test_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 1)
    table = two_sheets(tmp_path / "t.xlsx", [["image", "label"], ["a.png", "x"]], [["image"], ["b.png"]])
    found = read_tables(table, TableOptions(label="label"))
    (finding,) = (finding for finding in found.findings if finding.code == "other-sheets")
    assert "only the first sheet is read; 'later' hold" in finding.message
    empty = two_sheets(tmp_path / "e.xlsx", [["image", "label"]], [["image"], ["b.png"]])
    with pytest.raises(S4miError, match=r"the first sheet has columns but no rows; .* move one of the sheets 'later'"):
        read_table(empty)


def image(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("ending", ["nii.gz", "tif"])
def test_volumes_without_a_patient_among_others_are_counted(tmp_path: Path, ending: str) -> None:
    for number in range(4):
        (tmp_path / f"{number}.{ending}").touch()
    rows: Cells = [["image", "pid", "dx"], ["0", "P1", "a"], ["1", None, "b"], ["2", "P2", "a"], ["3", None, "b"]]
    found = read_tables(workbook(tmp_path / "t.xlsx", rows), TableOptions(label="dx", group="pid"))
    (finding,) = (finding for finding in found.findings if finding.code == "no-patient")
    assert finding.severity == "warning"
    assert "2 of 4 rows without a patient in 'pid', first in line 3" in finding.message
    none = read_tables(tmp_path / "t.xlsx", TableOptions(label="dx"))
    assert "no-patient" not in {finding.code for finding in none.findings}


@pytest.mark.parametrize("others", [[], ["0003,b"]])
def test_a_joined_table_that_lost_zeros_says_so(tmp_path: Path, others: list[str]) -> None:
    for number in (1, 2, 3):
        image(tmp_path / f"{number}.png", number)
    (tmp_path / "list.csv").write_text("image,pid\n1.png,0001\n2.png,0001\n3.png,0003\n")
    (tmp_path / "patients.csv").write_text("\n".join(["pid,dx", "1,a", *others]) + "\n")
    options = TableOptions(label="dx", group="pid", join=(tmp_path / "patients.csv",), join_on="pid")
    hint = "it has '1' for '0001': write both alike, in a spreadsheet as text"
    if not others:
        with pytest.raises(S4miError, match=hint):
            read_tables(tmp_path / "list.csv", options)
        return
    (finding,) = (
        finding for finding in read_tables(tmp_path / "list.csv", options).findings if finding.code == "not-joined"
    )
    assert finding.message == f"2 rows of list.csv not in this table: '0001'; {hint}"


@pytest.mark.parametrize("ending", ["", ".png"])
def test_names_of_images_that_lost_zeros_say_so(tmp_path: Path, ending: str) -> None:
    """Otherwise the message asks for another column or folder, and check takes the table for one of patients."""
    (tmp_path / "P1").mkdir()
    for number in (1, 2):
        image(tmp_path / "P1" / f"000{number}.png", number)
    rows: Cells = [["image", "patient", "dx"], [f"1{ending}" if ending else 1, "P1", "a"], [f"2{ending}", "P1", "b"]]
    table = workbook(tmp_path / "t.xlsx", rows)
    messages = [one.message for one in read_tables(table, TableOptions(label="dx", group="patient")).findings]
    assert "there is a file '0001': store the column as text, with its zeros, in the spreadsheet, or" in messages[0]
    (report,) = check_path(table, duplicates=False)
    assert "missing-image" in {finding.code for finding in report.findings if finding.severity == "error"}
    assert "table-of-patients" not in {finding.code for finding in report.findings}
