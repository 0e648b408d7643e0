"""Assign the parts of the split that text files list, such as the official lists of ChestX-ray14.

train_val_list.txt     one file name, path or id per line; the name of the file, or PART=FILE, says the part
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.names import NameIndex
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.types import PART_NAMES, FoundDataset, part_in_name
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded
from s4mi.records import Part


def apply_split_lists(found: FoundDataset, lists: Collection[str]) -> FoundDataset:
    """Return `found` with the part of every image from the lists, which replace any other split.

    Args:
        lists: files, or PART=FILE if the name of the file does not contain one part; relative to the source or to here.

    Raises:
        S4miError: a file cannot be read, its part is unclear, or none of its names is an image.
    """
    if not lists:
        return found
    by_path, by_name, by_stem = NameIndex[int](), NameIndex[int](), NameIndex[int]()
    for number, row in enumerate(found.rows):
        below = row.image.relative_to(found.folder) if row.image.is_relative_to(found.folder) else row.image
        by_path.add(below.as_posix(), number)
        by_path.add((below.parent / stem_of(below)).as_posix(), number)
        by_name.add(row.image.name, number)
        by_stem.add(stem_of(row.image), number)
    part_of: dict[int, Part] = {}
    findings: list[Finding] = []
    for argument in lists:
        part, path = _parse(argument, found.folder)
        absent = []
        for line, name in enumerate(_names(path), start=1):
            numbers = next((hit for index in (by_path, by_name, by_stem) if (hit := index.get(name))), [])
            if len(numbers) > 1:
                raise S4miError(f"{path}:{line}: {plural(len(numbers), 'image')} named {name!r}; list their paths")
            if not numbers:
                absent.append(name)
            elif part_of.setdefault(numbers[0], part) != part:
                raise S4miError(
                    f"{path}:{line}: {name!r} is also listed for {part_of[numbers[0]]}; keep it in one list"
                )
        if len(absent) == len(_names(path)):
            example = found.rows[0].image.name if found.rows else "none"
            raise S4miError(f"{path}: lists none of the images (lists {some(absent)}, images are like {example!r})")
        if absent:
            message = f"{plural(len(absent), 'name')} in {path.name} without an image: {some(absent)}; add the images"
            findings.append(Finding("listed-without-image", "warning", path.name, None, message))
    unlisted = [row.image.name for number, row in enumerate(found.rows) if number not in part_of]
    if unlisted:
        message = f"{plural(len(unlisted), 'image')} in no --split-list: {some(unlisted)}; list them, or remove them"
        findings.append(Finding("not-in-split-list", "error", ".", None, message))
    rows = tuple(replace(row, split=part_of.get(number)) for number, row in enumerate(found.rows))
    return replace(found, rows=rows, findings=(*found.findings, *findings))


def _parse(argument: str, folder: Path) -> tuple[Part, Path]:
    """Return the part and the path of a list."""
    word, equals, name = argument.partition("=")
    part = PART_NAMES.get(word.strip().lower()) if equals else part_in_name(Path(argument).name)
    name = name if equals and part is not None else argument
    if part is None:
        raise S4miError(f"--split-list {argument!r}: names no part; use e.g. train={Path(argument).name}")
    path = next((one for one in (expanded(name), folder / name) if one.is_file()), None)
    if path is None:
        raise S4miError(f"--split-list {argument!r}: file not found here or in {folder}; correct its path")
    return part, path


def _names(path: Path) -> list[str]:
    """Return the names in a file: one per line, of which the first cell counts."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: not UTF-8 (byte {error.start}); save it as text with one name per line") from error
    return [name for line in lines if (name := line.partition(",")[0].strip())]
