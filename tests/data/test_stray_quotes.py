"""A stray quotation mark in a table is reported as such, at its line; cells with line breaks and commas are read."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.manifest import read_manifest
from s4mi.data.sources.read_table import read_table
from s4mi.data.stray_quotes import stray_quote
from s4mi.errors import S4miError

HEADER = "image,label,group,split,note"


def table(folder: Path, *rows: str, header: str = HEADER, end: str = "\n") -> Path:
    (folder / "t.csv").write_text("\n".join((header, *rows)) + end, newline="")
    return folder / "t.csv"


def rows(count: int, **other: str) -> list[str]:
    """Return rows from line 2 on, with the other ones in their lines."""
    usual = {line: f"a{line}.png,x,p{line},train,good" for line in range(2, count + 2)}
    return list((usual | {int(line.removeprefix("line_")): row for line, row in other.items()}).values())


@pytest.mark.parametrize("end", ["\n", "", "\n\n"])
@pytest.mark.parametrize("row", ['"a17.png,x,p,train,good', 'a17.png,"x,p,train,good', 'a17.png,x,p,train,"good'])
def test_an_unclosed_mark_is_reported_at_its_line(tmp_path: Path, row: str, end: str) -> None:
    path = table(tmp_path, *rows(29, line_17=row), end=end)
    with pytest.raises(
        S4miError, match=r"t.csv:17: unclosed quotation mark, so that the 1\d lines from here to the end"
    ):
        read_table(path)


def test_an_unclosed_mark_in_the_last_line_is_reported_too(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"t.csv:9: unclosed quotation mark; remove the mark or close it"):
        read_table(table(tmp_path, *rows(8, line_9='a.png,"x,p,train,good')))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ('a.png,"x,p,train,good', 'b.png,"x,p,train,good'),  # a word follows the mark that closes the first
        ('a.png,x,p,train,"good', 'b.png,x,p,train,good"'),
        ('a.png,"x,p,train,good', 'b.png,x",p,train,good'),  # the joined row has five cells
        ('a.png,x,"p,train,good', 'b.png,x,p,train",good'),
    ],
)
def test_a_mark_that_swallows_rows_is_reported_at_its_line(tmp_path: Path, first: str, last: str) -> None:
    path = table(tmp_path, *rows(29, line_17=first, line_20=last))
    with pytest.raises(
        S4miError, match=r"t.csv:17: unclosed quotation mark, so that lines 17 to 20 are read as one row;"
    ):
        read_table(path)


def test_a_mark_in_the_header_is_reported(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"t.csv:1: unclosed quotation mark"):
        read_table(table(tmp_path, *rows(3), header='image,"label,group,split,note'))


def test_a_row_of_another_length_without_marks_is_reported_as_before(tmp_path: Path) -> None:
    with pytest.raises(
        S4miError, match=r"t.csv:4: 6 cells in the row but 5 in the header; quote cells that contain ','"
    ):
        read_table(table(tmp_path, *rows(5, line_4="a.png,x,p,train,good, or so")))


def test_marks_within_a_cell_are_text(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, *rows(3, line_3='a.png,x,p,train,5" ruler', line_4='b.png,x,p,train,"a ""b"""')))
    assert [record.cells["note"] for record in read.records] == ["good", '5" ruler', 'a "b"']


CELLS = st.text('ab ,"\n', max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_what_is_written_as_csv_is_no_mistake(contents: list[tuple[str, str]]) -> None:
    for cells in contents:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(cells)
        lines = list(io.StringIO(text.getvalue(), newline=""))
        assert not stray_quote(lines, first=1, separator=",", columns=2)
        assert not stray_quote(lines, first=1, separator=",")


@pytest.mark.parametrize(
    ("first", "last"), [('a.png,"x,p,train,good', "b.png,x,p,train,good"), ('a.png,"x,p,train', 'b.png,x",p,train')]
)
def test_a_manifest_reports_a_stray_mark_at_its_line(tmp_path: Path, first: str, last: str) -> None:
    (tmp_path / "dataset.yaml").write_text("name: x\ntasks: [multiclass]\nclasses: [x, y]\n")
    usual = [f"a{line}.png,x,p{line},train" for line in range(2, 9)]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,label,group,split", "", *usual, first, last, ""]))
    for line in range(2, 9):
        (tmp_path / f"a{line}.png").touch()
    manifest, findings = read_manifest(tmp_path)
    assert manifest is not None
    assert len(manifest.rows) == len(usual)
    assert [(one.code, one.location) for one in findings] == [("bad-csv", "manifest.csv:10")]
    assert "unclosed quotation mark" in findings[0].message
