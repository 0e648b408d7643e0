"""Import folders of images and folders of masks, matched by name.

SRC/images/a.jpg + SRC/masks/a_seg.png              names that differ by prefixes and suffixes
SRC/{train,val,test}/images + …/masks               with an official split
SRC/images/{train,val,test} + SRC/masks/{…}         the same
SRC/{Training,Test}_Input + …_GroundTruth           several folders of each, with the split that their names say
SRC/<image>/images/x.png + SRC/<image>/masks/*.png  a folder per image, with a mask per object, which are united
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.sources.affix_use import image_affix_findings, masks_in_images
from s4mi.data.sources.pair_by_name import AffixPattern, Matches, left_out, match, some
from s4mi.data.sources.pair_by_reference import match_segmentations
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.types import PART_NAMES, FoundDataset, part_in_name
from s4mi.data.spec import Finding
from s4mi.data.walk import image_files, is_hidden
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded
from s4mi.records import Part


@dataclass(frozen=True)
class PairsOptions:
    """Folders of images and masks, relative to the source, and how their names correspond."""

    images: tuple[str, ...] = ("images",)
    masks: tuple[str, ...] = ("masks",)
    naming: AffixPattern = field(default_factory=AffixPattern)
    group_pattern: str = ""


def read_pairs(source: Path, options: PairsOptions | None = None) -> FoundDataset:
    """Find the images and their masks; an image without a mask is not annotated, which is valid.

    Raises:
        S4miError: a folder does not exist or contains no images, or a pattern is invalid.
    """
    options = options or PairsOptions()
    source = expanded(source).resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: not a folder; pass the folder that contains the folders of images and masks")
    rows: list[Row] = []
    findings: list[Finding] = []
    united: dict[Path, tuple[Path, ...]] = {}
    if of_each := image_folders(source, options):
        rows, united, findings = _read_image_folders(of_each, options, source=source)
    else:
        seen: list[Path] = []
        for part, folder in _parts(source, options):
            part_rows, matches = _read_part(folder, part, source=source, options=options, seen=seen)
            rows += part_rows
            findings += matches.findings
            united |= matches.further
        findings += image_affix_findings(seen, options.naming)
        if options.naming.of_masks and set(options.images) & set(options.masks):
            findings += masks_in_images(rows, options.naming)
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


def image_folders(source: Path, options: PairsOptions) -> dict[Path, list[Path]]:
    """Return the images of every folder that stands for one image, with folders of images and masks in it.

    Empty if there are none, or if `source` or a part of the split has these folders itself.
    """
    if len(options.images) > 1 or options.images == (".",) or (source / options.images[0]).is_dir():
        return {}
    name, found = options.images[0], dict[Path, list[Path]]()
    level = [source]
    while level:  # the folders may be below those of the parts
        below = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
        level = [path for path in below if not is_hidden(path.name) and path.name not in (name, *options.masks)]
        found |= {path: image_files(path / name) for path in level if (path / name).is_dir()}
        level = [path for path in level if path not in found]
    masked = any((path / masks).is_dir() for path in found for masks in options.masks)
    single = all(len(images) == 1 and path.name.lower() not in PART_NAMES for path, images in found.items())
    return found if single and masked and len(found) > 1 else {}


def _read_image_folders(
    folders: dict[Path, list[Path]], options: PairsOptions, *, source: Path
) -> tuple[list[Row], dict[Path, tuple[Path, ...]], list[Finding]]:
    rows: list[Row] = []
    united: dict[Path, tuple[Path, ...]] = {}
    parts: dict[Path, Part | None] = {
        path: next(filter(None, map(part_in_name, path.relative_to(source).parts[:-1])), None) for path in folders
    }
    official = all(parts.values()) and len(set(parts.values())) > 1
    naming, left, fitting = options.naming, list[Path](), 0
    for path, images in folders.items():
        files = [file for name in options.masks if (path / name).is_dir() for file in image_files(path / name)]
        masks = [file for file in files if naming.is_mask(file)]
        fitting += len(masks)
        left += [file for file in files if not naming.is_mask(file)]
        if masks[1:]:
            united[masks[0]] = tuple(masks[1:])
        rows.append(
            Row("", images[0], masks[0] if masks else None, labels=None, group=None,
                split=parts[path] if official else None, line=0)
        )  # fmt: skip
    mask_of = {row.image: row.mask for row in rows if row.mask is not None}
    findings = left_out([row.image for row in rows], left, mask_of, fitting=fitting, naming=naming)
    findings = [replace(finding, file=".") for finding in findings]
    of_images = image_affix_findings([row.image for row in rows], naming)
    findings += [finding for finding in of_images if finding.severity == "error"]  # the others are not left out here
    if not united:
        return rows, united, findings
    (first, others), *_ = united.items()
    message = (
        f"{plural(len(united), 'image')} with several masks, which are united: "
        f"{some([first.name, *(mask.name for mask in others)])}"
    )
    return rows, united, [*findings, Finding("masks-united", "note", ".", None, message)]


def _parts(source: Path, options: PairsOptions) -> Iterator[tuple[Part | None, Path]]:
    """Yield the folders of an official split if they contain a folder of images, else the source itself."""
    folders = sorted(path for path in source.iterdir() if path.is_dir() and path.name.lower() in PART_NAMES)
    parts = [path for path in folders if any((path / images).is_dir() for images in options.images)]
    if not parts or any((source / images).is_dir() for images in options.images):
        yield None, source
    else:
        yield from ((PART_NAMES[path.name.lower()], path) for path in parts)


def _read_part(
    folder: Path, part: Part | None, *, source: Path, options: PairsOptions, seen: list[Path]
) -> tuple[list[Row], Matches]:
    """Return the rows of a folder; its images, also those whose names do not fit, are added to `seen`."""
    image_roots, mask_roots = ([folder / name for name in names] for names in (options.images, options.masks))
    for option, roots in (("--images", image_roots), ("--masks", mask_roots)):
        for root in roots:
            if not root.is_dir() and not (option == "--masks" and part == "test"):
                existing = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
                raise S4miError(f"{root}: does not exist (existing folders: {existing}); set the folder with {option}")
    mask_roots = [root for root in mask_roots if root.is_dir()]
    masks = list(dict.fromkeys(path for root in mask_roots for path in image_files(root)))
    images = list(dict.fromkeys(path for root in image_roots for path in image_files(root)))
    if set(image_roots) & set(mask_roots):
        masks = [path for path in masks if options.naming.is_mask(path)]
        of_masks = set(masks)
        images = [path for path in images if path not in of_masks]
    else:
        images = [path for path in images if not any(path.is_relative_to(root) for root in mask_roots)]
    seen += images
    named_so = [path for path in images if options.naming.image_stem(path) is not None]
    if not named_so:
        fault = f"{options.naming.of_images} fits no image" if options.naming.of_images else "no images"
        example = f" (example of a name: {images[0].name!r})" if images else ""
        raise S4miError(f"{image_roots[0]}: {fault}{example}; check --images, --image-prefix and --image-suffix")
    images = named_so
    matches, named = match_segmentations(images, masks)
    if named or not matches.mask_of:
        left = [image for image in images if image not in matches.mask_of]
        by_name = match(left, named, image_roots=image_roots, mask_roots=mask_roots, naming=options.naming)
        matches = Matches(
            {**matches.mask_of, **by_name.mask_of},
            {**matches.further, **by_name.further},
            [*matches.findings, *by_name.findings],
        )
    part_of: dict[Path, Part | None] = {image: part or _part_of(image, image_roots) for image in images}
    official = all(part_of.values()) and (part is not None or len(image_roots) == 1 or len(set(part_of.values())) > 1)
    rows = [
        Row("", image, matches.mask_of.get(image), labels=None, group=None,
            split=part_of[image] if official else None, line=0)
        for image in images
    ]  # fmt: skip
    root = mask_roots[0] if mask_roots else folder
    location = relative_name(root, source)
    return rows, replace(matches, findings=[replace(finding, file=location) for finding in matches.findings])


def _part_of(image: Path, roots: list[Path]) -> Part | None:
    """Return the part that the first folder below its root is named after, or the root itself if there are several."""
    root = next(root for root in roots if image.is_relative_to(root))
    below = image.relative_to(root).parts
    part = PART_NAMES.get(below[0].lower()) if len(below) > 1 else None
    return part or (part_in_name(root.name) if len(roots) > 1 else None)
