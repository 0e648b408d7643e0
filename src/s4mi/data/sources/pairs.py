"""Import a folder of images and a folder of masks, matched by name.

SRC/images/a.jpg + SRC/masks/a_seg.png              names that differ by prefixes and suffixes
SRC/{train,val,test}/images + …/masks               with an official split
SRC/images/{train,val,test} + SRC/masks/{…}         the same
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from s4mi.data.manifest import Row
from s4mi.data.sources.pair_by_name import AffixPattern, Matches, match
from s4mi.data.sources.pair_by_reference import match_segmentations
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.spec import Finding
from s4mi.data.walk import image_files
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import Part


@dataclass(frozen=True)
class PairsOptions:
    """Folders of images and masks, relative to the source, and how their names correspond."""

    images: str = "images"
    masks: str = "masks"
    naming: AffixPattern = field(default_factory=AffixPattern)
    group_pattern: str = ""


def read_pairs(source: Path, options: PairsOptions | None = None) -> FoundDataset:
    """Find the images and their masks; an image without a mask is not annotated, which is valid.

    Raises:
        S4miError: a folder does not exist or contains no images, or a pattern is invalid.
    """
    options = options or PairsOptions()
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: not a folder; pass the folder that contains the folders of images and masks")
    rows: list[Row] = []
    findings: list[Finding] = []
    united: dict[Path, tuple[Path, ...]] = {}
    for part, folder in _parts(source, options):
        part_rows, matches = _read_part(folder, part, source=source, options=options)
        rows += part_rows
        findings += matches.findings
        united |= matches.further
    if options.group_pattern:
        rows, group_findings = group_by_name(rows, options.group_pattern, source=source)
        findings += group_findings
    without = sum(row.mask is None for row in rows)
    if without:
        count = f"{without} of {plural(len(rows), 'image')}"
        message = f"{count} without a mask, so not annotated; if they should have one, check the names"
        findings.append(Finding("no-mask", "note", ".", None, message))
    kind = "pairs of image and mask"
    return FoundDataset(folder=source, kind=kind, rows=tuple(rows), findings=tuple(findings), united=united)


def _parts(source: Path, options: PairsOptions) -> Iterator[tuple[Part | None, Path]]:
    """Yield the folders of an official split if they contain a folder of images, else the source itself."""
    folders = sorted(path for path in source.iterdir() if path.is_dir() and path.name.lower() in PART_NAMES)
    parts = [path for path in folders if (path / options.images).is_dir()]
    if not parts or (source / options.images).is_dir():
        yield None, source
    else:
        yield from ((PART_NAMES[path.name.lower()], path) for path in parts)


def _read_part(folder: Path, part: Part | None, *, source: Path, options: PairsOptions) -> tuple[list[Row], Matches]:
    image_root, mask_root = folder / options.images, folder / options.masks
    for option, root in (("--images", image_root), ("--masks", mask_root)):
        if not root.is_dir():
            existing = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
            raise S4miError(f"{root}: does not exist (existing folders: {existing}); set the folder with {option}")
    masks = image_files(mask_root)
    images = [path for path in image_files(image_root) if not path.is_relative_to(mask_root)]
    if image_root == mask_root:
        masks = [path for path in masks if options.naming.is_mask(path)]
        images = [path for path in image_files(image_root) if path not in set(masks)]
    images = [path for path in images if options.naming.image_stem(path) is not None]
    if not images:
        raise S4miError(
            f"{image_root}: no images with a matching name; check --images, --image-prefix and --image-suffix"
        )
    referenced, named, findings = match_segmentations(images, masks)
    matches = Matches(referenced, {}, findings)
    if named or not referenced:
        left = [image for image in images if image not in referenced]
        by_name = match(left, named, image_root=image_root, mask_root=mask_root, naming=options.naming)
        matches = Matches({**referenced, **by_name.mask_of}, by_name.further, [*findings, *by_name.findings])
    official = part is None and all(_part_of(image, image_root) for image in images)
    rows = [
        Row("", image, matches.mask_of.get(image), labels=None, group=None,
            split=_part_of(image, image_root) if official else part, line=0)
        for image in images
    ]  # fmt: skip
    location = mask_root.relative_to(source).as_posix() if mask_root.is_relative_to(source) else mask_root.as_posix()
    return rows, replace(matches, findings=[replace(finding, file=location) for finding in matches.findings])


def _part_of(image: Path, root: Path) -> Part | None:
    """Return the part of the split that the first folder below `root` is named after."""
    parts = image.relative_to(root).parts
    return PART_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
