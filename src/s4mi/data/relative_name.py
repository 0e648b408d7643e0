"""How messages and tables name a file."""

from pathlib import Path


def relative_name(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder` if it is below it, else as it is, with forward slashes."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
