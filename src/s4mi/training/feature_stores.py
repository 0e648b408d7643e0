"""The store of stored features that the runs of a process share, and extractors that take features from it."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.config import RunConfig
from s4mi.contract.features import Extractor
from s4mi.engine.runtime import Runtime
from s4mi.training.features import BATCH, FOLDER, StoredFeatures, precision_of

_stores: dict[tuple[Path, str, str, str, int], StoredFeatures] = {}
"""The store that this process uses."""


def feature_store(config: RunConfig, runtime: Runtime, *, batch_size: int = BATCH) -> StoredFeatures:
    """Return the store of a run, in its `data.cache`; the runs of a study share what it knows."""
    precision = config.hardware.precision
    key = (config.data.cache / FOLDER, str(runtime.device), str(precision_of(runtime)), precision, batch_size)
    if key not in _stores:
        _stores.clear()  # a study has one cache; another store would only keep memory
        _stores[key] = StoredFeatures(key[0], runtime, precision=precision, batch_size=batch_size)
    return _stores[key]


def attach(extractors: Sequence[Extractor], store: StoredFeatures | None) -> None:
    """Let extractors take their features from a store; None: compute them each time."""
    for extractor in extractors:
        extractor.store = store
