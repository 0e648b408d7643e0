"""Stored features of cache entries, for methods that are fitted to them: no pixels are read, turned or hashed again."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import POOLED, Extractor
from s4mi.data.loading.cached_arrays import Cache
from s4mi.errors import S4miError
from s4mi.training.features import StoredFeatures

READ = 256
"""Cache entries whose features are read at a time."""

log = logging.getLogger("s4mi")


def store_of(extractors: Sequence[Extractor]) -> StoredFeatures | None:
    """Return the store that all of these extractors take their features from; None if there is no such store."""
    stores = [extractor.store for extractor in extractors]
    first = stores[0] if stores else None
    return first if isinstance(first, StoredFeatures) and all(store is first for store in stores) else None


def stored_outputs(
    store: StoredFeatures, extractors: Sequence[Extractor], cache: Cache, entries: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], list[dict[str, Tensor]]]]:
    """Yield blocks of entries with the outputs of each extractor, as `Extractor.forward` returns them of their images.

    Missing ones are computed, and not stored.
    """
    for start in range(0, len(entries), READ):
        block = entries[start : start + READ]
        yield block, [store.of_entries(extractor, cache, block) for extractor in extractors]


def pooled_of_rows(
    store: StoredFeatures, extractor: Extractor, cache: Cache, rows: Sequence[int]
) -> NDArray[np.float64]:
    """(R, D) features of the images of manifest rows; of one cut into tiles, the mean of its tiles.

    Missing ones are computed and stored; if they cannot be stored, a warning says so.
    """
    entries = cache.entries_of(rows)
    try:
        store.fill(extractor, cache, entries)
    except S4miError as error:
        log.warning("%s; features are computed without storing them", error)
    blocks = [outputs[0][POOLED].cpu().numpy() for _, outputs in stored_outputs(store, [extractor], cache, entries)]
    order = np.argsort(rows, kind="stable")
    place = order[np.searchsorted(np.asarray(rows)[order], cache.row[entries])]
    features = np.concatenate(blocks)
    mean = np.zeros((len(rows), features.shape[1]))
    np.add.at(mean, place, features)
    return np.asarray(mean / np.bincount(place, minlength=len(rows))[:, None])
