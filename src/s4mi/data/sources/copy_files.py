"""Copy images and masks into a data set folder, under paths that keep their folders."""

import os
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from s4mi.data.parallel import in_parallel
from s4mi.data.sources.types import FoundDataset, ProgressCallback
from s4mi.records.atomic import replacing


def copy_targets(found: FoundDataset, destination: Path) -> dict[Path, Path]:
    """Return the path of every image and mask in the data set folder."""
    masks = [row.mask for row in found.rows if row.mask is not None]
    return {
        **_targets_in(destination / "images", [row.image for row in found.rows], source=found.folder),
        **_targets_in(destination / "masks", masks, source=found.folder),
    }


def _targets_in(folder: Path, paths: Sequence[Path], *, source: Path) -> dict[Path, Path]:
    full = {path: relative_path(path, source) for path in paths}
    # `train/images/a.png` becomes `images/train/a.png`, unless two files would get the same path.
    short = {path: PurePosixPath(*(part for part in name.parts if part != folder.name)) for path, name in full.items()}
    names = short if len(set(short.values())) == len(short) else full
    return {path: folder / name for path, name in names.items()}


def copy_all(targets: Mapping[Path, Path], *, progress: ProgressCallback) -> None:
    """Copy every file to its target, on all cores."""
    copies = in_parallel(_copy, list(targets.items()), progress=partial(progress, "copying"))
    deque(copies, maxlen=0)


def _copy(pair: tuple[Path, Path]) -> None:
    """Copy a file with its modification time, atomically, unless the target has the same size and time."""
    path, target = pair
    state = path.stat()
    if target.exists():
        existing = target.stat()
        if (existing.st_size, existing.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
            return
    with replacing(target, private=True, flush=False) as draft:
        shutil.copyfile(path, draft)
        os.utime(draft, ns=(state.st_atime_ns, state.st_mtime_ns))


def relative_path(path: Path, folder: Path) -> PurePosixPath:
    """Return `path` relative to `folder`, or to the root of its file system if it is elsewhere."""
    relative = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to(path.anchor)
    return PurePosixPath(relative.as_posix())
