"""Propose the import of a folder whose masks are beside the images, or in folders that are not called `masks`."""

from pathlib import Path

from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.mask_names import mask_folders, masks_beside, most_common_affixes
from s4mi.data.sources.pair_by_name import AffixPattern
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.types import FoundDataset
from s4mi.data.walk import image_files


def suggest_folder(path: Path) -> tuple[FoundDataset, str, list[str]]:
    """Return what an import of `path` would find, the kind of source to import it as, and the arguments for it."""
    found = read_folder(path)
    codes = {finding.code for finding in found.findings if finding.severity == "error"}
    if "mask-folder" in codes:
        return _as_pairs(found, path)
    if "mask-among-images" in codes:
        prefix, suffix = most_common_affixes(masks_beside(row.image for row in found.rows).values())
        if prefix:
            options = PairsOptions(images=(".",), masks=(".",), naming=AffixPattern(mask_prefix=prefix))
            return read_pairs(path, options), "pairs", ["--images", ".", "--masks", ".", "--mask-prefix", prefix]
        return read_folder(path, FolderOptions(mask_suffix=suffix)), "folder", ["--mask-suffix", suffix]
    if "mask-without-image" in codes and (path / "images").is_dir() and (path / "masks").is_dir():
        return _as_pairs(found, path)
    return found, "folder", []


def _as_pairs(found: FoundDataset, path: Path) -> tuple[FoundDataset, str, list[str]]:
    folders = mask_folders(image_files(path), path)
    if not folders or folders[0].masks.parent != path:
        return found, "folder", []
    images, masks = folders[0].images.name, folders[0].masks.name
    naming = AffixPattern(mask_prefix=folders[0].prefix, mask_suffix=folders[0].suffix)
    arguments = ["--images", images] * (images != "images") + ["--masks", masks] * (masks != "masks")
    arguments += ["--mask-prefix", naming.mask_prefix] * bool(naming.mask_prefix)
    arguments += ["--mask-suffix", naming.mask_suffix] * bool(naming.mask_suffix)
    return read_pairs(path, PairsOptions(images=(images,), masks=(masks,), naming=naming)), "pairs", arguments
