"""How files of weights are named; known without torch."""

import re
from collections.abc import Iterable
from pathlib import Path

ENDINGS = (".safetensors", ".pth.tar", ".pth", ".pt", ".bin", ".ckpt")
SIZE = re.compile(r"_(192|196|224|240|256|288|320|336|384|448|512|560)$")
"""Image sizes at the end of names of timm; other numbers there are widths."""


def stem_of(path: Path) -> str:
    """Name of a file without its ending, which is one of `ENDINGS`."""
    ending = next(ending for ending in ENDINGS if path.name.lower().endswith(ending))
    return path.name[: -len(ending)]


def begins(stem: str, name: str) -> bool:
    """Whether `stem` begins with a name, up to its end or a separator."""
    return stem.startswith(name) and (len(stem) == len(name) or stem[len(name)] in "._-")


def accepted_names(name: str) -> set[str]:
    """What the file of a network may be named for: the network, or it without its image size."""
    return {name, SIZE.sub("", name)}


def weight_paths(folder: Path) -> list[Path]:
    """Files of a folder that may hold weights; none of one that cannot be read."""
    try:
        return [path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS) and path.is_file()]
    except OSError:
        return []


def may_hold(folders: Iterable[Path], name: str, *, original: str) -> bool:
    """Whether a file is named for a network, or for one whose name begins with its name."""
    return any(
        path.name == original or any(begins(stem_of(path), each) for each in accepted_names(name))
        for folder in folders
        for path in weight_paths(folder)
    )
