"""Paths below a home folder."""

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with `~` and `~user` expanded; one that begins with ~ but names no user, such as `~.html`, as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  `Path.expanduser` raises RuntimeError there
