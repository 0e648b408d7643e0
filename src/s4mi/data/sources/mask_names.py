"""Recognise masks by their names: `x_mask.png` beside `x.png`, or a folder `GroundTruth` named like images.

A file counts as a mask only if the rest of its name is the name of an image, so that a class called "label" or an image
called `mask_1.png` raises no alarm.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.names import normalised

LONG_WORDS = (
    "masks?", "segmentations?", "segmented", "labelmaps?", "labels?", "ground[ _-]?truths?", "annotations?", "annot",
    "contours?", "lesions?", "binary",
)  # fmt: skip
SHORT_WORDS = ("segm?s?", "gts?", "anno", "rois?", "manual", "superpixels?", "bin")
"""Words that need a separator, as they may end other words."""
SEPARATOR = r"[ _.\-]"
NUMBER = rf"{SEPARATOR}*\(?[0-9]+\)?"
_LONG, _SHORT = "|".join(LONG_WORDS), "|".join(SHORT_WORDS)
_SUFFIX = re.compile(
    rf"(?P<stem>.+?)(?P<before>{SEPARATOR}+\(?[0-9]+\)?)?"
    rf"(?P<affix>{SEPARATOR}*(?:{_LONG})|{SEPARATOR}+(?:{_SHORT}))(?P<number>{NUMBER})?",
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
        if not any(_SUFFIX.fullmatch(name) or _PREFIX.fullmatch(name) for name in map(_stem, files)):
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
    """A folder of masks beside the folder of their images, and the affixes of the masks' names."""

    masks: Path
    images: Path
    prefix: str = ""
    suffix: str = ""


def mask_folders(images: Iterable[Path], source: Path) -> list[MaskFolder]:
    """Return the folders below `source` called after masks, whose names are those of images in a folder beside them."""
    by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
    for image in images:
        if image.parent != source:
            by_folder[image.parent][normalised(stem_of(image)).casefold()] = image
    found = []
    for folder, files in by_folder.items():
        if not is_mask_word(folder.name):
            continue
        for other, others in by_folder.items():
            if other.parent != folder.parent or is_mask_word(other.name):
                continue
            affixes = [_affixes(stem, file, others) for stem, file in files.items()]
            known = [pair for pair in affixes if pair is not None]
            if len(known) >= MIN_SHARE * len(files) or other.name.lower() in ("image", "images"):
                found.append(MaskFolder(folder, other, *(Counter(known).most_common(1)[0][0] if known else ("", ""))))
                break
    return found


def is_mask_word(folder_name: str) -> bool:
    """Whether the name of a folder contains a word for masks, such as `labelsTr` or `Task1_GroundTruth`."""
    return _FOLDER_WORD.search(re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", folder_name).lower()) is not None


def _affixes(stem: str, file: Path, images: Mapping[str, Path]) -> tuple[str, str] | None:
    if stem in images:
        return "", ""
    name = mask_name(file, images)
    return None if name is None else (name.prefix, name.suffix)
