"""Import a folder that says by its layout what its images are.

SRC/<class>/*.png                    a folder per class; `unlabelled/` and images beside the folders have no class
SRC/images/ + SRC/masks/             a mask for every image that has the same name; images without one are no fault
SRC/*.png + SRC/*_segmentation.png   the same in one folder, with a mask suffix
SRC/*.png                            images without any annotation
SRC/{train,val,test}/...             any of these, with an official split
"""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from s4mi.data.files import SUFFIXES, is_image_file, stem_of, suffix_of
from s4mi.data.manifest import Row
from s4mi.data.sources.pair_by_name import AffixPattern, match, some
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.records import Part

UNLABELLED = ("unlabelled", "unlabeled")


@dataclass(frozen=True)
class FolderOptions:
    """How to read the layout.

    Attributes:
        images, masks: names of the folders that hold them.
        mask_suffix: what a mask's name adds to its image's, before the ending.
        group_pattern: regular expression whose group 1, searched in the file name, is the patient.
        classes: sub-folders are classes.
    """

    images: str = "images"
    masks: str = "masks"
    mask_suffix: str = ""
    group_pattern: str = ""
    classes: bool = True


def read_folder(source: Path, options: FolderOptions | None = None) -> FoundDataset:
    """Find the images below `source` and what its layout says of them.

    Raises:
        S4miError: the folder is not there, holds no images, or the pattern is not usable.
    """
    options = options or FolderOptions()
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: is not a folder; name the folder that holds the images")
    findings: list[Finding] = []
    rows: list[Row] = []
    for part, folder in _parts(source):
        found, wrong = _read_part(folder, part, source=source, options=options)
        rows.extend(found)
        findings.extend(wrong)
    if not rows:
        raise S4miError(f"{source}: {_nothing(source)}")
    if options.group_pattern:
        rows, wrong = group_by_name(rows, options.group_pattern, source=source)
        findings.extend(wrong)
    findings.extend(_left_out(source))
    classes = tuple(sorted({name for row in rows for name in row.labels or ()}))
    if len(classes) == 1:
        message = f"{classes[0]!r} is the only class; point at its folder to import it unlabelled, or use --no-classes"
        findings.append(Finding("one-class", "error", ".", None, message))
    masked = any(row.mask is not None for row in rows)
    kind = {
        (True, True): "a folder per class, with masks", (True, False): "a folder per class",
        (False, True): "images and masks", (False, False): "unlabelled images",
    }[bool(classes), masked]  # fmt: skip
    return FoundDataset(folder=source, kind=kind, rows=tuple(rows), classes=classes, findings=tuple(findings))


def image_files(folder: Path) -> list[Path]:
    """Every image file in or below `folder` by its ending, in order; hidden files and folders are passed over."""
    return [path for path in visible_files(folder) if is_image_file(path)]


def visible_files(folder: Path) -> list[Path]:
    """Every file in or below `folder`, in order, but for hidden ones; links to folders are followed."""
    files: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            files.extend(Path(place, name) for name in names if not name.startswith("."))
        seen.add(real)
    return sorted(files)


def _parts(source: Path) -> list[tuple[Part | None, Path]]:
    """The parts of an official split, where every folder with images is called like one; else the source itself."""
    folders = [path for path in _sub_folders(source) if image_files(path)]
    named = {path: PART_NAMES.get(path.name.lower()) for path in folders}
    beside = any(is_image_file(path) for path in source.iterdir() if path.is_file())
    if not folders or beside or None in named.values():
        return [(None, source)]
    return [(part, path) for path, part in named.items()]


def _read_part(
    folder: Path, part: Part | None, *, source: Path, options: FolderOptions
) -> tuple[list[Row], list[Finding]]:
    image_root = folder / options.images if (folder / options.images).is_dir() else folder
    mask_root = folder / options.masks if (folder / options.masks).is_dir() else image_root
    images = image_files(image_root)
    masks: list[Path] = []
    if mask_root != image_root:
        masks = [path for path in image_files(mask_root) if stem_of(path).endswith(options.mask_suffix)]
        images = [path for path in images if not path.is_relative_to(mask_root)]
    elif options.mask_suffix:
        masks = [path for path in images if stem_of(path).endswith(options.mask_suffix)]
        images = [path for path in images if not stem_of(path).endswith(options.mask_suffix)]
    naming = AffixPattern(mask_suffix=options.mask_suffix)
    mask_of, findings = match(images, masks, image_root=image_root, mask_root=mask_root, naming=naming)
    rows = [
        Row(
            id="",
            image=image,
            mask=mask_of.get(image),
            labels=_labels(image, image_root) if options.classes else None,
            group=None,
            split=part,
            line=0,
        )
        for image in images
    ]
    return rows, [replace(finding, file=_name(mask_root, source)) for finding in findings]


def _labels(image: Path, root: Path) -> tuple[str, ...] | None:
    place = image.relative_to(root).parts
    return None if len(place) == 1 or place[0].lower() in UNLABELLED else (place[0],)


def _left_out(source: Path) -> list[Finding]:
    """Files that are no images by their ending; said, because a forgotten format looks like missing data."""
    names = [_name(path, source) for path in visible_files(source) if not is_image_file(path)]
    if not names:
        return []
    message = f"{len(names)} files are no images by their ending: {some(names)}; convert them if they should be"
    return [Finding("left-out", "warning", ".", None, message)]


def _nothing(source: Path) -> str:
    endings = Counter(suffix_of(path) or path.name for path in visible_files(source))
    held = f"; it holds {', '.join(ending for ending, _ in endings.most_common(4))}" if endings else "; it is empty"
    return f"no images with an ending of {', '.join(sorted(SUFFIXES))}{held}"


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
