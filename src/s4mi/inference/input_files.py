"""Image files to be worked on, and the list of those that cannot be."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import SUFFIXES, is_image_file
from s4mi.errors import S4miError


@dataclass(frozen=True)
class ImageFile:
    """An image to be answered, and the name it is answered under."""

    path: Path
    name: str


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    path: Path
    message: str


def find_images(inputs: Sequence[Path]) -> Iterator[ImageFile]:
    """Every image file; its name is its path below the folder that was given.

    Raises:
        S4miError: something is not there, or there are no images.
    """
    found = 0
    for given in inputs:
        if given.is_dir():
            files = sorted(path for path in given.rglob("*") if path.is_file() and is_image_file(path))
            yield from (ImageFile(path, path.relative_to(given).as_posix()) for path in files)
            found += len(files)
        elif given.exists():
            yield ImageFile(given, given.name)
            found += 1
        else:
            raise S4miError(f"{given}: not there; name image files or folders that hold some")
    if not found:
        raise S4miError(f"{inputs[0]}: holds no images ({', '.join(sorted(SUFFIXES))})")


class ErrorList:
    """`errors.csv`, written only when there is something to say."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        path.unlink(missing_ok=True)

    def add(self, unreadable: Unreadable) -> None:
        """One more line."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            if not self.count:
                rows.writerow(["image", "error"])
            rows.writerow([str(unreadable.path), unreadable.message])
        self.count += 1
