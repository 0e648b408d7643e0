"""A spreadsheet that is damaged, or whose cells its reader would take for something else, is refused in one line."""

import zipfile
from pathlib import Path

import pytest

from made_workbook import HEAD, SHEET, STRINGS, parts_of, workbook, write_parts
from s4mi.data.sources.read_table import read_table
from s4mi.errors import S4miError

pytest.importorskip("fastexcel")
ROWS = [["image", "n", "label"], ["a", 1, "x"], ["b", 2, "y"], ["c", 3, "x"]]
LABEL, NUMBER = '<c r="C3" t="s"><v>6</v></c>', '<c r="B3"><v>2</v></c>'


def damaged(path: Path, old: str, new: str, part: str = SHEET) -> Path:
    parts = parts_of(ROWS, shared=True)
    assert old in parts[part]
    write_parts(path / "t.xlsx", {**parts, part: parts[part].replace(old, new)})
    return path / "t.xlsx"


def test_a_sound_sheet_is_read(tmp_path: Path) -> None:
    table = read_table(damaged(tmp_path, LABEL, LABEL))
    assert [list(row.cells.values()) for row in table.records] == [["a", "1", "x"], ["b", "2", "y"], ["c", "3", "x"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (LABEL, '<c r="C3" t="e"><v>#REF!</v></c>', "cell C3 holds the error #REF!; correct it"),
        (LABEL, '<c r="C3"><f>A1</f></c>', "cell C3 holds a formula without its value; open and save it"),
        (LABEL, '<c r="C3" t="s"><v>-1</v></c>', "cell C3: '-1' is no number of a text"),
        (LABEL, '<c r="XFD1048576" t="s"><v>6</v></c>', "cell XFD1048576 is far from the others.*17,179,869,184 cells"),
        (LABEL, '<c r="ZZZZZZZZ3" t="s"><v>6</v></c>', "'ZZZZZZZZ3' is no cell"),
        (LABEL, '<c r="A3" t="s"><v>6</v></c>', "cell A3 is there twice"),
        ('<row r="4">', '<row r="3">', "row 3 is there twice"),
        (NUMBER, '<c r="B3"><v>NaN</v></c>', "cell B3: 'NaN' is no number"),
        (NUMBER, '<c r="B3"><v>1e999</v></c>', "cell B3: '1e999' is no number"),
        ("</sheetData></worksheet>", "", "no element found"),
        (HEAD, HEAD + "<!DOCTYPE a []>", "has a document type"),
    ],
)
def test_a_damaged_sheet_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(S4miError, match=f"^{tmp_path}/t.xlsx: .*{message}") as caught:
        read_table(damaged(tmp_path, old, new))
    assert "\n" not in str(caught.value)


def test_a_sheet_whose_bytes_differ_from_their_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_STORED) as archive:
        for name, text in parts_of(ROWS, shared=True).items():
            archive.writestr(name, text)
    contents = path.read_bytes()
    path.write_bytes(contents.replace(b"<si><t>y</t></si>", b"<si><t>z</t></si>"))
    with pytest.raises(S4miError, match=f"Bad CRC-32 for file '{STRINGS}'"):
        read_table(path)


def test_errors_in_other_sheets_do_not_matter(tmp_path: Path) -> None:
    parts = parts_of(ROWS)
    parts["xl/worksheets/sheet2.xml"] = parts[SHEET].replace('<c r="B3">', '<c r="B3" t="e">')
    write_parts(tmp_path / "t.xlsx", parts)
    assert len(read_table(tmp_path / "t.xlsx").records) == 3


def test_texts_after_many_numbers_are_not_lost(tmp_path: Path) -> None:
    rows = [["image", "label"], *([f"a{n}", 1 if n < 1200 else "x"] for n in range(1300))]
    table = read_table(workbook(tmp_path / "t.xlsx", rows))
    assert [row.cells["label"] for row in table.records] == ["1"] * 1200 + ["x"] * 100


def test_an_empty_column_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = workbook(tmp_path / "t.xlsx", [["image", "note", "label"], ["a", None, "x"], ["b", None, "y"]])
    assert [row.cells["note"] for row in read_table(path).records] == ["", ""]
    assert caplog.records == []
