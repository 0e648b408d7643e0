"""Files that lie among the images and masks of a data set, and that no row of its manifest mentions."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from s4mi.data.checks.scan import relative_name
from s4mi.data.files import is_image_file, stem_of
from s4mi.data.manifest import MANIFEST_NAME
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding

Affixes = set[tuple[str, str]]
"""What names of masks have before and after those of their images."""


def find_unlisted(folder: Path, root: Path) -> list[Finding]:
    """Files beside the listed images and masks that no row mentions, counted by folder.

    Masks of images that the manifest has without mask are a note: they may be left out on purpose.
    """
    images, masks, bare, affixes = _listed(folder, root)
    mask_folders = {path.parent for path in masks} - {path.parent for path in images}
    findings = []
    for place in sorted({path.parent for path in images | masks}):
        if not place.is_dir():
            continue
        # Beside the data set's own files anything may lie; in a folder of images everything should be listed.
        anything = place not in (root, folder.resolve())
        strangers = sorted(
            path.name
            for path in place.iterdir()
            if path not in images
            and path not in masks
            and path.is_file()
            and not path.name.startswith(".")
            and (anything or is_image_file(path))
        )
        of_masks = place in mask_folders
        waiting = [name for name in strangers if of_masks and not bare.isdisjoint(_stems(Path(name), affixes))]
        where = relative_name(place, root)
        if waiting:
            message = (
                f"{_counted(waiting, 'mask')} that no row points to, of images without mask: {some(waiting)}; right if "
                "these shall have none, else name the files in the column mask, or bring them in with s4mi data merge"
            )
            findings.append(Finding("unlisted-mask", "note", where, None, message))
        if others := sorted({*strangers} - {*waiting}):
            cure = "name them in the column mask, or move them away" if of_masks else "add rows or move them away"
            message = f"{_counted(others, 'file')} that no row mentions: {some(others)}; {cure}"
            findings.append(Finding("unlisted-file", "warning", where, None, message))
    return findings


def _listed(folder: Path, root: Path) -> tuple[set[Path], set[Path], set[str], Affixes]:
    """Images, masks, the names of images without mask, and how names of masks differ from those of their images.

    Read anew: rows with a fault are not in the manifest, yet they do mention their files.
    """
    images: set[Path] = set()
    masks: set[Path] = set()
    bare: set[str] = set()
    affixes: Affixes = {("", "")}
    with (folder / MANIFEST_NAME).open(encoding="utf-8-sig", newline="") as file:
        for record in csv.DictReader(file):
            image, mask = (
                Path(os.path.normpath(root / cell.strip())) if (cell := record.get(column)) else None
                for column in ("image", "mask")
            )
            if mask is not None:
                masks.add(mask)
            if image is not None:
                images.add(image)
                if mask is None:
                    bare.add(stem_of(image))
                elif stem_of(image) in stem_of(mask):
                    before, _, after = stem_of(mask).partition(stem_of(image))
                    affixes.add((before, after))
    return images, masks, bare, affixes


def _stems(mask: Path, affixes: Iterable[tuple[str, str]]) -> list[str]:
    """What the image of a mask may be called, without ending."""
    stem = stem_of(mask)
    return [
        stem[len(before) : len(stem) - len(after)]
        for before, after in affixes
        if stem.startswith(before) and stem.endswith(after)
    ]


def _counted(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"
