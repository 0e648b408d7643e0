"""The best weights of one network that are at hand: in a folder, in a cache, by download."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from s4mi.config.choice import NOWHERE, AtHand
from s4mi.config.downloads import can_download
from s4mi.config.published_table import published
from s4mi.nets.initial_weights import IMAGENET, NONE
from s4mi.nets.network_names import Library
from s4mi.nets.published_source import torch_cache
from s4mi.nets.weight_file_names import may_hold

log = logging.getLogger("s4mi")


def at_hand(name: str, library: Library, *, folders: Sequence[Path], files: Sequence[Path] = ()) -> AtHand:
    """The best weights of a network that are at hand: "imagenet", the path of a file, or "none".

    Args:
        folders: where files of this network are looked for by name.
        files: if there are any, nothing but these is considered, whatever their names.
    """
    if files:
        from s4mi.nets.weight_names import misfit  # reads them, with torch

        fits = [file for file in files if file.is_file() and not misfit(file, name, library=library)]
        return AtHand(str(fits[0]), f"file {fits[0].name}") if fits else AtHand(NONE, NOWHERE)
    return _at_hand(name, library, tuple(folders), tuple(map(_changed, folders)))


def _changed(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


@lru_cache(maxsize=512)
def _at_hand(name: str, library: Library, folders: tuple[Path, ...], _states: tuple[int, ...]) -> AtHand:
    source = published(name, library)
    url = "" if source is None else source.url
    found, refused = _weight_file(name, folders, library, url)
    for line in refused:
        log.warning("not used as weights of %r: %s", name, line)
    if found is not None:
        return AtHand(str(found), f"file {found.name} in the folder of S4MI_WEIGHTS")
    if source is not None and source.cached:
        return AtHand(IMAGENET, f"{source.title} in the cache")
    found, _ = _weight_file(name, (torch_cache(),), library, url)
    if found is not None:
        return AtHand(str(found), f"file {found.name} in torch's cache")
    if source is not None and can_download(source.address):
        return AtHand(IMAGENET, f"{source.title} by download")
    return AtHand(NONE, NOWHERE)


def _weight_file(name: str, folders: tuple[Path, ...], library: Library, url: str) -> tuple[Path | None, list[str]]:
    """`nets.weight_names.weight_file`, which imports torch, if a file has such a name."""
    if not may_hold(folders, name, original=Path(url).name):
        return None, []
    from s4mi.nets.weight_names import weight_file

    return weight_file(name, folders, library=library, url=url)
