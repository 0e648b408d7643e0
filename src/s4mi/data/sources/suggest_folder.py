"""Propose the import of a folder whose masks are beside the images, or in folders that are not called `masks`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.mask_names import MaskFolder, common_ends, mask_folders, masks_beside, most_common_affixes
from s4mi.data.sources.pair_by_name import AffixPattern
from s4mi.data.sources.pairs import PairsOptions, image_folders, read_pairs
from s4mi.data.sources.patient_pattern import group_by_name, pattern_of_folders
from s4mi.data.sources.suggest_files import suggest_patients
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.walk import image_files

Suggestion = tuple[FoundDataset, str, list[str]]


def suggest_folder(path: Path) -> Suggestion:
    """Return what an import of `path` would find, the kind of source to import it as, and the arguments for it."""
    found, kind, arguments = _layout(path)
    if not any(finding.severity == "error" for finding in found.findings):
        pattern = suggest_patients([row.image.name for row in found.rows])
        if (folders := pattern_of_folders(found.classes)) and kind == "folder" and not arguments:
            found, arguments, pattern = read_folder(path, FolderOptions(classes=False)), ["--no-classes"], folders
        rows, findings = group_by_name(found.rows, pattern, source=found.folder) if pattern else ([], [])
        if rows and not findings:
            return replace(found, rows=tuple(rows)), kind, [*arguments, "--group-pattern", pattern]
    return found, kind, arguments


def _layout(path: Path) -> Suggestion:
    if path.is_dir() and image_folders(path, PairsOptions()):
        return read_pairs(path), "pairs", []
    found = read_folder(path)
    codes = {finding.code for finding in found.findings if finding.severity == "error"}
    if "mask-folder" in codes or "mask-without-image" in codes:
        return _as_pairs(found, path)
    if "mask-among-images" in codes:
        prefix, suffix = most_common_affixes(masks_beside(row.image for row in found.rows).values())
        if prefix:
            options = PairsOptions(images=(".",), masks=(".",), naming=AffixPattern(mask_prefix=prefix))
            return read_pairs(path, options), "pairs", ["--images", ".", "--masks", ".", "--mask-prefix", prefix]
        return read_folder(path, FolderOptions(mask_suffix=suffix)), "folder", ["--mask-suffix", suffix]
    return found, "folder", []


def _as_pairs(found: FoundDataset, path: Path) -> Suggestion:
    """Return the pairs that the folders of images and masks suggest; below folders of parts, those that all have."""
    parts = [one for one in sorted(path.iterdir()) if one.is_dir() and one.name.lower() in PART_NAMES]
    if parts and (suggested := _in_parts(parts, path)) is not None:
        return suggested
    folders = [one for one in _folders(path) if one.masks.parent == path]
    if not folders:
        return found, "folder", []
    images, masks = [one.images.name for one in folders], [one.masks.name for one in folders]
    named = Counter((one.image_suffix, one.prefix, one.suffix) for one in folders).most_common(1)[0][0]
    image_suffix, prefix, suffix = named
    naming = AffixPattern(image_suffix=image_suffix, mask_prefix=prefix, mask_suffix=suffix)
    return _pairs(path, images, masks, naming)


def _folders(path: Path) -> list[MaskFolder]:
    return mask_folders(image_files(path), path)


def _in_parts(parts: Sequence[Path], path: Path) -> Suggestion | None:
    """Return the pairs in folders of parts, with the suffix that the names of images in each part end in."""
    best: dict[str, tuple[str, str, list[str]]] = {}
    for part in parts:
        below = [one for one in sorted(part.iterdir()) if one.is_dir()]
        for images in below:
            for masks in below:
                if images != masks and (match := _affixes(images, masks)) is not None:
                    suffix, mask_suffix = match
                    known = best.setdefault(f"{images.name}\n{masks.name}", (suffix, mask_suffix, []))
                    known[2].append(suffix)
    if not best:
        return None
    # Of several folders of masks, such as one of the field of view, that whose names differ more is the annotation.
    names, (_, mask_suffix, suffixes) = max(best.items(), key=lambda pair: (len(pair[1][2]), _is_manual(pair[0])))
    images_name, masks_name = names.split("\n")
    first, *more = dict.fromkeys(suffixes)
    naming = AffixPattern(image_suffix=first, mask_suffix=mask_suffix, more_image_suffixes=tuple(more))
    if any(not (part / masks_name).is_dir() for part in parts if PART_NAMES[part.name.lower()] != "test"):
        return None
    return _pairs(path, [images_name], [masks_name], naming)


def _is_manual(names: str) -> bool:
    return any(word in names.partition("\n")[2].lower() for word in ("manual", "ground", "gt", "annot", "label", "seg"))


def _affixes(images: Path, masks: Path) -> tuple[str, str] | None:
    """Return the suffixes of images and masks if without them every name is in both folders."""
    stems, other = ([stem_of(file) for file in image_files(folder)] for folder in (images, masks))
    return common_ends(stems, other)


def _pairs(path: Path, images: Sequence[str], masks: Sequence[str], naming: AffixPattern) -> Suggestion:
    arguments: list[str] = []
    for flag, names, default in (("--images", images, ["images"]), ("--masks", masks, ["masks"])):
        if list(names) != default:
            arguments += [argument for name in names for argument in (flag, name)]
    suffixes = [suffix for suffix in (naming.image_suffix, *naming.more_image_suffixes) if suffix]
    arguments += [argument for suffix in suffixes for argument in ("--image-suffix", suffix)]
    arguments += ["--mask-prefix", naming.mask_prefix] * bool(naming.mask_prefix)
    arguments += ["--mask-suffix", naming.mask_suffix] * bool(naming.mask_suffix)
    options = PairsOptions(images=tuple(images), masks=tuple(masks), naming=naming)
    return read_pairs(path, options), "pairs", arguments
