"""Match masks to images by their file names."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path, PurePath

from s4mi.data.files import stem_of
from s4mi.data.names import NameIndex
from s4mi.data.sources.affix_hints import suggest_affixes
from s4mi.data.spec import Finding
from s4mi.formatting import plural

NUMBER = re.compile(r"[ _.\-]+\(?[0-9]+\)?$|\([0-9]+\)$")
"""A number at the end of a name, with something before it that separates it from the name."""
ATTACHED_NUMBER = re.compile(r"[ _.\-]*\(?[0-9]+\)?$")


@dataclass(frozen=True)
class AffixPattern:
    """Prefixes and suffixes around the part of the file name (without extension) that an image and its mask share.

    Attributes:
        more_image_suffixes: other suffixes of images, such as `_test` beside `_training`.
    """

    image_prefix: str = ""
    image_suffix: str = ""
    mask_prefix: str = ""
    mask_suffix: str = ""
    more_image_suffixes: tuple[str, ...] = ()

    def image_stem(self, path: Path) -> str | None:
        """Return the shared part of an image's name, or None if the name does not match."""
        for suffix in sorted((self.image_suffix, *self.more_image_suffixes), key=len, reverse=True):
            stem = _strip_affixes(stem_of(path), self.image_prefix, suffix)
            if stem is not None:
                return stem
        return None

    def mask_stem(self, path: Path) -> str | None:
        """Return the shared part of a mask's name, or None if the name does not match."""
        return _strip_affixes(stem_of(path), self.mask_prefix, self.mask_suffix)

    def numbered_stems(self, path: Path) -> list[str]:
        """Return the possible shared parts of a mask's name that has a number before or after its suffix."""
        name = stem_of(path)
        after = (ATTACHED_NUMBER if self.mask_suffix else NUMBER).sub("", name)
        stems = [_strip_affixes(after, self.mask_prefix, self.mask_suffix)] if after != name else []
        if (stem := self.mask_stem(path)) is not None and self.mask_suffix:
            stems.append(NUMBER.sub("", stem))
        return [stem for stem in stems if stem]

    @property
    def of_masks(self) -> str:
        """The options for the names of masks, as given, or `''`."""
        options = (("--mask-prefix", self.mask_prefix), ("--mask-suffix", self.mask_suffix))
        return " ".join(f"{option} {affix!r}" for option, affix in options if affix)

    @property
    def of_images(self) -> str:
        """The options for the names of images, as given, or `''`."""
        suffixes = (self.image_suffix, *self.more_image_suffixes)
        options = (("--image-prefix", self.image_prefix), *(("--image-suffix", suffix) for suffix in suffixes))
        return " ".join(f"{option} {affix!r}" for option, affix in options if affix)

    def is_mask(self, path: Path) -> bool:
        """Whether a name is that of a mask, with or without a number after it."""
        return self.mask_stem(path) is not None or (bool(self.mask_suffix) and bool(self.numbered_stems(path)))


@dataclass(frozen=True)
class Matches:
    """The mask of every image that has one, and the further masks of the same image, by its first mask."""

    mask_of: dict[Path, Path]
    further: dict[Path, tuple[Path, ...]]
    findings: list[Finding]


def match(
    images: Sequence[Path],
    masks: Sequence[Path],
    *,
    image_roots: Sequence[Path],
    mask_roots: Sequence[Path],
    naming: AffixPattern,
) -> Matches:
    """Find the masks of every image: that at the same path below its root, else the only one of the same name.

    A mask whose name has a number more, such as `x_mask_1` of `x`, is a further mask of the image.
    """
    stems = {mask: stem for mask in masks if (stem := naming.mask_stem(mask)) is not None}
    by_path, by_name = NameIndex[Path](), NameIndex[Path]()
    for mask, stem in stems.items():
        by_path.add((_below(mask, mask_roots) / stem).as_posix(), mask)
        by_name.add(stem, mask)
    folders = _Folders(image_roots, mask_roots, frozenset(_below(image, image_roots).parts for image in images))
    mask_of = {}
    for image in images:
        stem = naming.image_stem(image)
        if stem is None:
            continue
        same_path = by_path.get((_below(image, image_roots) / stem).as_posix())
        found = same_path[-1] if same_path else by_name.only(stem)
        if found is not None and folders.may_belong(found, image):
            mask_of[image] = found
    numbered = _numbered(images, masks, mask_of, naming=naming, folders=folders)
    further: dict[Path, tuple[Path, ...]] = {}
    for image, more in numbered.items():
        first = mask_of.setdefault(image, more[0])
        if others := tuple(mask for mask in more if mask != first):
            further[first] = others
    used = [mask for others in further.values() for mask in others]
    fitting = {*used, *(mask for mask in masks if naming.is_mask(mask))}
    twice = _twice(stems, mask_of, {*mask_of.values(), *used}, naming=naming, folders=folders)
    findings = _match_findings(images, [one for one in masks if one in fitting and one not in twice], mask_of, used)
    if twice:
        message = (
            f"{plural(len(twice), 'mask')} left out, whose images have another mask of the same name: "
            f"{some([f'{one.parent.name}/{one.name}' for one in twice])}; name one folder with --masks, or keep one "
            "file"
        )
        findings.append(Finding("mask-twice", "warning", "", None, message))
    findings += left_out(
        images, [mask for mask in masks if mask not in fitting], mask_of, fitting=len(fitting), naming=naming
    )
    if further:
        (first, others), *_ = further.items()
        message = (
            f"{plural(len(further), 'image')} with several masks, which are united: "
            f"{some([first.name, *(mask.name for mask in others)])}"
        )
        findings.append(Finding("masks-united", "note", "", None, message))
    return Matches(mask_of, further, findings)


@dataclass(frozen=True)
class _Folders:
    """The folders that images and masks are below, and those below them that hold images."""

    image_roots: Sequence[Path]
    mask_roots: Sequence[Path]
    of_images: frozenset[tuple[str, ...]]

    def may_belong(self, mask: Path, image: Path) -> bool:
        """Whether a mask may be that of an image: not if its folder, such as that of a patient, holds other images."""
        own = _below(mask, self.mask_roots).parts
        return not own or own not in self.of_images or own == _below(image, self.image_roots).parts


def _twice(
    stems: Mapping[Path, str],
    mask_of: Mapping[Path, Path],
    matched: AbstractSet[Path],
    *,
    naming: AffixPattern,
    folders: _Folders,
) -> dict[Path, None]:
    """Return the masks at the path of an image that has another one, in a further folder or with another extension.

    Args:
        stems: names of all masks without affixes. matched: masks that are used.
    """
    paths = {(_below(image, folders.image_roots) / (naming.image_stem(image) or "")).as_posix() for image in mask_of}
    return {
        mask: None for mask, stem in stems.items()
        if mask not in matched and (_below(mask, folders.mask_roots) / stem).as_posix() in paths
    }  # fmt: skip


def left_out(
    images: Sequence[Path],
    masks: Sequence[Path],
    mask_of: Mapping[Path, Path],
    *,
    fitting: int,
    naming: AffixPattern,
) -> list[Finding]:
    """Report masks whose names lack the affixes that were given: an error if no mask is left.

    Where every image has a mask, they are another kind of mask, which the affixes are there to leave out.

    Args:
        fitting: number of masks that have the affixes.
    """
    if not masks:
        return []
    of_all = f"{len(masks)} of {plural(len(masks) + fitting, 'mask')}: {some([mask.name for mask in masks])}"
    if not mask_of:
        message = f"{naming.of_masks} does not fit {of_all}; {suggest_affixes(images, masks)}"
        return [Finding("mask-without-image", "error", "", None, message)]
    without = sum(image not in mask_of for image in images)
    if not without:
        message = f"{naming.of_masks} leaves out {of_all}; every image has a mask without them"
        return [Finding("mask-left-out", "note", "", None, message)]
    lack = f"{without} of {plural(len(images), 'image')} lack a mask"
    message = f"{naming.of_masks} does not fit {of_all}; they are left out, but {lack}, so rename those that are theirs"
    return [Finding("mask-left-out", "warning", "", None, message)]


def _numbered(
    images: Sequence[Path],
    masks: Sequence[Path],
    mask_of: Mapping[Path, Path],
    *,
    naming: AffixPattern,
    folders: "_Folders",
) -> dict[Path, list[Path]]:
    """Return the masks whose names are those of an image's mask with a number before or after the suffix."""
    by_path, by_name = NameIndex[Path](), NameIndex[Path]()
    for image in images:
        if (stem := naming.image_stem(image)) is not None:
            by_path.add((_below(image, folders.image_roots) / stem).as_posix(), image)
            by_name.add(stem, image)
    taken = set(mask_of.values())
    found: dict[Path, list[Path]] = defaultdict(list)
    for mask in masks:
        if mask in taken:
            continue
        for stem in naming.numbered_stems(mask):
            same_path = by_path.get((_below(mask, folders.mask_roots) / stem).as_posix())
            image_of = same_path[-1] if same_path else by_name.only(stem)
            if image_of is not None and folders.may_belong(mask, image_of):
                found[image_of].append(mask)
                break
    return found


def _match_findings(
    images: Sequence[Path], masks: Sequence[Path], mask_of: dict[Path, Path], further: Sequence[Path]
) -> list[Finding]:
    findings = []
    matched = {*mask_of.values(), *further}
    unmatched = [mask.name for mask in masks if mask not in matched]
    if unmatched:
        hint = suggest_affixes(images, masks) if not mask_of else "rename them after their images, or remove them"
        message = f"{len(unmatched)} of {plural(len(masks), 'mask')} without an image: {some(unmatched)}; {hint}"
        findings.append(Finding("mask-without-image", "warning" if mask_of else "error", "", None, message))
    shared = [mask.name for mask, count in Counter(mask_of.values()).items() if count > 1]
    if shared:
        message = f"{plural(len(shared), 'mask')} matched by several images: {some(shared)}; make image names unique"
        findings.append(Finding("mask-of-several-images", "error", "", None, message))
    return findings


def _below(path: Path, roots: Sequence[Path]) -> PurePath:
    """Return the folder of `path` relative to the root that contains it."""
    return next(path.relative_to(root).parent for root in roots if path.is_relative_to(root))


def _strip_affixes(name: str, prefix: str, suffix: str) -> str | None:
    if len(name) <= len(prefix) + len(suffix) or not (name.startswith(prefix) and name.endswith(suffix)):
        return None
    return name[len(prefix) : len(name) - len(suffix)]


def some(names: Sequence[str], *, most: int = 3) -> str:
    """Quote the first few of several names, for a message."""
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")
