"""The leaks that this process has found last: runs of a study that differ in their labels alone share their parts."""

from pathlib import Path

from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.manifest import Manifest
from s4mi.data.splits.leakage import Leak, find_leaks
from s4mi.data.splits.split_file import Split

Parts = tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]
_last: list[tuple[Manifest, Parts, tuple[Leak, ...]]] = []


def known_leaks(manifest: Manifest, split: Split, cache: Cache, *, folder: Path | None = None) -> tuple[Leak, ...]:
    """Return the leaks between the parts of a split, as `find_leaks` finds them.

    Args:
        cache: of the images of `manifest`, whose key changes with their files.
        folder: of the caches, in which compared pairs are kept; None: nowhere.
    """
    parts = (cache.key, split.train, split.val, split.test)
    for known, of_parts, leaks in _last:
        if known is manifest and of_parts == parts:
            return leaks
    leaks = find_leaks(manifest, split, digests=cache.digests, thumbnails=cache.thumbnails, cache=folder)
    _last[:] = [(manifest, parts, leaks)]
    return leaks
