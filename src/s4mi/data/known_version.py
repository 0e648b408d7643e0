"""The manifest that this process has read last, so that the runs of a study do not read it again.

It is read anew whenever its files, or the list of versions, have changed. Images and masks are not looked for again;
whoever reads them notices that one is gone.
"""

from pathlib import Path

from s4mi.data.erased import ERASED_NAME
from s4mi.data.manifest import Manifest
from s4mi.data.row import MANIFEST_NAME
from s4mi.data.spec import SPEC_NAME
from s4mi.data.versions import load_version, manifest_name, newest_version, spec_name

Stamp = tuple[tuple[int, int, int, int], ...]
_known: dict[tuple[Path, int | None, int, Stamp], Manifest] = {}


def known_version(folder: Path, version: int | None = None) -> Manifest:
    """Return a version of a data set, by default the newest, as `load_version` reads it.

    Raises:
        S4miError: as `load_version`.
    """
    newest = newest_version(folder)
    of_version = version is None or version == newest
    files = (MANIFEST_NAME, SPEC_NAME) if of_version else (manifest_name(version or 1), spec_name(version or 1))
    try:
        stamp = tuple(_stamp(folder / name) for name in files)
        if (folder / ERASED_NAME).exists():
            stamp = (*stamp, _stamp(folder / ERASED_NAME))
    except OSError:
        return load_version(folder, version)  # which says what is wrong
    key = (folder.absolute(), version, newest, stamp)
    if key not in _known:
        manifest = load_version(folder, version)
        _known.clear()
        _known[key] = manifest
    return _known[key]


def _stamp(file: Path) -> tuple[int, int, int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
