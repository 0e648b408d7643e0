"""Files of a patient in a data set folder: found by where they really lie, noted relative to it, and removed.

Names are relative to the folder with all links followed: `..` in a name is otherwise taken from wherever a link leads.
A link in the folder is a file of its own, and so is what it leads to.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s4mi.errors import S4miError


def divide_files(folder: Path, own: Iterable[Path], others: Iterable[Path]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files to remove, as names relative to the data set folder, and those that lie elsewhere.

    Args:
        own: images and masks of the patient.
        others: those of all others; what links of several patients lead to stays.
    """
    home = folder.resolve()
    inside: dict[str, None] = {}
    outside: dict[str, None] = {}
    targets: dict[str, Path] = {}
    for path in own:
        entries = list(_entries(path))
        for entry in entries:
            if not entry.is_relative_to(home):
                outside[str(entry)] = None
            elif entry != entries[0]:
                targets[entry.relative_to(home).as_posix()] = entry
            else:
                inside[entry.relative_to(home).as_posix()] = None
    shared = {path.resolve() for path in others} if targets else set()
    inside |= dict.fromkeys(name for name, entry in targets.items() if entry.resolve() not in shared)
    return tuple(inside), tuple(outside)


def placed(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the places of files with these names, below the data set folder with all links followed.

    Names of plans of older versions may lead out of the folder and into it again, from another path to it.

    Raises:
        S4miError: a name leads out of the folder.
    """
    home = folder.resolve()
    return [_place(home, name) for name in names]


def remove_files(folder: Path, names: Sequence[str]) -> None:
    """Remove files of a data set folder, and folders that are empty then.

    Raises:
        S4miError: a name leads out of the folder, before any is removed; or a file is still there.
        OSError: a file cannot be removed.
    """
    home = folder.resolve()
    places = placed(folder, names)
    for place in places:
        place.unlink(missing_ok=True)
    for place in places:
        if os.path.lexists(place):
            raise S4miError(f"{place}: is still there after it was removed; see what creates it, and erase again")
        _remove_if_empty(place.parent, home)


def _entries(path: Path) -> Iterator[Path]:
    """Yield where an existing file lies and, of a link, each that it leads to."""
    entry = path.parent.resolve() / path.name
    yield entry
    while entry.is_symlink():
        following = entry.parent / entry.readlink()
        entry = following.parent.resolve() / following.name
        yield entry


def _place(home: Path, name: str) -> Path:
    parts = Path(name).parts
    below = [part for part in parts if part != ".."]
    for start in (home,) if len(below) == len(parts) else home.parents:
        if (place := start.joinpath(*below)).is_relative_to(home):
            return place
    raise S4miError(
        f"{home}: the plan of the erasure names {name!r}, which leads out of the data set folder; remove this file and "
        "its name in the plan by hand, and erase again"
    )


def _remove_if_empty(folder: Path, root: Path) -> None:
    try:
        while folder != root and folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent
    except OSError:  # not empty
        return
