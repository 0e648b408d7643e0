"""Study files that come with s4mi, found by name, such as `first-answer`."""

from importlib.resources import files
from pathlib import Path

from s4mi.errors import S4miError, nearest

FOLDER = "studies"


def packaged_studies() -> dict[str, Path]:
    """Return the study files of the package by name."""
    folder = Path(str(files("s4mi.config") / FOLDER))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def study_path(path: Path) -> Path:
    """Return `path`, or the packaged study of this name where there is no such file.

    Raises:
        S4miError: neither a file nor a name.
    """
    if path.exists() or path.suffix or path.name != str(path):
        return path
    known = packaged_studies()
    if str(path) not in known:
        hint = nearest(str(path), known) or f"; by name there are: {', '.join(known)}"
        raise S4miError(f"{path}: neither a study file nor the name of one{hint}")
    return known[str(path)]
