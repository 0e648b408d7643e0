"""Report affixes of names that were given but that no file has, or only some, so that nothing is left out unnoticed."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.row import Row
from s4mi.data.sources.affix_hints import misspelt, suggest_suffix
from s4mi.data.sources.pair_by_name import AffixPattern, some
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def image_affix_findings(images: Sequence[Path], naming: AffixPattern) -> list[Finding]:
    """Return an error for a suffix that no image has, or a warning about images that are left out.

    Args:
        images: all files in the folders of images but masks.
    """
    findings = []
    for suffix in filter(None, (naming.image_suffix, *naming.more_image_suffixes)):
        if not any(stem_of(image).endswith(suffix) for image in images):
            message = f"--image-suffix {suffix!r} fits no image (example of a name: {images[0].name!r}); "
            findings.append(Finding("image-left-out", "error", ".", None, message + "correct it, or leave it out"))
    left = [image.name for image in images if naming.image_stem(image) is None]
    if left and not findings:
        count = f"{len(left)} of {plural(len(images), 'image')}"
        message = (
            f"{naming.of_images} does not fit {count}: {some(left)}; they are left out, so rename them, or add their "
            "suffix with --image-suffix, if they belong to the data set"
        )
        findings.append(Finding("image-left-out", "warning", ".", None, message))
    return findings


def masks_in_images(rows: Sequence[Row], naming: AffixPattern) -> list[Finding]:
    """Return findings where masks are beside their images: an error if no name has the affixes, or those nearly so."""
    images = [row.image for row in rows]
    if not any(row.mask is not None for row in rows):
        message = f"{naming.of_masks} fits no file; {suggest_suffix(images)}"
        return [Finding("mask-without-image", "error", ".", None, message)]
    near = misspelt([*images], naming.mask_suffix) if naming.mask_suffix else []
    if not near:
        return []
    message = (
        f"{plural(len(near), 'image')} named nearly as with {naming.of_masks}: {some([one.name for one in near])}; "
        "rename them if they are masks"
    )
    return [Finding("mask-as-image", "warning", ".", None, message)]
