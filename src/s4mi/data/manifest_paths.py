"""Paths in a manifest: relative to the root of the images, and those with `./` to the data set folder.

Images may be referenced in place, so that the root is not the data set folder, while merges write masks into it. Their
paths begin with `./`, and hold wherever the folder is moved or mounted. A root beside the data set folder, below the
same parent and given relative to it, moves with it, and so do other files below that parent, whose paths are relative
as well. All others are absolute: of a root in the data set folder, or of a link to another place, it is not known what
moves with it.
"""

import os
from pathlib import Path

from s4mi.data.names import existing_file

HERE = "./"


class ManifestPaths:
    """Reads and writes the paths of a manifest in `folder`; `root` as in `dataset.yaml`."""

    def __init__(self, folder: Path, root: str) -> None:
        self.root = (folder / root).resolve()
        self._folder = folder.resolve()
        self._folders = tuple(dict.fromkeys((_absolute(folder), self._folder)))
        beside = self.root.is_relative_to(self._folder.parent) and not self.root.is_relative_to(self._folder)
        self._parent_moves = beside and not Path(root).is_absolute()

    def find(self, cell: str) -> Path | None:
        """Return the file of a cell, or None if there is none."""
        here = existing_file(self._folder / cell) if self._is_here(cell) else None
        return here or existing_file(self.root / cell)  # tables written by hand may have `./` below the root

    def searched(self, cell: str) -> str:
        """Return ` in` and the folders in which `find` looks for a cell; empty if its path is absolute."""
        if Path(cell).is_absolute():
            return ""
        return f" in {self._folder} or {self.root}" if self._is_here(cell) else f" in {self.root}"

    def cell(self, path: Path) -> str:
        """Return the cell of a file, which `find` reads as that file."""
        # A link below the root stays a link, as its target may be a content store without file names.
        candidates = (_absolute(path), path.resolve())
        for candidate in candidates:
            if candidate.is_relative_to(self.root):
                return candidate.relative_to(self.root).as_posix()
        for candidate in candidates:
            for folder in self._folders:
                if candidate.is_relative_to(folder):
                    return HERE + candidate.relative_to(folder).as_posix()
        if self._parent_moves and candidates[1].is_relative_to(self._folder.parent):
            return Path(os.path.relpath(candidates[1], self.root)).as_posix()
        return candidates[1].as_posix()

    def _is_here(self, cell: str) -> bool:
        return cell.startswith(HERE) and self.root != self._folder


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (Path.resolve would follow links)
