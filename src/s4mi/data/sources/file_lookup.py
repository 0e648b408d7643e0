"""Find files by their names in tables: with or without folder and file extension."""

import filecmp
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.names import existing_file


def has_folder(folder: Path, name: str) -> bool:
    """Whether `folder` has the folder `name`, or one that it is the pattern of."""
    return bool(_matching(folder, name)) if _is_pattern(folder, name) else (folder / name).is_dir()


def _is_pattern(folder: Path, name: str) -> bool:
    return any(sign in name for sign in "*?[") and not (folder / name).exists()


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(filter(Path.is_dir, folder.glob(pattern)))


@dataclass(frozen=True)
class FileLookup:
    """Folders that are searched for the files of a table, in order."""

    folders: tuple[Path, ...]

    @classmethod
    def below(cls, folder: Path, names: Iterable[str]) -> "FileLookup":
        """Search the folders `names` of `folder`, which may be patterns such as `images_*/images`, then `folder`."""
        found: list[Path] = []
        for name in names:
            found += _matching(folder, name) if _is_pattern(folder, name) else [folder / name]
        return cls((*found, folder))

    def several(self, cell: str) -> list[Path]:
        """Return the files that a cell names in several of the folders but the last, unless they are equal."""
        if len(self.folders) < 3:
            return []
        each = [FileLookup((folder,)).find(cell) for folder in self.folders[:-1]]
        found = list(dict.fromkeys(path for path in each if path is not None))
        return found if any(not filecmp.cmp(found[0], path, shallow=False) for path in found[1:]) else []

    def find(self, cell: str) -> Path | None:
        """Return the file that a cell names, or None if there is none.

        A path may begin with the name of the folder of the table, as in CheXpert.
        """
        name = cell.replace("\\", "/")
        suffixes = [""] if suffix_of(Path(name)) in SUFFIXES else ["", *sorted(SUFFIXES)]
        last = self.folders[-1]
        folders = (*self.folders, last.parent) if name.startswith(f"{last.name}/") else self.folders
        candidates = (folder / f"{name}{suffix}" for folder in folders for suffix in suffixes)
        paths = [Path(os.path.normpath(path)) for path in candidates]
        exact = next((path for path in paths if path.is_file()), None)
        return exact or next((file for path in paths if (file := existing_file(path)) is not None), None)
