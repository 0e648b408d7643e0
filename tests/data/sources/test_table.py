import os
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from made_workbook import workbook
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.suggest import command_arguments, suggest_options
from s4mi.data.sources.table import find_tables, read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming, FoundDataset
from s4mi.data.sources.write import tasks_of, write_import
from s4mi.errors import S4miError


def source(folder: Path, text: str, *files: str, name: str = "labels.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def labels(found: FoundDataset) -> dict[str, tuple[str, ...] | None]:
    return {row.image.name: row.labels for row in found.rows}


def codes(found: FoundDataset) -> list[tuple[str, str, int | None]]:
    return [(finding.code, finding.file, finding.line) for finding in found.findings]


def test_columns_with_default_names_are_found(tmp_path: Path) -> None:
    text = "image,mask,label,group,split\na.jpg,a.png,x,p1,Train\nb.jpg,,y,p2,validation\nc.jpg,,,,\n"
    found = read_tables(source(tmp_path, text, "images/a.jpg", "images/b.jpg", "c.jpg", "masks/a.png"))
    assert not found.findings
    assert found.classes == ("x", "y")
    assert [
        (
            row.image.relative_to(tmp_path).as_posix(),
            row.mask and row.mask.name,
            row.labels,
            row.group,
            row.split,
            row.line,
        )
        for row in found.rows
    ] == [
        ("images/a.jpg", "a.png", ("x",), "p1", "train", 2),
        ("images/b.jpg", None, ("y",), "p2", "val", 3),
        ("c.jpg", None, None, None, None, 4),
    ]


def test_an_image_and_its_mask_may_have_one_name(tmp_path: Path) -> None:
    found = read_tables(source(tmp_path, "image,mask\na.png,a.png\n", "images/a.png", "masks/a.png"))
    assert found.rows[0].mask == tmp_path / "masks" / "a.png"
    (tmp_path / "masks" / "a.png").rename(tmp_path / "a.png")
    found = read_tables(tmp_path, TableOptions(images=(".",), masks=(".",)))
    assert codes(found) == [("mask-is-image", "labels.csv", 2)]


def test_a_name_without_ending_is_found(tmp_path: Path) -> None:
    found = read_tables(source(tmp_path, "image\nISIC_0000000\nv1.2\n", "images/ISIC_0000000.jpg", "images/v1.2.png"))
    assert [row.image.name for row in found.rows] == ["ISIC_0000000.jpg", "v1.2.png"]


def test_a_missing_column_names_the_nearest_one(tmp_path: Path) -> None:
    source(tmp_path, "image,diagnosis\na.png,x\n", "a.png")
    with pytest.raises(
        S4miError, match=r"labels\.csv:1: no column 'diagnosys' \(.*\); did you mean 'diagnosis'\? .*--label"
    ):
        read_tables(tmp_path, TableOptions(label="diagnosys"))
    with pytest.raises(S4miError, match=r"no column 'eye_N'.*--one-hot"):
        read_tables(tmp_path, TableOptions(one_hot=("eye_N",)))
    with pytest.raises(S4miError, match=r"no column 'image'.*--image"):
        read_tables(source(tmp_path / "other", "file\na.png\n"))


def test_an_option_set_to_nothing_switches_a_column_off(tmp_path: Path) -> None:
    source(tmp_path, "image,label,split\na.png,x,0\nb.png,y,1\n", "a.png", "b.png")
    assert [code for code, _, _ in codes(read_tables(tmp_path))] == ["unknown-split", "unknown-split"]
    found = read_tables(tmp_path, TableOptions(label="", split=""))
    assert labels(found) == {"a.png": None, "b.png": None}
    assert not found.findings


def test_one_label_an_image_is_multiclass_and_several_are_multilabel(tmp_path: Path) -> None:
    names = ("a.png", "b.png", "c.png")
    single = read_tables(source(tmp_path / "1", "image,label\na.png,x\nb.png,y\nc.png,\n", *names))
    several = read_tables(source(tmp_path / "2", "image,label\na.png,x; y\nb.png,y\nc.png,none\n", *names))
    assert tasks_of(single) == ("multiclass",)
    assert tasks_of(several) == ("multilabel",)
    assert labels(several) == {"a.png": ("x", "y"), "b.png": ("y",), "c.png": ()}
    assert tasks_of(read_tables(tmp_path / "1", TableOptions(multilabel=True))) == ("multilabel",)


def test_none_in_a_column_of_single_labels_needs_multilabel(tmp_path: Path) -> None:
    source(tmp_path, "image,label\na.png,x\nb.png,none\n", "a.png", "b.png")
    assert codes(read_tables(tmp_path)) == [("label-none", "labels.csv", 3)]
    assert labels(read_tables(tmp_path, TableOptions(multilabel=True))) == {"a.png": ("x",), "b.png": ()}


def test_a_column_with_only_one_label_is_refused_with_a_hint(tmp_path: Path) -> None:
    found = read_tables(source(tmp_path, "image,label\na.png,x\n", "a.png"))
    assert "--label ''" in found.findings[0].message


def test_one_hot_rows_become_labels_and_all_zero_is_annotated_with_no_class(tmp_path: Path) -> None:
    text = "image,eye_N,eye_D\na.png,1,0\nb.png,1.0,True\nc.png,0,0.0\nd.png,,\n"
    options = TableOptions(one_hot=("eye_N", "eye_D"), one_hot_prefix="eye_")
    found = read_tables(source(tmp_path, text, "a.png", "b.png", "c.png", "d.png"), options)
    assert found.classes == ("N", "D")
    assert labels(found) == {"a.png": ("N",), "b.png": ("N", "D"), "c.png": (), "d.png": None}
    assert tasks_of(found) == ("multilabel",)


def test_one_hot_with_exactly_one_each_is_multiclass(tmp_path: Path) -> None:
    source(tmp_path, "image,n,d\na.png,1,0\nb.png,0,1\n", "a.png", "b.png")
    assert tasks_of(read_tables(tmp_path, TableOptions(one_hot=("n", "d")))) == ("multiclass",)


@pytest.mark.parametrize("value", ["-1", "0.5", "", "x"])
def test_a_one_hot_cell_that_is_neither_zero_nor_one_is_named(tmp_path: Path, value: str) -> None:
    source(tmp_path, f"image,n,d\na.png,1,0\nb.png,1,{value}\n", "a.png", "b.png")
    found = read_tables(tmp_path, TableOptions(one_hot=("n", "d")))
    assert codes(found) == [("one-hot", "labels.csv", 3)]
    assert repr(value) in found.findings[0].message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(table=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_one_hot_columns_and_joined_labels_are_equivalent(tmp_path: Path, table: list[list[bool]]) -> None:
    names = ("x", "y", "z")
    files = [f"{number}.png" for number in range(len(table))]
    hot = "image,x,y,z\n" + "".join(
        f"{f},{','.join(str(int(v)) for v in row)}\n" for f, row in zip(files, table, strict=True)
    )
    joined = "image,label\n" + "".join(
        f"{f},{';'.join(name for name, v in zip(names, row, strict=True) if v) or 'none'}\n"
        for f, row in zip(files, table, strict=True)
    )
    one = read_tables(source(tmp_path / "hot", hot, *files), TableOptions(one_hot=names, multilabel=True))
    other = read_tables(source(tmp_path / "joined", joined, *files), TableOptions(multilabel=True))
    assert labels(one) == labels(other)


def test_a_table_each_in_train_val_and_test_is_an_official_split(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("validation", "b"), ("test", "c")):
        source(tmp_path / part, f"image,label\n{name}.png,{name}\n", f"images/{name}.png")
    found = read_tables(tmp_path)
    assert {row.image.relative_to(tmp_path).as_posix(): row.split for row in found.rows} == {
        "train/images/a.png": "train", "validation/images/b.png": "val", "test/images/c.png": "test",
    }  # fmt: skip


def test_a_folder_with_two_tables_is_ambiguous(tmp_path: Path) -> None:
    source(tmp_path, "image\na.png\n", "a.png", name="one.csv")
    source(tmp_path, "image\na.png\n", name="two.csv")
    with pytest.raises(S4miError, match=r"contains 2 tables \(one\.csv, two\.csv\)"):
        find_tables(tmp_path)
    assert len(read_tables(tmp_path / "one.csv").rows) == 1


def test_errors_of_rows_have_their_line(tmp_path: Path) -> None:
    text = 'image,label,split\na.png,"x\nof two lines",\n\n,y,\nmissing.png,x,\na.png,y,\nb.png,x,trian\nc.png,;,\n'
    found = read_tables(source(tmp_path, text, "a.png", "b.png", "c.png"))
    assert codes(found) == [
        ("no-image", "labels.csv", 5),
        ("missing-image", "labels.csv", 6),
        ("image-twice", "labels.csv", 7),
        ("unknown-split", "labels.csv", 8),
        ("no-label", "labels.csv", 9),
    ]
    assert "already in line 2" in found.findings[2].message


def test_a_missing_file_stops_the_import_unless_such_rows_are_skipped(tmp_path: Path) -> None:
    source(tmp_path / "s", "image\na.png\nb.png\nc.png\n")
    Image.new("L", (3, 3)).save(tmp_path / "s" / "a.png")
    found = read_tables(tmp_path / "s")
    with pytest.raises(S4miError, match=r"labels\.csv:3: image 'b\.png' .* \(and 1 more"):
        write_import(found, tmp_path / "out", naming=DatasetNaming("x"))
    write_import(found, tmp_path / "out", naming=DatasetNaming("x"), options=ImportOptions(skip_missing=True))
    assert [row.id for row in load_manifest(tmp_path / "out").rows] == ["a"]


def test_a_data_set_may_lie_beside_its_table_but_not_among_the_images(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (number, 9, 9)).save(tmp_path / "pictures" / f"{name}.png")
    table = tmp_path / "labels.csv"
    table.write_text(f"image,label\na,x\n{tmp_path / 'pictures' / 'b.png'},y\n", encoding="utf-8")
    options = TableOptions(images=("pictures",))
    written = write_import(read_tables(table, options), tmp_path / "ds" / "mine", naming=DatasetNaming("mine"))
    assert [row.image for row in load_manifest(written.folder).rows] == [row.image for row in written.rows]
    for source_, out in ((table, tmp_path / "pictures" / "ds"), (table, tmp_path), (tmp_path, tmp_path / "other")):
        with pytest.raises(S4miError, match="inside the source, which is never modified"):
            write_import(read_tables(source_, options), out, naming=DatasetNaming("mine"))


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t")])
def test_separators_of_all_spreadsheets_are_understood(tmp_path: Path, name: str, separator: str) -> None:
    text = "image,label\na.png,x\n".replace(",", separator)
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    table = read_table(tmp_path / name)
    assert table.columns == ("image", "label")
    assert [(record.line, dict(record.cells)) for record in table.records] == [(2, {"image": "a.png", "label": "x"})]


def test_a_parquet_file_reads_like_the_csv_of_the_same_table(tmp_path: Path) -> None:
    frame = polars.DataFrame(
        {"image": ["a", "b"], "n": [1, 0], "p": [1.0, None], "q": [True, False], "label": [["x", "y"], []]}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("image,n,p,q,label\na,1,1,1,x;y\nb,0,,0,none\n")
    parquet, text = read_table(tmp_path / "t.parquet"), read_table(tmp_path / "t.csv")
    assert (parquet.columns, parquet.records) == (text.columns, text.records)


def test_an_excel_sheet_reads_like_the_csv_of_the_same_table(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    workbook(tmp_path / "t.xlsx", [["image", "n", "label"], ["a", 1, "x;y"], ["b", None, "none"], ["c", 0.5, "x"]])
    (tmp_path / "t.csv").write_text("image,n,label\na,1,x;y\nb,,none\nc,0.5,x\n")
    excel, text = read_table(tmp_path / "t.xlsx"), read_table(tmp_path / "t.csv")
    assert (excel.columns, excel.records) == (text.columns, text.records)


def test_excel_without_its_reader_names_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    (tmp_path / "t.xlsx").touch()
    with pytest.raises(S4miError, match=r"pip install 's4mi\[excel\]'"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is empty"),
        (b"image,label\n", "has columns but no rows"),
        (b"image,image\na,b\n", "two columns are named 'image'"),
        (b"image,label\na\n", r"t\.csv:2: 1 cell in the row but 2 in the header"),
        (b"image\n\xff\n", "not UTF-8"),
        (b'image\n"' + b"x" * 200_000, "t.csv:2: .*unclosed quotation mark"),
    ],
)
def test_an_invalid_table_is_refused_in_one_line(tmp_path: Path, contents: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(contents)
    with pytest.raises(S4miError, match=words):
        read_table(tmp_path / "t.csv")


def test_other_files_are_refused_as_tables(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    (tmp_path / "t.docx").touch()
    for name, words in (
        ("t.parquet", "cannot be read"),
        ("t.docx", "not a supported table"),
        ("none.csv", "file not found"),
    ):
        with pytest.raises(S4miError, match=words):
            read_table(tmp_path / name)


def test_proposed_options_prefer_usual_names_and_omit_defaults(tmp_path: Path) -> None:
    source(tmp_path, "image,mask,dx,white,red,patient_id,split\na.png,,x,0,1,p,train\n", "a.png")
    options = suggest_options(read_table(tmp_path / "labels.csv"))
    assert command_arguments(options) == ["--label", "dx", "--group", "patient_id"]


@pytest.mark.real
@pytest.mark.skipif("S4MI_DATA" not in os.environ, reason="S4MI_DATA names no folder of real images")
def test_real_isic2017_keeps_its_official_split(tmp_path: Path) -> None:
    found = read_tables(Path(os.environ["S4MI_DATA"]) / "isic2017")
    assert {part: sum(row.split == part for row in found.rows) for part in ("train", "val", "test")} == {
        "train": 2000, "val": 150, "test": 600,
    }  # fmt: skip
    assert tasks_of(found) == ("multiclass", "segmentation")
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("isic2017", foreground="lesion"))
    assert written.spec.mask_values == {0: "background", 255: "lesion"}
    assert not written.findings
    assert np.bincount([written.spec.classes.index(row.labels[0]) for row in written.rows if row.labels]).tolist() == [
        521, 1843, 386
    ]  # fmt: skip
