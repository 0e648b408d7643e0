"""Check for files beside the images and masks of a data set that are not listed in its manifest."""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import is_image_file, stem_of
from s4mi.data.manifest_paths import HERE, ManifestPaths
from s4mi.data.names import existing_file
from s4mi.data.relative_name import relative_name
from s4mi.data.row import MANIFEST_NAME
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.data.walk import is_hidden
from s4mi.formatting import plural

Affixes = set[tuple[str, str]]
"""Prefixes and suffixes that distinguish names of masks from those of their images."""


def find_unlisted(folder: Path, root: Path) -> list[Finding]:
    """Return findings about unlisted files beside the listed images and masks, one per folder and kind.

    Unlisted masks of listed images are only a note, as they may be left out on purpose.
    """
    listed = _listed(folder, root)
    known, mask_folders = listed.images | listed.masks, _folders(listed.masks) - _folders(listed.images)
    findings = []
    for name_of_folder in sorted(_folders(known)):
        parent = Path(name_of_folder)
        if not parent.is_dir():
            continue
        # Only folders of images should contain nothing else; the root may also contain other files.
        any_format = parent not in (root, folder.resolve())
        with os.scandir(name_of_folder) as entries:
            unlisted = sorted(
                entry.name
                for entry in entries
                if entry.path not in known
                and entry.is_file()
                and not is_hidden(entry.name)
                and (any_format or is_image_file(Path(entry.path)))
            )
        is_mask_folder = name_of_folder in mask_folders
        unused_masks = listed.masks_of_images_without(unlisted) if is_mask_folder and unlisted else []
        location = relative_name(parent, root)
        if unused_masks:
            message = (
                f"{plural(len(unused_masks), 'unlisted mask')} of images without mask: {some(unused_masks)}; if not "
                "intended, enter them in the column mask, or add them with s4mi data merge"
            )
            findings.append(Finding("unlisted-mask", "note", location, None, message))
        if others := sorted({*unlisted} - {*unused_masks}):
            hint = "enter them in the column mask, or move them" if is_mask_folder else "add rows, or move them"
            message = f"{plural(len(others), 'unlisted file')}: {some(others)}; {hint}"
            findings.append(Finding("unlisted-file", "warning", location, None, message))
    return findings


@dataclass(frozen=True)
class _Listed:
    """Paths of images and masks that a manifest lists, and of the images with and without a mask."""

    images: set[str]
    masks: set[str]
    without_mask: list[str]
    pairs: list[tuple[str, str]]

    def masks_of_images_without(self, names: Sequence[str]) -> list[str]:
        """Return the names that are those of masks of the images without one, by how masks are called here."""
        without = {stem_of(Path(image)) for image in self.without_mask}
        affixes: Affixes = {("", "")}
        for image, mask in self.pairs:
            stem, mask_stem = stem_of(Path(image)), stem_of(Path(mask))
            if stem and stem in mask_stem:
                before, _, after = mask_stem.partition(stem)
                affixes.add((before, after))
        return [name for name in names if not without.isdisjoint(_image_stems(Path(name), affixes))]


def _listed(folder: Path, root: Path) -> _Listed:
    """Return what the manifest lists.

    The file is read again, because rows with an error are not in the manifest, but list files too.
    """
    listed = _Listed(set(), set(), [], [])
    names, paths = _Folders(), ManifestPaths(folder, str(root))
    with (folder / MANIFEST_NAME).open(encoding="utf-8-sig", newline="") as file:
        for record in csv.DictReader(file):
            image, mask = (
                _listed_path(paths, cell.strip(), names) if (cell := record.get(column)) else None
                for column in ("image", "mask")
            )
            if mask is not None:
                listed.masks.add(mask)
            if image is not None:
                listed.images.add(image)
                if mask is None:
                    listed.without_mask.append(image)
                else:
                    listed.pairs.append((image, mask))
    return listed


class _Folders:
    """The names in folders, each read once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def hold(self, path: str) -> bool:
        """Whether there is something at a path."""
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208  (names, not paths)
            except OSError:
                self._names[folder] = frozenset()
        return name in self._names[folder]


def _listed_path(paths: ManifestPaths, cell: str, folders: _Folders) -> str:
    if cell.startswith(HERE) and (file := paths.find(cell)) is not None:
        return os.path.normpath(file)
    path = os.path.normpath(os.path.join(paths.root, cell))  # noqa: PTH118  (strings: a tenth of the time of paths)
    return path if folders.hold(path) else str(existing_file(Path(path)) or path)


def _folders(paths: Iterable[str]) -> set[str]:
    return {os.path.dirname(path) for path in paths}  # noqa: PTH120


def _image_stems(mask: Path, affixes: Iterable[tuple[str, str]]) -> list[str]:
    """Return the possible names of the image of a mask, without extension."""
    stem = stem_of(mask)
    return [
        stem[len(before) : len(stem) - len(after)]
        for before, after in affixes
        if stem.startswith(before) and stem.endswith(after)
    ]
