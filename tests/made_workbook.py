"""Small Excel files (XLSX) for tests, from their XML."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

OFFICE = "http://schemas.openxmlformats.org"
MAIN, KIND = f"{OFFICE}/spreadsheetml/2006/main", f"{OFFICE}/officeDocument/2006/relationships"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"

Cells = Sequence[Sequence[str | float | None]]


def workbook(path: Path, rows: Cells, *, shared: bool = False) -> Path:
    """Write the least that is an Excel file: one sheet with text and numbers.

    Args:
        shared: whether texts are in a table of their own, as spreadsheet programs write them.
    """
    write_parts(path, parts_of(rows, shared=shared))
    return path


def write_parts(file: Path | BinaryIO, parts: Mapping[str, str]) -> None:
    """Write the files in an archive."""
    with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text.encode("utf-8", "surrogatepass"))


def parts_of(rows: Cells, *, shared: bool = False) -> dict[str, str]:
    """Return the files of an archive, by name."""
    texts = list(dict.fromkeys(value for row in rows for value in row if isinstance(value, str)))

    def cell(value: str | float | None, place: str) -> str:
        if value is None:
            return ""
        if isinstance(value, str) and shared:
            return f'<c r="{place}" t="s"><v>{texts.index(value)}</v></c>'
        if isinstance(value, str):
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f'<c r="{place}"><v>{value}</v></c>'

    lines = [
        f'<row r="{y}">' + "".join(cell(value, f"{chr(65 + x)}{y}") for x, value in enumerate(row)) + "</row>"
        for y, row in enumerate(rows, start=1)
    ]
    relations = f"{OFFICE}/package/2006/relationships"
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    area = f"A1:{chr(64 + max(map(len, rows)))}{len(rows)}"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{OFFICE}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{content}.sheet.main+xml"/>'
        f'<Override PartName="/{SHEET}" ContentType="{content}.worksheet+xml"/>'
        + (f'<Override PartName="/{STRINGS}" ContentType="{content}.sharedStrings+xml"/>' if shared else "")
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{relations}">'
        f'<Relationship Id="r1" Type="{KIND}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{KIND}"><sheets>'
        '<sheet name="labels" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}">'
        f'<Relationship Id="r1" Type="{KIND}/worksheet" Target="worksheets/sheet1.xml"/>'
        + (f'<Relationship Id="r2" Type="{KIND}/sharedStrings" Target="sharedStrings.xml"/>' if shared else "")
        + "</Relationships>",
        SHEET: f'<worksheet xmlns="{MAIN}"><dimension ref="{area}"/><sheetData>{"".join(lines)}</sheetData>'
        "</worksheet>",
    }
    if shared:
        items = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        parts[STRINGS] = f'<sst xmlns="{MAIN}" count="{len(texts)}" uniqueCount="{len(texts)}">{items}</sst>'
    return {name: HEAD + text for name, text in parts.items()}
