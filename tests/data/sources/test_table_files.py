"""Tables as spreadsheets and hospital systems export them: encodings, and a title above the column names."""

from pathlib import Path

import pytest

from made_workbook import workbook
from s4mi.data.sources.read_table import read_table
from s4mi.errors import S4miError

ROWS = "image;Größe;label\na.png;0,5;x\nb.png;1,5;y\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_in_utf_16_reads_like_that_in_utf_8(tmp_path: Path, encoding: str, ending: str) -> None:
    (tmp_path / "plain.csv").write_text(ROWS, encoding="utf-8")
    text = ("\ufeff" if encoding.endswith("e") else "") + ROWS.replace("\n", ending)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    one, other = read_table(tmp_path / "t.csv"), read_table(tmp_path / "plain.csv")
    assert (one.columns, one.records) == (other.columns, other.records)


def test_another_encoding_is_refused_with_its_line_and_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("image;label\na.png;x\nb.png;Nävus\n".encode("cp1252"))
    with pytest.raises(S4miError, match=r't\.csv:3: not UTF-8 \(byte 27: 0xE4\); .*"CSV UTF-8".*iconv'):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfei")
    with pytest.raises(S4miError, match=r"t\.csv: not valid UTF-16 \(byte 2\)"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("title", ["Clinic", "Clinic;;", "Clinic, export of 3.2.2024", "Clinic\n", '"Clinic"'])
def test_a_title_above_the_column_names_is_refused_as_such(tmp_path: Path, title: str) -> None:
    (tmp_path / "t.csv").write_text(f"{title}\n{ROWS}", encoding="utf-8")
    line = 2 + title.count("\n")
    with pytest.raises(S4miError, match=rf"t\.csv:1: 'Clinic.*' is not the column names; .* in line {line}\)"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text", ["image\na\nb\n", "image,label\na,x\n", "image,label,x\na,y,z\n", "image,label\na,x;y;z\n"]
)
def test_a_table_without_a_title_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert read_table(tmp_path / "t.csv").columns[0] == "image"


def test_a_title_in_a_sheet_is_refused_as_such(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    workbook(tmp_path / "t.xlsx", [["Clinic", None, None], ["image", "n", "label"], ["a", 1, "x"]])
    with pytest.raises(S4miError, match=r"t\.xlsx:1: 'Clinic' is not the column names; .*3 columns"):
        read_table(tmp_path / "t.xlsx")
