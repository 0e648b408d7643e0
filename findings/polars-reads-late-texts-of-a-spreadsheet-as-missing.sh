#!/usr/bin/env bash
# Packages: polars 2.1.0, fastexcel 0.21.0, openpyxl 3.1.5, pandas 3.0.5; Python 3.11.
#
# Tables of labels come as spreadsheets, and a column of one is often mixed: numbers of patients of which later ones got
# a letter ("1873b"), grades 0 to 3 with a "not assessable" at the end. `polars.read_excel` decides on the type of a
# column by its first 1,000 rows. A text that comes later does not raise, as it does in `polars.read_csv`, and does not
# make the column text: it is null, as if the cell were empty, and no warning says so. A row loses its label or its
# patient. Cells with an error (#REF!, #N/A) are null as well. `infer_schema_length=None`, or a type for the column
# (`schema_overrides={"patient": polars.String}`), reads the texts; pandas with openpyxl reads them too, and keeps the
# text of an error.
#
# Seen: of 1,200 patients in numbers and 300 with a letter, polars reads 1,200 and 300 null; 1,500 with
# infer_schema_length=None; pandas 1,500. A CSV file of the same table: ComputeError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet polars==2.1.0 fastexcel==0.21.0 openpyxl==3.1.5 pandas==3.0.5 pyarrow
cd "$work"
"$work/venv/bin/python" -W error - <<'PYTHON'
import openpyxl
import pandas
import polars

NUMBERS, LETTERS = 1200, 300

book = openpyxl.Workbook()
book.active.append(["image", "patient"])
for n in range(NUMBERS + LETTERS):
    book.active.append([f"{n}.png", n if n < NUMBERS else f"{n}b"])
book.save("patients.xlsx")

read = polars.read_excel("patients.xlsx")
print(f"polars: {read.height} rows, {read['patient'].null_count()} without a patient, column of {read['patient'].dtype}")
assert read.height == NUMBERS + LETTERS and read["patient"].null_count() == LETTERS
whole = polars.read_excel("patients.xlsx", infer_schema_length=None)["patient"]
print(f"polars, infer_schema_length=None: {whole.null_count()} without, column of {whole.dtype}")
assert whole.null_count() == 0
other = pandas.read_excel("patients.xlsx")["patient"]
print(f"pandas: {int(other.isna().sum())} without")
assert other.isna().sum() == 0

whole.to_frame().write_csv("patients.csv")
try:
    polars.read_csv("patients.csv")
except polars.exceptions.ComputeError as error:
    print(f"polars, CSV: {type(error).__name__}")
else:
    raise AssertionError("the CSV file was read")

book = openpyxl.Workbook()
for row in (["image", "grade"], ["1.png", "#REF!"], ["2.png", "high"]):
    book.active.append(row)
book.save("grades.xlsx")
grades = polars.read_excel("grades.xlsx")["grade"].to_list()
print(f"a cell with an error: {grades}")
assert grades == [None, "high"]
PYTHON
