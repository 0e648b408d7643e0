"""Images of an external test set that a run has already seen: the same file, or a near-duplicate.

A run's own images are those of its training and validation parts, with or without labels, and those that its
pre-training has seen. Where the run's data set is no longer there, its files are compared by the hashes in `data.json`
alone, and near-duplicates cannot be found.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.contract import PretrainedConfig
from s4mi.data.duplicates import near_duplicates
from s4mi.data.images import read_image
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.manifest import Manifest
from s4mi.data.second_look import SecondLook
from s4mi.data.splits.split_file import read_seen
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.training.data_state import DIGITS, read_data_state
from s4mi.training.pretrained_start import SEEN
from s4mi.training.run_dir import RunDir

NO_IMAGES = "the run's own data set cannot be read, so only identical files were looked for, not near-duplicates"
NO_HASHES = "the run's own data set cannot be read and its version stored no hashes, so no leak could be found"


@dataclass(frozen=True)
class OwnImages:
    """Images that a run has seen.

    Attributes:
        digests: first `DIGITS` hexadecimal digits of the hashes of their files.
        paths, thumbnails: of those that can be read, (N, 32, 32, 3).
        note: what could not be compared.
    """

    digests: frozenset[str]
    paths: tuple[Path, ...]
    thumbnails: NDArray[np.uint8]
    manifest: Manifest | None
    note: str = ""


def own_images(run_dir: RunDir, config: RunConfig, *, with_masks: bool) -> OwnImages:
    """Return the images that a run has seen in training and for its choices."""
    names = read_seen(run_dir.split_path)
    seen = _seen_by_pretraining(config)
    try:
        manifest = load_version(config.data.path, config.data.version)
        cache = open_cache(manifest, config.data.preprocessing, folder=config.data.cache, with_masks=with_masks)
    except S4miError:
        state = read_data_state(run_dir.path)
        known = frozenset() if state is None else frozenset(state.rows[name][0] for name in names if name in state.rows)
        empty = np.zeros((0, 32, 32, 3), dtype=np.uint8)
        return OwnImages(known | seen, (), empty, None, NO_HASHES if state is None else NO_IMAGES)
    rows = [number for number, row in enumerate(manifest.rows) if row.id in names]
    digests = frozenset(str(cache.digests[row])[:DIGITS] for row in rows)
    paths = tuple(manifest.rows[row].image for row in rows)
    return OwnImages(digests | seen, paths, cache.thumbnails[rows], manifest)


def leaked_rows(own: OwnImages, manifest: Manifest, cache: Cache) -> list[int]:
    """Return the rows of an external test set that the run has seen, ascending."""
    found = {row for row in range(len(manifest.rows)) if str(cache.digests[row])[:DIGITS] in own.digests}
    if own.manifest is None or not own.paths:
        return sorted(found)
    count, rule = len(own.paths), own.manifest.spec.rule
    files = [*own.paths, *(row.image for row in manifest.rows)]
    look = SecondLook(lambda number: read_image(files[number], rule), len(files))
    thumbnails = np.concatenate([own.thumbnails, cache.thumbnails])
    parts = ["own"] * count + ["external"] * len(manifest.rows)
    found |= {pair.second - count for pair in near_duplicates(thumbnails, parts=parts, same=look.same)}
    return sorted(found)


def _seen_by_pretraining(config: RunConfig) -> frozenset[str]:
    method = config.method
    if not isinstance(method, PretrainedConfig) or method.pretrained is None:
        return frozenset()
    try:
        lines = (method.pretrained / SEEN).read_text(encoding="utf-8").split()
    except OSError:  # the folder of the pre-training run is gone
        return frozenset()
    return frozenset(line[:DIGITS] for line in lines)
