"""A manifest read as columns has the same rows as one read row by row, or is left to that."""

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data.manifest import read_manifest, read_row_by_row
from s4mi.data.manifest_table import read_manifest_table
from s4mi.data.row import COLUMNS
from s4mi.data.spec import DatasetSpec, write_spec

SPEC = DatasetSpec(
    name="drawn", tasks=("multilabel", "segmentation"), classes=("a", "b b"), mask_values={0: "background", 255: "x"}
)
FILES = ("im/1.png", "im/2.png", "im/é.png", "top.png", "m/1.png")
names = st.sampled_from(("one", "two", "drei", " four", "five,5", 'six"6', "", "sié", "a/b"))
files = st.sampled_from(
    (*FILES, "im/3.png", "", "./im/1.png", "im//1.png", "../x.png", " im/2.png", "im", "im/e\u0301.png")
)
labels = st.sampled_from(("", "a", "b b", "a;b b", "b b; a", "none", "c", "a;a"))
cells = st.tuples(
    names, files, st.one_of(st.just(""), files), labels, st.sampled_from(("", "p1", "p2")),
    st.sampled_from(("", "", "train", "val", "test", "dev")),
)  # fmt: skip
ends = st.sampled_from(("\n", "\n", "\r\n", "\n\n"))


def write(folder: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...], end: str) -> None:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    write_spec(folder, SPEC)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator=end)
    writer.writerow(columns)
    writer.writerows([[cell for name, cell in zip(COLUMNS, row, strict=True) if name in columns] for row in rows])
    (folder / "manifest.csv").write_text(table.getvalue(), encoding="utf-8", newline="")


@given(st.lists(cells, min_size=1, max_size=4), st.sampled_from((COLUMNS, COLUMNS, COLUMNS[:2], ("id", "label"))), ends)
@settings(max_examples=60, deadline=None)
def test_a_table_has_the_rows_of_the_manifest_and_a_manifest_with_an_error_has_no_table(
    rows: list[tuple[str, ...]], columns: tuple[str, ...], end: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, rows, columns, end)
        manifest, findings = read_row_by_row(folder)
        table = read_manifest_table(folder)
        if table is not None:
            assert not findings
            assert manifest is not None
            assert tuple(table.rows) == manifest.rows
            assert tuple(table.rows[n] for n in range(len(table.rows))) == manifest.rows
            assert table.spec == manifest.spec
            assert read_manifest(folder) == (manifest, [])
        else:
            assert read_manifest(folder) == (manifest, findings)


def test_plain_manifests_are_read_as_columns(lesions: Path, cells: Path) -> None:
    for folder in (lesions, cells):
        table = read_manifest_table(folder)
        assert table is not None
        by_row, findings = read_row_by_row(folder)
        assert by_row is not None
        assert (table.rows[:], findings) == (by_row.rows, [])


@given(st.lists(st.sampled_from(FILES[:4]), unique=True, min_size=1))
@settings(max_examples=20, deadline=None)
def test_whatever_is_valid_and_plain_has_a_table(images: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [(f"id{n}", image, "m/1.png" if n % 2 else "", "a", f"p{n}", "train") for n, image in enumerate(images)]
        write(folder, rows, COLUMNS, "\n")
        table = read_manifest_table(folder)
        assert table is not None
        by_row, findings = read_row_by_row(folder)
        assert by_row is not None
        assert (tuple(table.rows), findings) == (by_row.rows, [])
