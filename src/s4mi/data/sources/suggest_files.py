"""Find the folders of the images that a table lists, lists of the parts of the split, and patients in names."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.sources.file_lookup import FileLookup
from s4mi.data.sources.mask_names import is_mask_word
from s4mi.data.sources.types import part_in_name
from s4mi.data.walk import image_files, visible_files

MAX_FOLDERS = 3
"""Number of folders of images that are named one by one; more are named by a pattern."""
SAMPLED = 200
MIN_LISTED = 0.5
PATIENTS = (
    r"(patient_?\d+)",
    r"^(\d+)_(?:left|right|od|os|l|r)\b",
    r"^(.+?)[_-](?:left|right|od|os)\b",
)
"""Patterns of patients in names: a word for it, or one eye of two."""


def suggest_images(folder: Path, cells: Sequence[str], *, masks: bool = False) -> tuple[str, ...]:
    """Return the folders, or a pattern for many, that hold the images of `cells`; `("images",)` if that suffices.

    Args:
        masks: look for masks, which are in folders called after masks, and in `("masks",)` by default.
    """
    usual = ("masks" if masks else "images",)
    default = FileLookup.below(folder, usual)
    missing = [cell for cell in cells[:: max(1, len(cells) // SAMPLED)] if default.find(cell) is None]
    if not missing:
        return usual
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in image_files(folder):
        for name in {file.name, stem_of(file)}:
            by_name[name].append(file)
    found: Counter[str] = Counter()
    for cell in cells:
        path = cell.replace("\\", "/")
        files = [file for file in by_name.get(path.rpartition("/")[2], ()) if in_mask_folder(file, folder) == masks]
        if len(files) == 1 and (root := _root(files[0], path)) is not None and root.is_relative_to(folder):
            found[root.relative_to(folder).as_posix()] += 1
    if not found:
        return usual
    folders = tuple(sorted(found))
    if len(folders) <= MAX_FOLDERS:
        return folders
    pattern = _pattern(folders)
    return (pattern,) if pattern is not None else folders


def suggest_lists(folder: Path, images: Sequence[Path]) -> tuple[str, ...]:
    """Return the text files in `folder` that list images of a part of the split, if there are several parts."""
    names = {name for image in images for name in (image.name, stem_of(image))}
    lists: dict[str, str] = {}
    for path in visible_files(folder):
        part = part_in_name(path.name) if path.suffix.lower() == ".txt" and path.parent == folder else None
        if part is None or part in lists:
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        listed = [line.partition(",")[0].strip().rpartition("/")[2] for line in lines[:SAMPLED] if line.strip()]
        if listed and sum(name in names for name in listed) >= MIN_LISTED * len(listed):
            lists[part] = path.name
    return tuple(lists.values()) if len(lists) > 1 else ()


def suggest_patients(names: Sequence[str]) -> str:
    """Return a pattern of patients that matches every name, and groups some of them; `''` if there is none."""
    for pattern in PATIENTS:
        found = [re.search(pattern, name) for name in names]
        patients = {match.group(1) for match in found if match is not None}
        if names and None not in found and 1 < len(patients) < len(names):
            return pattern
    return ""


def in_mask_folder(file: Path, folder: Path) -> bool:
    """Whether a folder between `folder` and `file` is called after masks."""
    return any(is_mask_word(part) for part in file.relative_to(folder).parts[:-1])


def _root(file: Path, cell: str) -> Path | None:
    """Return the folder from which the path in a cell leads to `file`, or None if it does not."""
    parts = cell.split("/")
    below = file.parts[-len(parts) : -1] if len(parts) > 1 else ()
    return file.parents[len(parts) - 1] if list(below) == parts[:-1] else None


def _pattern(folders: Sequence[str]) -> str | None:
    """Return a pattern that all folders match, if they differ in one component alone."""
    split = [folder.split("/") for folder in folders]
    if len({len(parts) for parts in split}) > 1:
        return None
    columns = [sorted(set(column)) for column in zip(*split, strict=True)]
    different = [number for number, names in enumerate(columns) if len(names) > 1]
    if len(different) != 1:
        return None
    names = columns[different[0]]
    start = re.sub(r"\d+$", "", _common_start(names))
    columns[different[0]] = [f"{start}*"]
    return "/".join(names[0] for names in columns)


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]
