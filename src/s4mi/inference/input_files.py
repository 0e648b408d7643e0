"""Input image files, and the list of those that could not be processed."""

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import SUFFIXES, TILES, WHOLE_SLIDES, suffix_of
from s4mi.data.walk import image_files, visible_files
from s4mi.errors import S4miError
from s4mi.formatting import plural

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class ImageFile:
    """An image file and its name in the output."""

    path: Path
    name: str


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be processed, and why."""

    path: Path
    message: str


def find_images(inputs: Sequence[Path]) -> Iterator[ImageFile]:
    """Yield every image file, but not hidden files in folders; its name is its path relative to the input folder.

    Raises:
        S4miError: an input does not exist, or there are no images.
    """
    count = 0
    for path in inputs:
        if path.is_dir():
            files = image_files(path)
            yield from (ImageFile(file, file.relative_to(path).as_posix()) for file in files)
            count += len(files)
            slides = [file.name for file in visible_files(path) if suffix_of(file) in WHOLE_SLIDES]
            if slides:
                log.warning("%s: %s left out (%s, …); %s", path, plural(len(slides), "whole slide"), slides[0], TILES)
        elif path.exists():
            yield ImageFile(path, path.name)
            count += 1
        else:
            raise S4miError(f"{path}: does not exist; pass image files or folders of images")
    if not count:
        raise S4miError(f"{inputs[0]}: contains no images ({', '.join(sorted(SUFFIXES))}); pass another folder")


class ErrorList:
    """`errors.csv`, written only if there are errors."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        path.unlink(missing_ok=True)

    def add(self, unreadable: Unreadable) -> None:
        """Append a row."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            if not self.count:
                rows.writerow(["image", "error"])
            rows.writerow([str(unreadable.path), unreadable.message])
        self.count += 1
