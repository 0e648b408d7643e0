"""Damaged tables: CSV, TSV, Parquet and spreadsheets (XLSX) of images, of labels, to be joined; lists of a split."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from damage import Mutant, damaged_bytes, damaged_text, write_text
from damaged_workbook import damaged_workbook


def tables(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Tables of images and their labels."""
    suffix = rng.choice(("csv", "tsv", "parquet"))
    file = here / f"photos.{suffix}"
    what = _write(file, base / "photos.csv", rng)[0]
    return Mutant(f"table .{suffix}", what, _reads_images(base, here, file, rng))


def spreadsheets(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Spreadsheets wherever a table is read."""
    role = rng.choice(("images", "images", "labels", "joined", "stacks"))
    sources = {"images": "photos.csv", "labels": "labels.csv", "stacks": "layouts/stacks/labels.csv"}
    file = here / f"{role}.{rng.choice(('xlsx', 'xlsx', 'xlsx', 'xls'))}"
    if role == "joined":
        names = [line.split(",")[0] for line in (base / "photos.csv").read_text().splitlines()]
        joined = here / "joined.csv"
        joined.write_text("\n".join(f"{name},p{n % 4}" if n else f"{name},patient" for n, name in enumerate(names)))
        what, refused = _write(file, joined, rng)
        shutil.copyfile(base / "photos.csv", here / "photos.csv")
        words = (*_reads_images(base, here, here / "photos.csv", rng, check=False), "--join", str(file), "--group",
                 "patient")  # fmt: skip
    else:
        what, refused = _write(file, base / sources[role], rng)
        words = _reads_images(base, here, file, rng)
    if role == "labels":
        shutil.copytree(base / "open", here / "open")
        words = ("data", "merge", str(here / "open"), str(file))
    elif role == "stacks":
        words = ("data", "import", "dermatomyositis", str(base / "layouts" / "stacks"), "--labels", str(file), "-o",
                 str(here / "set"))  # fmt: skip
    return Mutant("table .xlsx", f"{role}: {what}", words, refused)


def lists(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Lists of the parts of a split, and tables of labels to be merged."""
    if rng.random() < 0.5:
        names = [path.name for path in sorted((base / "photos").rglob("*.png"))]
        file = here / "train.txt"
        text, what = damaged_text("\n".join(names[: len(names) // 2]) + "\n", rng)
        write_text(file, text)
        words = ("data", "import", "folder", str(base / "photos"), "-o", str(here / "set"), "--split-list", str(file))
        return Mutant("split list", what, words)
    shutil.copytree(base / "open", here / "open")
    file = here / f"labels.{rng.choice(('tsv', 'parquet'))}"
    what = _write(file, base / "labels.csv", rng)[0]
    return Mutant(f"labels {file.suffix}", what, ("data", "merge", str(here / "open"), str(file), "--replace"))


def _write(file: Path, source: Path, rng: random.Random) -> tuple[str, bool]:
    """Write a damaged table with the contents of a CSV file; return what is wrong, and whether it must be refused."""
    import polars

    text = source.read_text()
    rows = [line.split(",") for line in text.splitlines()]
    if file.suffix in (".csv", ".tsv"):
        text, what = damaged_text(text.replace(",", "\t") if file.suffix == ".tsv" else text, rng)
        write_text(file, text)
        return what, False
    if file.suffix == ".parquet":
        polars.DataFrame(rows[1:], schema=rows[0], orient="row").write_parquet(file)
        contents, what = damaged_bytes(file.read_bytes(), rng)
        file.write_bytes(contents)
        return what, False
    contents, what, refused = damaged_workbook(rows, rng)
    file.write_bytes(contents)
    return what, refused


def _reads_images(base: Path, here: Path, file: Path, rng: random.Random, *, check: bool = True) -> tuple[str, ...]:
    (here / "photos").symlink_to(base / "photos")
    if check and rng.random() < 0.2:
        return ("data", "check", str(file))
    option = rng.choice(((), ("--multilabel",), ("--blank", "unlabelled"), ("--group", "label")))
    return ("data", "import", "table", str(file), "-o", str(here / "set"), *option)


MAKERS: tuple[tuple[Callable[[Path, Path, random.Random], Mutant], int], ...] = (
    (tables, 2), (spreadsheets, 5), (lists, 1),
)  # fmt: skip
