"""Recognise masks by their names: `x_mask.png` beside `x.png`, or a folder `GroundTruth` named like images.

A file counts as a mask only if the rest of its name is the name of an image, so that a class called "label" or an image
called `mask_1.png` raises no alarm.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.names import normalised

LONG_WORDS = (
    "mask(?:s|en?)?", "segmentations?", "segmentierung(?:en)?", "segmented", "labelmaps?", "labels?",
    "ground[ _-]?truths?", "annotation(?:s|en)?", "annot", "contours?", "konturen?", "outlines?", "lesions?", "binary",
)  # fmt: skip
SHORT_WORDS = ("segm?s?", "gts?", "anno", "rois?", "manual", "superpixels?", "bin")
"""Words that need a separator, as they may end other words."""
SEPARATOR = r"[ _.\-]"
NUMBER = rf"{SEPARATOR}*\(?[0-9]+\)?"
_LONG, _SHORT = "|".join(LONG_WORDS), "|".join(SHORT_WORDS)
_SUFFIX = re.compile(
    rf"(?P<stem>.+?)(?P<before>{SEPARATOR}+\(?[0-9]+\)?)?"
    rf"(?P<affix>(?:{SEPARATOR}*(?:{_LONG})|{SEPARATOR}+(?:{_SHORT}))+)(?P<number>{NUMBER})?",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    rf"(?P<affix>(?:{_LONG}){SEPARATOR}*|(?:{_SHORT}){SEPARATOR}+)(?P<stem>.+?)(?P<number>{SEPARATOR}+\(?[0-9]+\)?)?",
    re.IGNORECASE,
)
_FOLDER_WORD = re.compile(rf"(?:^|[^a-z])(?:{_LONG}|{_SHORT})(?:$|[^a-z])|(?:masks?|segmentations?|groundtruth)$")
MIN_SHARE = 0.8
"""A folder is one of masks if at least this share of its names are names of images elsewhere."""


@dataclass(frozen=True)
class MaskName:
    """The image that the name of a mask refers to, and what the name adds to it; one of the affixes is empty."""

    image: Path
    prefix: str
    suffix: str


def masks_beside(images: Iterable[Path]) -> dict[Path, MaskName]:
    """Return the files whose names are those of another file in the same folder plus a word for masks."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        by_folder[image.parent].append(image)
    found: dict[Path, MaskName] = {}
    for files in by_folder.values():
        if not any(_has_word(_stem(file)) for file in files):
            continue
        by_stem = {_stem(file).casefold(): file for file in reversed(files)}
        for file in files:
            if (name := mask_name(file, by_stem)) is not None:
                found[file] = name
    return found


def _stem(file: Path) -> str:
    return normalised(stem_of(file))


def mask_name(file: Path, images: Mapping[str, Path]) -> MaskName | None:
    """Return the image whose mask `file` is by its name, or None.

    Args:
        images: images by their names in lower case, without extension.
    """
    name = _stem(file)
    for match, is_prefix in ((_SUFFIX.fullmatch(name), False), (_PREFIX.fullmatch(name), True)):
        if match is None:
            continue
        groups = match.groupdict()
        candidates = [groups["stem"] + (groups.get("before") or ""), groups["stem"]]
        if is_prefix:
            candidates = [groups["stem"] + (groups["number"] or ""), groups["stem"]]
        for stem in candidates:
            image = images.get(stem.casefold())
            if image is not None and image != file:
                affix = groups["affix"]
                return MaskName(image, affix if is_prefix else "", "" if is_prefix else affix)
    return None


def most_common_affixes(names: Iterable[MaskName]) -> tuple[str, str]:
    """Return the prefix and suffix that most of the masks have."""
    return Counter((name.prefix, name.suffix) for name in names).most_common(1)[0][0]


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks beside the folder of their images, and the affixes of the names of both."""

    masks: Path
    images: Path
    prefix: str = ""
    suffix: str = ""
    image_suffix: str = ""


def mask_folders(images: Iterable[Path], source: Path) -> list[MaskFolder]:
    """Return the folders of masks below `source`, whose names are those of images in a folder beside them.

    A folder called after masks needs no more than these names, as they are or without what all of a folder end in
    (`a_DAPI`, `a_cells`); in one of another name they have a word for masks as well (`a_lesion_GT` of `a`).
    """
    by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
    for image in images:
        if image.parent != source:
            by_folder[image.parent][normalised(stem_of(image)).casefold()] = image
    beside: dict[Path, list[Path]] = defaultdict(list)  # folders that are not called after masks, by their parent
    for folder in by_folder:
        if not is_mask_word(folder.name):
            beside[folder.parent].append(folder)
    found = []
    for folder, files in by_folder.items():
        called = is_mask_word(folder.name)
        if not called and sum(map(_has_word, files)) < MIN_SHARE * len(files):
            continue
        for other in beside[folder.parent]:
            if other == folder:
                continue
            if (one := _mask_folder(folder, files, other, by_folder[other], called=called)) is not None:
                found.append(one)
                break
    return found


def _has_word(stem: str) -> bool:
    """Whether a name begins or ends with a word for masks."""
    return (_SUFFIX.fullmatch(stem) or _PREFIX.fullmatch(stem)) is not None


def _mask_folder(
    folder: Path, files: Mapping[str, Path], other: Path, others: Mapping[str, Path], *, called: bool
) -> MaskFolder | None:
    affixes = [_affixes(stem, file, others) for stem, file in files.items()]
    known = [pair for pair in affixes if pair is not None and (called or pair != ("", ""))]
    if len(known) >= MIN_SHARE * len(files):
        return MaskFolder(folder, other, *Counter(known).most_common(1)[0][0])
    if not called:
        return None
    if (ends := common_ends(list(map(_stem, others.values())), list(map(_stem, files.values())))) is not None:
        return MaskFolder(folder, other, suffix=ends[1], image_suffix=ends[0])
    if other.name.lower() in ("image", "images"):
        return MaskFolder(folder, other, *(Counter(known).most_common(1)[0][0] if known else ("", "")))
    return None


def common_ends(images: Sequence[str], masks: Sequence[str]) -> tuple[str, str] | None:
    """Return what all names of images and all of masks end in, if without that they are the same names; else None."""
    if not images or not masks:
        return None
    suffix, mask_suffix = _common_end(images), _common_end(masks)
    shared = {name.removesuffix(suffix) for name in images} & {name.removesuffix(mask_suffix) for name in masks}
    return (suffix, mask_suffix) if len(shared) >= MIN_SHARE * max(len(images), len(masks)) else None


def _common_end(names: Sequence[str]) -> str:
    """Return what all names end in, from a separator on."""
    if len(names) < 2:
        return ""
    first, last = min(name[::-1] for name in names), max(name[::-1] for name in names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    end = first[:length][::-1]
    start = next((i for i, sign in enumerate(end) if sign in " _.-"), None)
    return "" if start is None else end[start:]


def is_mask_word(folder_name: str) -> bool:
    """Whether the name of a folder contains a word for masks, such as `labelsTr` or `Task1_GroundTruth`."""
    return _FOLDER_WORD.search(re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", folder_name).lower()) is not None


def _affixes(stem: str, file: Path, images: Mapping[str, Path]) -> tuple[str, str] | None:
    if stem in images:
        return "", ""
    name = mask_name(file, images)
    return None if name is None else (name.prefix, name.suffix)
