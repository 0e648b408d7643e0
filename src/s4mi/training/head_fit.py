"""Fit a method to the stored features of some labelled images of a run."""

import numpy as np

from s4mi.contract import Fit, FittedClassifier, FittedSegmenter
from s4mi.training.features import StoredFeatures
from s4mi.training.fitting_data import labelled_features, masked_features
from s4mi.training.prepare import Prepared
from s4mi.training.row_labels import patients_of


def fit_to_rows(
    method: FittedClassifier | FittedSegmenter,
    store: StoredFeatures,
    prepared: Prepared,
    rows: list[int],
    *,
    generator: np.random.Generator,
) -> Fit:
    """Fit a method to rows of the manifest, whose features in all views of the method are stored.

    Raises:
        S4miError: the labels do not suffice.
    """
    cache = prepared.cache
    entries = cache.entries_of(rows)
    groups = patients_of(prepared.manifest)[cache.row[entries]]
    if isinstance(method, FittedSegmenter):
        data = masked_features(store, method.extractors, cache, entries, groups=groups, views=method.views)
        return method.fit(data, generator)
    assert prepared.labels is not None
    others = None
    if method.uses_unlabelled:
        others = cache.entries_of(sorted({*prepared.split.train} - {*prepared.split.labelled}))
    labels = prepared.labels[entries].numpy()
    return method.fit(
        labelled_features(
            store, method.extractors, cache, entries, labels=labels, groups=groups, views=method.views,
            unlabelled=others,
        ),
        generator,
    )  # fmt: skip
