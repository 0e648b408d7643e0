"""Check for files beside the images and masks of a data set that are not listed in its manifest."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from s4mi.data.checks.scan import relative_name
from s4mi.data.files import is_image_file, stem_of
from s4mi.data.names import existing_file
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
    images, masks, without_mask, affixes = _listed(folder, root)
    mask_folders = {path.parent for path in masks} - {path.parent for path in images}
    findings = []
    for parent in sorted({path.parent for path in images | masks}):
        if not parent.is_dir():
            continue
        # Only folders of images should contain nothing else; the root may also contain other files.
        any_format = parent not in (root, folder.resolve())
        unlisted = sorted(
            path.name
            for path in parent.iterdir()
            if path not in images
            and path not in masks
            and path.is_file()
            and not is_hidden(path.name)
            and (any_format or is_image_file(path))
        )
        is_mask_folder = parent in mask_folders
        unused_masks = [
            name
            for name in unlisted
            if is_mask_folder and not without_mask.isdisjoint(_image_stems(Path(name), affixes))
        ]
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


def _listed(folder: Path, root: Path) -> tuple[set[Path], set[Path], set[str], Affixes]:
    """Return images, masks, names of images without mask, and the affixes of names of masks.

    The file is read again, because rows with an error are not in the manifest, but list files too.
    """
    images: set[Path] = set()
    masks: set[Path] = set()
    without_mask: set[str] = set()
    affixes: Affixes = {("", "")}
    with (folder / MANIFEST_NAME).open(encoding="utf-8-sig", newline="") as file:
        for record in csv.DictReader(file):
            image, mask = (
                _listed_path(root, cell.strip()) if (cell := record.get(column)) else None
                for column in ("image", "mask")
            )
            if mask is not None:
                masks.add(mask)
            if image is not None:
                images.add(image)
                if mask is None:
                    without_mask.add(stem_of(image))
                elif stem_of(image) and stem_of(image) in stem_of(mask):
                    before, _, after = stem_of(mask).partition(stem_of(image))
                    affixes.add((before, after))
    return images, masks, without_mask, affixes


def _listed_path(root: Path, cell: str) -> Path:
    path = Path(os.path.normpath(root / cell))
    return existing_file(path) or path


def _image_stems(mask: Path, affixes: Iterable[tuple[str, str]]) -> list[str]:
    """Return the possible names of the image of a mask, without extension."""
    stem = stem_of(mask)
    return [
        stem[len(before) : len(stem) - len(after)]
        for before, after in affixes
        if stem.startswith(before) and stem.endswith(after)
    ]
