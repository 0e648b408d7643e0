"""Propose the affixes of the names of masks where those that were given, or none, do not fit."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.errors import closest

LOOKED_AT = 50
"""Masks among whose names a similar pair is searched."""


def suggest_affixes(images: Sequence[Path], masks: Sequence[Path]) -> str:
    """Suggest options for the affixes of the names, from the most similar pair of an image and a mask."""
    stems = {stem_of(image) for image in images}
    for mask in masks[:LOOKED_AT]:
        name = stem_of(mask)
        contained = max((stem for stem in stems if stem in name), key=len, default="")
        if contained:
            prefix, _, suffix = name.partition(contained)
            options = [f"--mask-prefix {prefix!r}"] * bool(prefix) + [f"--mask-suffix {suffix!r}"] * bool(suffix)
            hint = f"use {' '.join(options)}" if options else "leave out --mask-prefix and --mask-suffix"
            return f"{mask.name!r} seems to belong to {contained!r}: {hint}"
        start = max((_common_start(stem, name) for stem in stems), key=len, default="")
        image = next((stem for stem in stems if start and stem.startswith(start)), None)
        if image is not None and len(start) > len(name) // 2:
            return (
                f"{mask.name!r} seems to belong to {image!r}: use --image-suffix {image[len(start) :]!r} "
                f"--mask-suffix {name[len(start) :]!r}"
            )
    example = f" (example of an image name: {images[0].name!r})" if images else ""
    return f"specify how mask names differ with --mask-suffix or --mask-prefix{example}"


def suffixes_beside(files: Sequence[Path]) -> dict[Path, str]:
    """Return what the names of files add to that of another file in their folder, unless it is only a number."""
    stems: dict[Path, set[str]] = defaultdict(set)
    for file in files:
        stems[file.parent].add(stem_of(file))
    found = {}
    for file in files:
        name = stem_of(file)
        shorter = next((name[:end] for end in range(len(name) - 1, 0, -1) if name[:end] in stems[file.parent]), name)
        suffix = name[len(shorter) :]
        if suffix and not suffix.strip(" _.-()").isdecimal():
            found[file] = suffix
    return found


def suggest_suffix(files: Sequence[Path]) -> str:
    """Suggest the suffix of masks beside their images: the most common of those that names add to another name."""
    found = suffixes_beside(files)
    if not found:
        example = f"{files[0].name!r}" if files else "none"
        return f"correct it, or leave it out (example of a name: {example})"
    suffix = Counter(found.values()).most_common(1)[0][0]
    mask = next(file for file, own in found.items() if own == suffix)
    return f"{mask.name!r} seems to be the mask of {stem_of(mask).removesuffix(suffix)!r}: use --mask-suffix " + (
        shlex.quote(suffix)
    )


def misspelt(files: Sequence[Path], suffix: str) -> list[Path]:
    """Return the files that are named like another file plus nearly `suffix`, such as `x_sgm` for `_seg`."""
    return [
        file for file, own in suffixes_beside(files).items() if closest(own.casefold(), [suffix.casefold()]) is not None
    ]


def _common_start(one: str, other: str) -> str:
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in equal)
