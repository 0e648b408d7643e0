"""Damage bytes, texts and JSON by seed."""

import random
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORDS = (
    "2001-99-99", "0b_", "9" * 5000, "&a [*a]", "[" * 3000, "a\x00b", "x" * 5000, ".nan", ".inf", "-1", "0", "1e999",
    str(2**63), str(2**200), "[]", "{}", "null", "~", "true", "''", "'\"", "!!python/object:os.system x", "\ud800",
    "&x {a: *x}", "é" * 300, "../../etc/passwd", "/dev/null", "/", ".", "*", "<<: *a", "%", "1,2", "nan,nan,nan",
    "&a [1,2]\nb: [*a,*a]", "!!binary abc", "!!set {a}", "0x", "1_000", "1:30:00", "@", "`", "\t", "? [a]\n: b",
    "9999999", "-0", "0o9", "+.inf", "[1, 2, 3, 4]", "{name: x}", "100%", "no", "yes",
)  # fmt: skip
NUMBERS = ("-1", "0", "1e308", "NaN", "Infinity", "null", '"x"', "[]", "{}", "true", "9" * 5000, str(2**63), "1e-400")


@dataclass(frozen=True)
class Mutant:
    """A damaged input in a folder of its own, and the command line that reads it.

    Attributes:
        refused: whether it must end in an error, because no reading of it is right.
        large: pixels above which a page is read in bands, if not as many as usual.
        act: reads it and returns an exit status, if no command line does.
    """

    kind: str
    what: str
    words: tuple[str, ...]
    refused: bool = False
    large: int = 0
    act: Callable[[], int] | None = None


def damaged_bytes(contents: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Damage bytes: cut, flip, insert, repeat, blank."""
    how = rng.choice(("cut", "flip", "insert", "blank", "double", "head", "number"))
    place = rng.randrange(max(1, len(contents)))
    if rng.random() < 0.5:
        place = rng.randrange(max(1, min(512, len(contents))))
    data = bytearray(contents)
    if how == "cut":
        data = data[:place]
    elif how == "flip":
        for _ in range(rng.choice((1, 1, 4, 64))):
            data[rng.randrange(max(1, min(len(data), place + 64)))] ^= 1 << rng.randrange(8)
    elif how == "insert":
        data[place:place] = rng.randbytes(rng.choice((1, 8, 300)))
    elif how == "blank":
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    elif how == "double":
        data = data + data
    elif how == "head":
        data = data[place:]
    else:
        data[place : place + 4] = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 65536)))[
            : len(data) - place
        ]
    return bytes(data), f"{how} at {place}"


def damaged_text(text: str, rng: random.Random) -> tuple[str, str]:
    """Damage a text of keys and values: other values, lost and doubled lines, lost characters."""
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    how = rng.choice(("value", "value", "value", "drop", "double", "character", "key"))
    if how == "value":
        word = rng.choice(WORDS)
        values = list(re.finditer(r"(?<=[:,=] )[^,}\n]+|(?<=[:,=])[^,}\s]+", lines[number]))
        if values:
            found = rng.choice(values)
            lines[number] = lines[number][: found.start()] + word + lines[number][found.end() :]
        else:
            lines[number] = word
        how = f"value {word[:20]!r}"
    elif how == "drop":
        del lines[number]
    elif how == "double":
        lines.insert(number, lines[number])
    elif how == "key":
        lines.insert(number, f"{rng.choice(WORDS)}: 1")
    elif lines[number]:
        at = rng.randrange(len(lines[number]))
        lines[number] = (
            lines[number][:at] + rng.choice(("", ":", "[", '"', "\x00", "\ufeff", ",")) + lines[number][at + 1 :]
        )
    return "\n".join(lines) + "\n", f"line {number + 1}: {how}"


def damaged_json(text: str, rng: random.Random) -> tuple[str, str]:
    """Damage JSON: other values and types, lost keys, deep nesting, or as any text."""
    if rng.random() < 0.2:
        return damaged_text(text, rng)
    if rng.random() < 0.1:
        return "[" * 100_000, "nested"
    places = list(re.finditer(r'(?<=: )("[^"]*"|-?[\d.]+(?:e-?\d+)?|true|false|null)', text))
    if not places:
        return damaged_text(text, rng)
    at, word = rng.choice(places), rng.choice((*NUMBERS, '"\\ud800"', '"' + "x" * 5000 + '"', '"../x"'))
    return text[: at.start()] + word + text[at.end() :], f"{text[max(0, at.start() - 25) : at.start()]!r} = {word[:20]}"


def write_text(path: Path, text: str) -> None:
    """Write a text that may hold what is no text."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def damaged_image(sources: Path, base: Path, here: Path, rng: random.Random) -> tuple[Path, Path, str]:
    """Put a damaged image of a folder beside a sound one; return their folder, its source and what was done to it."""
    source = rng.choice(sorted(sources.iterdir()))
    contents, what = damaged_bytes(source.read_bytes(), rng)
    folder = here / "in"
    folder.mkdir()
    (folder / source.name).write_bytes(contents)
    shutil.copyfile(base / "data" / "images" / "lesion_0000.png", folder / "sound.png")
    return folder, source, what
