"""Errors for masks where images are expected, with the options that read them as masks."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from s4mi.data.sources.mask_names import mask_folders, masks_beside, most_common_affixes
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def find_masks_beside(images: Sequence[Path], source: Path, *, suffix: str | None) -> list[Finding]:
    """Return an error if names of images are those of others plus a word for masks, such as `x_mask.png` and `x.png`.

    Args:
        suffix: the suffix that was passed with --mask-suffix, or None.
    """
    beside = masks_beside(images)
    if not beside:
        return []
    mask, name = next(iter(beside.items()))
    prefix, common_suffix = most_common_affixes(beside.values())
    if suffix:
        hint = f"without the suffix {suffix!r}; move those out of the folder, or rename them"
    elif prefix:
        hint = f"use s4mi data import pairs with --images . --masks . --mask-prefix {shlex.quote(prefix)}"
    else:
        hint = f"use --mask-suffix {shlex.quote(common_suffix)}"
    message = (
        f"{plural(len(beside), 'image')} named like masks of others, e.g. {mask.name!r} of {name.image.name!r}"
        f"{' ' if suffix else '; '}{hint}; if all are images, use --mask-suffix ''"
    )
    return [Finding("mask-among-images", "error", _name(mask, source), None, message)]


def find_mask_folders(images: Sequence[Path], folder: Path, *, source: Path) -> list[Finding]:
    """Return an error if `folder` has folders of masks beside those of their images under names not known as such."""
    found = mask_folders(images, folder)
    if not found:
        return []
    first = found[0]
    arguments = ["--images", _name(first.images, folder), "--masks", _name(first.masks, folder)]
    for option, affix in (
        ("--image-suffix", first.image_suffix), ("--mask-prefix", first.prefix), ("--mask-suffix", first.suffix),
    ):  # fmt: skip
        arguments += [option, affix] * bool(affix)
    hint = f"use s4mi data import pairs with {shlex.join(arguments)}"
    if len(found) > 1:
        others = some([_name(one.masks, source) for one in found[1:]])
        hint += f" for these, and import those of {others} likewise, or list all in a table with a column mask"
    message = (
        f"looks like masks of the images in {_name(first.images, source)!r}, not like images; {hint}; "
        "if all are images, use --mask-suffix ''"
    )
    return [Finding("mask-folder", "error", _name(first.masks, source), None, message)]


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
