"""Import a folder whose layout provides the annotation.

SRC/<class>/*.png                    one folder per class; `unlabelled/` and images beside the folders have no class
SRC/images/ + SRC/masks/             images and masks of the same name; images without a mask are valid
SRC/*.png + SRC/*_segmentation.png   the same in one folder, with a mask suffix
SRC/*.nrrd + SRC/*.seg.nrrd          the same, with segmentations of 3D Slicer
SRC/*.png                            images without any annotation
SRC/{train,val,test}/...             any of these, with an official split
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from s4mi.data.files import SUFFIXES, TILES, WHOLE_SLIDES, is_image_file, suffix_of
from s4mi.data.formats import nrrd_seg
from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.sources.affix_use import masks_in_images
from s4mi.data.sources.misplaced_masks import find_mask_folders, find_masks_beside
from s4mi.data.sources.pair_by_name import AffixPattern, Matches, match, some
from s4mi.data.sources.patient_pattern import group_by_name, patient_folder_findings
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.spec import Finding
from s4mi.data.walk import image_files, is_hidden, visible_files
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded
from s4mi.records import Part

UNLABELLED = ("unlabelled", "unlabeled")


@dataclass(frozen=True)
class FolderOptions:
    """Options for reading the layout of a folder.

    Attributes:
        images, masks: names of the folders with images and masks; None: `images` and `masks`, if they exist.
        mask_suffix: suffix of mask names, before the file extension; `''`: every file beside the images is an image.
            None: none, but names like `x_mask.png` beside `x.png` are an error.
        group_pattern: regular expression whose group 1 is the patient, searched in file names.
        classes: whether sub-folders are classes.
    """

    images: str | None = None
    masks: str | None = None
    mask_suffix: str | None = None
    group_pattern: str = ""
    classes: bool = True


def read_folder(source: Path, options: FolderOptions | None = None) -> FoundDataset:
    """Find the images below `source`, with the labels, masks and split that the layout provides.

    Raises:
        S4miError: the folder, or one that an option names, does not exist or contains no images, or the pattern is
            invalid.
    """
    options = options or FolderOptions()
    source = expanded(source).resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: not a folder; pass the folder that contains the images")
    findings: list[Finding] = []
    rows: list[Row] = []
    united: dict[Path, tuple[Path, ...]] = {}
    parts = _parts(source)
    for option, name in (("--images", options.images), ("--masks", options.masks)):
        if name is not None and not any((folder / name).is_dir() for _, folder in parts):
            existing = ", ".join(sorted({path.name for _, folder in parts for path in _sub_folders(folder)})) or "none"
            raise S4miError(f"{option} {name!r}: no such folder in {source} (existing: {existing}); correct its name")
    for part, folder in parts:
        part_rows, matches = _read_part(folder, part, source=source, options=options)
        rows.extend(part_rows)
        findings.extend(matches.findings)
        united |= matches.further
    if not rows:
        raise S4miError(f"{source}: {_no_images(source)}")
    if options.mask_suffix and all(finding.severity != "error" for finding in findings):
        findings.extend(masks_in_images(rows, AffixPattern(mask_suffix=options.mask_suffix)))
    if options.group_pattern:
        rows, group_findings = group_by_name(rows, options.group_pattern, source=source)
        findings.extend(group_findings)
    findings.extend(_skipped_files(source))
    classes = tuple(sorted({name for row in rows for name in row.labels or ()}))
    if len(classes) == 1:
        message = f"{classes[0]!r} is the only class; use --no-classes, or pass its folder, to import unlabelled images"
        findings.append(Finding("one-class", "error", ".", None, message))
    findings.extend(patient_folder_findings(classes))
    masked = any(row.mask is not None for row in rows)
    kind = {
        (True, True): "a folder per class, with masks", (True, False): "a folder per class",
        (False, True): "images and masks", (False, False): "unlabelled images",
    }[bool(classes), masked]  # fmt: skip
    return FoundDataset(source, kind, tuple(rows), classes=classes, findings=tuple(findings), united=united)


def _parts(source: Path) -> list[tuple[Part | None, Path]]:
    """Return the folders of an official split if every folder with images is named like a part, else the source."""
    folders = [path for path in _sub_folders(source) if image_files(path)]
    part_of = {path: PART_NAMES.get(path.name.lower()) for path in folders}
    images_beside = any(path.parent == source for path in image_files(source))
    if not folders or images_beside or None in part_of.values():
        return [(None, source)]
    return [(part, path) for path, part in part_of.items()]


def _read_part(folder: Path, part: Part | None, *, source: Path, options: FolderOptions) -> tuple[list[Row], Matches]:
    image_root, mask_root = folder / (options.images or "images"), folder / (options.masks or "masks")
    image_root = image_root if image_root.is_dir() else folder
    mask_root = mask_root if mask_root.is_dir() else image_root
    images = image_files(image_root)
    masks: list[Path] = []
    naming = AffixPattern(mask_suffix=options.mask_suffix or "")
    unpaired: list[Finding] = []
    beside = [path for path in images if nrrd_seg.is_segmentation(path)] if mask_root == image_root else []
    if beside and len(beside) < len(images):
        masks = beside
    elif mask_root != image_root:
        masks = image_files(mask_root)
        images = [path for path in images if not path.is_relative_to(mask_root)]
    elif options.mask_suffix:
        masks = [path for path in images if naming.is_mask(path)]
    elif options.mask_suffix is None:
        unpaired = find_mask_folders(image_files(folder), folder, source=source)
    of_masks = set(masks)
    images = [path for path in images if path not in of_masks]
    if options.mask_suffix != "" and not unpaired:
        unpaired = find_masks_beside(images, source, suffix=options.mask_suffix if masks else None)
    matches = match(images, masks, image_roots=[image_root], mask_roots=[mask_root], naming=naming)
    rows = [
        Row(
            id="",
            image=image,
            mask=matches.mask_of.get(image),
            labels=_labels(image, image_root) if options.classes else None,
            group=None,
            split=part,
            line=0,
        )
        for image in images
    ]
    findings = [replace(finding, file=_relative_name(mask_root, source)) for finding in matches.findings]
    if image_root != folder and not unpaired:
        findings += _beside(folder, image_root, mask_root, source=source, options=options)
    return rows, replace(matches, findings=[*findings, *unpaired])


def _beside(
    folder: Path, image_root: Path, mask_root: Path, *, source: Path, options: FolderOptions
) -> Iterator[Finding]:
    """Yield a warning if there are images beside the folder of images, or a note if that folder was named."""
    roots = (image_root, mask_root)
    beside = [path for path in image_files(folder) if not any(path.is_relative_to(root) for root in roots)]
    if beside:
        count, where = plural(len(beside), "image"), _relative_name(image_root, source)
        message = (
            f"{count} outside {where!r} left out: {some([_relative_name(path, source) for path in beside])}; move them "
            "into it, or list all in a table, if they belong to the data set"
        )
        yield Finding("left-out", "note" if options.images else "warning", ".", None, message)


def _labels(image: Path, root: Path) -> tuple[str, ...] | None:
    parts = image.relative_to(root).parts
    return None if len(parts) == 1 or parts[0].lower() in UNLABELLED else (normalised(parts[0]),)


def _skipped_files(source: Path) -> list[Finding]:
    """Report files without the extension of an image, as data in another format would go unnoticed."""
    names = [_relative_name(path, source) for path in visible_files(source) if not is_image_file(path)]
    if not names:
        return []
    hint = TILES if any(suffix_of(Path(name)) in WHOLE_SLIDES for name in names) else "convert those to import"
    message = f"{plural(len(names), 'file')} without the extension of an image: {some(names)}; {hint}"
    return [Finding("left-out", "warning", ".", None, message)]


def _no_images(source: Path) -> str:
    suffixes = Counter(suffix_of(path) or path.name for path in visible_files(source))
    if any(suffix in WHOLE_SLIDES for suffix in suffixes):
        return f"no images (the folder contains {', '.join(sorted(suffixes))}); {TILES}"
    contents = f"contains {', '.join(suffix for suffix, _ in suffixes.most_common(4))}" if suffixes else "is empty"
    return f"no images (the folder {contents}); pass a folder with files of {', '.join(sorted(SUFFIXES))}"


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def _relative_name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
