"""Tables as spreadsheets and hospital systems export them: encodings, and a title above the column names."""

from pathlib import Path

import pytest
from PIL import Image

from made_workbook import workbook
from s4mi.data.sources.read_table import known_encoding, read_table
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
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


@pytest.mark.parametrize(("encoding", "name"), [("windows-1252", "Nävus"), ("shift_jis", "母斑"), ("cp1251", "невус")])
def test_a_named_encoding_is_read_and_errors_say_how_to_name_it(tmp_path: Path, encoding: str, name: str) -> None:
    (tmp_path / "t.csv").write_bytes(f"image;label\na.png;{name}\n".encode(encoding))
    with pytest.raises(S4miError, match=r"t\.csv:2: not UTF-8 .* or import it with --encoding windows-1252$"):
        read_tables(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv", encoding=encoding).records[0].cells["label"] == name


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_in_utf_8_is_read_as_such_whatever_encoding_is_named(tmp_path: Path, mark: str) -> None:
    (tmp_path / "t.csv").write_text(f"{mark}image;label\na.png;Nävus\n", encoding="utf-8")
    assert read_table(tmp_path / "t.csv", encoding="windows-1252").records[0].cells == {
        "image": "a.png",
        "label": "Nävus",
    }


def test_a_wrong_or_unknown_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("image;label\na.png;Nävus\n".encode("cp1252"))
    with pytest.raises(
        S4miError, match=r"t\.csv:2: not ascii \(byte 19: 0xE4\); correct --encoding, or save it as UTF-8"
    ):
        read_table(tmp_path / "t.csv", encoding="ascii", option="--encoding")
    for name in ("windows-125", "hex"):
        with pytest.raises(S4miError, match=rf"--encoding '{name}': unknown encoding; name one such as windows-1252"):
            known_encoding(name)
    assert [known_encoding(name) for name in ("", "latin-1")] == ["", "latin-1"]


def test_joined_tables_are_read_in_the_named_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label\na.png,x\nb.png,Größe\n", encoding="utf-8")
    (tmp_path / "patients.csv").write_bytes("image,group\na.png,Müller\nb.png,Maier\n".encode("cp1252"))
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    options = TableOptions(join=(tmp_path / "patients.csv",), encoding="windows-1252")
    rows = read_tables(tmp_path / "t.csv", options).rows
    assert [(row.group, row.labels) for row in rows] == [("Müller", ("x",)), ("Maier", ("Größe",))]


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
