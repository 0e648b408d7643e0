"""Damage spreadsheets (XLSX) by seed: their bytes, the archive, the XML, single cells."""

import io
import random
import re
import zipfile
from collections.abc import Sequence

from damage import WORDS, damaged_bytes, damaged_text

from made_workbook import HEAD, SHEET, STRINGS, parts_of, write_parts

CELL = re.compile(r"<c r=[^>]*>.*?</c>")
CELLS = (
    ('t="e"', "#REF!", True), ('t="s"', "99999", True), ('t="s"', "-1", True), ('t="s"', "x", True),
    ('t="s"', "9" * 5000, True), ('t="zz"', "1", True), ("", "NaN", True), ("", "1e999", True), ("", "", False),
    ("", "9" * 5000, True), ('t="b"', "7", False), ('t="d"', "2001-99-99", False), ('t="str"', "x" * 5000, False),
    ('t="str"', "../../etc/passwd", False), ('s="9999999"', "1", False), ('t="n"', "-0", False),
)  # fmt: skip
"""Types and values of a cell, and whether no reading of it is right."""
PLACES = ("XFD1048576", "A1048576", "ZZZZZZ1", "A0", "0", "", "A99999999999", "1A", "AAAA1")
FAR = ("XFD1048576", "ZZZZZZ1", "A0", "0", "", "A99999999999", "1A", "AAAA1")
"""Places that no cell has, or so far that the area does not fit in memory."""


def damaged_workbook(rows: Sequence[Sequence[str]], rng: random.Random) -> tuple[bytes, str, bool]:
    """Return a damaged spreadsheet of these rows, what is wrong with it, and whether it must be refused."""
    parts = parts_of(rows, shared=rng.random() < 0.7)
    how = rng.choice(("bytes", "bytes", "archive", "archive", "xml", "xml", "cell", "cell", "cell", "place"))
    if how == "bytes":
        return (*damaged_bytes(_packed(parts), rng), False)
    if how == "archive":
        return _damaged_archive(parts, rng)
    name = rng.choice(sorted(parts)) if how == "xml" else SHEET
    if how == "xml":
        text, what = damaged_text(parts[name].replace(">", ">\n"), rng)
        return _packed({**parts, name: text}), f"{name} {what}", False
    cells = list(CELL.finditer(parts[SHEET]))
    found = rng.choice(cells)
    place = re.search(r'r="(\w+)"', found[0])
    assert place is not None
    if how == "place":
        other = rng.choice((*PLACES, rng.choice(cells)[0].split('"')[1]))
        refused = other in FAR or (other != place[1] and any(f'r="{other}"' in cell[0] for cell in cells))
        made, what = found[0].replace(f'r="{place[1]}"', f'r="{other}"'), f"{place[1]} at {other[:20]}"
    elif rng.random() < 0.15:
        made, what, refused = f'<c r="{place[1]}"><f>A1</f></c>', f"{place[1]} a formula without value", True
    else:
        kind, value, refused = rng.choice(CELLS)
        made, what = f'<c r="{place[1]}" {kind}><v>{value}</v></c>', f"{place[1]} {kind} {value[:20]}"
    text = parts[SHEET][: found.start()] + made + parts[SHEET][found.end() :]
    return _packed({**parts, SHEET: text}), what, refused


def _damaged_archive(parts: dict[str, str], rng: random.Random) -> tuple[bytes, str, bool]:
    name = rng.choice(sorted(parts))
    how = rng.choice(("lost", "renamed", "cut", "other", "checksum", "type", "many", "word"))
    if how == "lost":
        return _packed({key: text for key, text in parts.items() if key != name}), f"without {name}", name == SHEET
    if how == "renamed":
        other = rng.choice(("../x.xml", "/etc/x", name.upper(), "x" * 300))
        return (
            _packed({other if key == name else key: text for key, text in parts.items()}),
            f"{name} {other[:9]}",
            False,
        )
    if how == "cut":
        text = parts[name]
        return _packed({**parts, name: text[: rng.randrange(len(HEAD), len(text) - 1)]}), f"{name} cut", True
    if how == "other":
        other = rng.choice(sorted(parts))
        return _packed({**parts, name: parts[other]}), f"{other} as {name}", name == SHEET != other
    if how == "type":
        return (
            _packed({**parts, name: HEAD + '<!DOCTYPE a [<!ENTITY a "aaaa">]>' + parts[name][len(HEAD) :]}),
            how,
            True,
        )
    if how == "many":
        text = parts[SHEET].replace("</sheetData>", '<row r="1000"/>' * 100_000 + "</sheetData>")
        return _packed({**parts, SHEET: text}), "many rows", False
    if how == "word":
        word = rng.choice(WORDS)
        part = STRINGS if STRINGS in parts else SHEET
        return (
            _packed({**parts, part: re.sub(r"(?<=<t>)[^<]*", lambda _: word, parts[part], count=1)}),
            word[:20],
            False,
        )
    data = bytearray(_packed(parts, compressed=False))
    at = data.find(parts[SHEET].encode()) + rng.randrange(len(HEAD), len(parts[SHEET]))
    data[at] ^= 1 << rng.randrange(7)
    return bytes(data), "a wrong checksum", True


def _packed(parts: dict[str, str], *, compressed: bool = True) -> bytes:
    file = io.BytesIO()
    if compressed:
        write_parts(file, parts)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            for name, text in parts.items():
                archive.writestr(name, text)
    return file.getvalue()
