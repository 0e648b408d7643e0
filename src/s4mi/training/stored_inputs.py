"""Stored features of cache entries, for methods that are fitted to them: no pixels are read, turned or hashed again."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Extractor
from s4mi.data.loading.cached_arrays import Cache
from s4mi.training.features import StoredFeatures

READ = 256
"""Cache entries whose features are read at a time."""


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
