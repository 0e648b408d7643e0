"""Which mask belongs to which image, by name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.spec import Finding


@dataclass(frozen=True)
class AffixPattern:
    """What the names of images and masks have around what is the same in both, before the ending."""

    image_prefix: str = ""
    image_suffix: str = ""
    mask_prefix: str = ""
    mask_suffix: str = ""

    def image_stem(self, path: Path) -> str | None:
        """What an image's name shares with its mask's, or None where it is no image by its name."""
        return _within(stem_of(path), self.image_prefix, self.image_suffix)

    def mask_stem(self, path: Path) -> str | None:
        """What a mask's name shares with its image's, or None where it is no mask by its name."""
        return _within(stem_of(path), self.mask_prefix, self.mask_suffix)


def match(
    images: Sequence[Path], masks: Sequence[Path], *, image_root: Path, mask_root: Path, naming: AffixPattern
) -> tuple[dict[Path, Path], list[Finding]]:
    """The mask of every image: the one at the same place below its root, else the only one of the same name."""
    stems = {mask: stem for mask in masks if (stem := naming.mask_stem(mask)) is not None}
    by_place = {mask.relative_to(mask_root).parent / stem: mask for mask, stem in stems.items()}
    counts = Counter(stems.values())
    by_name = {stem: mask for mask, stem in stems.items() if counts[stem] == 1}
    mask_of = {}
    for image in images:
        stem = naming.image_stem(image)
        if stem is None:
            continue
        mask = by_place.get(image.relative_to(image_root).parent / stem) or by_name.get(stem)
        if mask is not None:
            mask_of[image] = mask
    return mask_of, _about(images, list(stems), mask_of)


def _about(images: Sequence[Path], masks: Sequence[Path], mask_of: dict[Path, Path]) -> list[Finding]:
    findings = []
    used = set(mask_of.values())
    unused = [mask.name for mask in masks if mask not in used]
    if unused:
        cure = _guess(images, masks) if not mask_of else "give them the names of their images, or leave them out"
        message = f"{len(unused)} of {len(masks)} masks have no image of their name: {some(unused)}; {cure}"
        findings.append(Finding("mask-without-image", "warning" if mask_of else "error", "", None, message))
    twice = [mask.name for mask, count in Counter(mask_of.values()).items() if count > 1]
    if twice:
        message = f"{len(twice)} masks fit several images: {some(twice)}; give each image a name of its own"
        findings.append(Finding("mask-of-several-images", "error", "", None, message))
    return findings


def _guess(images: Sequence[Path], masks: Sequence[Path]) -> str:
    """What the names of masks seem to add to those of images, from the closest pair of names."""
    stems = {stem_of(image) for image in images}
    for mask in masks[:50]:
        name = stem_of(mask)
        inside = max((stem for stem in stems if stem in name), key=len, default="")
        if inside:
            before, _, after = name.partition(inside)
            said = [f"--mask-prefix {before!r}"] * bool(before) + [f"--mask-suffix {after!r}"] * bool(after)
            return f"{mask.name!r} seems to belong to {inside!r}: say {' '.join(said)}"
        start = max((_shared_start(stem, name) for stem in stems), key=len, default="")
        image = next((stem for stem in stems if start and stem.startswith(start)), None)
        if image is not None and len(start) > len(name) // 2:
            return (
                f"{mask.name!r} seems to belong to {image!r}: say --image-suffix {image[len(start) :]!r} "
                f"--mask-suffix {name[len(start) :]!r}"
            )
    example = f" (an image is called {images[0].name!r})" if images else ""
    return f"say what their names add with --mask-suffix or --mask-prefix{example}"


def _shared_start(one: str, other: str) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in same)


def _within(name: str, prefix: str, suffix: str) -> str | None:
    if len(name) <= len(prefix) + len(suffix) or not (name.startswith(prefix) and name.endswith(suffix)):
        return None
    return name[len(prefix) : len(name) - len(suffix)]


def some(names: Sequence[str], *, most: int = 3) -> str:
    """The first few names in quotes, for a message."""
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")
