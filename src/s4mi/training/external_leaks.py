"""Images of an external test set that a run has already seen: the same file, or a near-duplicate.

A run's own images are those of its training and validation parts, with or without labels, and those that its
pre-training has seen. Where the run's data set is no longer there, its files are compared by the hashes in `data.json`
alone, and near-duplicates cannot be found.
"""

from dataclasses import dataclass

import numpy as np

from s4mi.config import RunConfig
from s4mi.contract import PretrainedConfig
from s4mi.data.copies import find_copies
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.splits.split_file import read_split_ids
from s4mi.data.thumbnails import Thumbnails, in_memory
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
        digests: first `DIGITS` hexadecimal digits of the hashes of their files. digests_of_rows: whole ones.
        rows, thumbnails: of those that can be read.
        note: what could not be compared.
    """

    digests: frozenset[str]
    rows: tuple[Row, ...]
    digests_of_rows: tuple[str, ...]
    thumbnails: Thumbnails
    note: str = ""


def own_images(run_dir: RunDir, config: RunConfig, *, with_masks: bool) -> OwnImages:
    """Return the images that a run has seen in training and for its choices."""
    parts = read_split_ids(run_dir.split_path)
    names = parts["train"] | parts["val"]
    seen = _seen_by_pretraining(config)
    try:
        manifest = load_version(config.data.path, config.data.version)
        cache = open_cache(manifest, config.data.preprocessing, folder=config.data.cache, with_masks=with_masks)
    except S4miError:
        state = read_data_state(run_dir.path)
        known = frozenset() if state is None else frozenset(state.rows[name][0] for name in names if name in state.rows)
        empty = in_memory(np.zeros((0, 32, 32, 3), dtype=np.uint8))
        return OwnImages(known | seen, (), (), empty, NO_HASHES if state is None else NO_IMAGES)
    numbers = [number for number, row in enumerate(manifest.rows) if row.id in names]
    digests = tuple(str(cache.digests[number]) for number in numbers)
    rows = tuple(manifest.rows[number] for number in numbers)
    return OwnImages(seen | {digest[:DIGITS] for digest in digests}, rows, digests, cache.thumbnails.take(numbers))


def leaked_rows(own: OwnImages, manifest: Manifest, cache: Cache) -> list[int]:
    """Return the rows of an external test set, read as the run reads its own, that the run has seen, ascending."""
    count, digests = len(own.rows), [str(digest) for digest in cache.digests]
    copies = find_copies(
        [*own.rows, *manifest.rows], digests=[*own.digests_of_rows, *digests],
        thumbnails=own.thumbnails.followed_by(cache.thumbnails), intensity=manifest.spec.rule, different=(),
        parts=["own"] * count + ["external"] * len(digests),
    )  # fmt: skip
    seen = own.digests | {digests[copy.second - count][:DIGITS] for copy in copies}
    return [row for row, digest in enumerate(digests) if digest[:DIGITS] in seen]


def _seen_by_pretraining(config: RunConfig) -> frozenset[str]:
    method = config.method
    if not isinstance(method, PretrainedConfig) or method.pretrained is None:
        return frozenset()
    try:
        lines = (method.pretrained / SEEN).read_text(encoding="utf-8").split()
    except OSError:  # the folder of the pre-training run is gone
        return frozenset()
    except UnicodeDecodeError as error:
        raise S4miError(f"{method.pretrained / SEEN}: cannot be read ({error}); pre-train again") from error
    return frozenset(line[:DIGITS] for line in lines)
