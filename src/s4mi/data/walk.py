"""Find the image files below a folder, by one rule for imports, annotations and predictions."""

import os
from pathlib import Path

from s4mi.data.files import is_image_file


def image_files(folder: Path) -> list[Path]:
    """List all files below `folder` with the extension of an image, sorted, without hidden files and folders."""
    return [path for path in visible_files(folder) if is_image_file(path)]


def visible_files(folder: Path) -> list[Path]:
    """List all files below `folder`, sorted, without hidden ones; links to folders are followed.

    Names of hidden files and folders start with a dot, e.g. `._a.png` of macOS and `.ipynb_checkpoints`; `__MACOSX`,
    which archives from macOS contain, counts as hidden too.
    """
    files: list[Path] = []
    seen: set[str] = set()
    for path, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        folders[:] = [] if real in seen else [name for name in folders if not is_hidden(name)]
        if real not in seen:
            files.extend(Path(path, name) for name in names if not is_hidden(name))
        seen.add(real)
    return sorted(files)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over, unless it is named explicitly."""
    return name.startswith(".") or name == "__MACOSX"
