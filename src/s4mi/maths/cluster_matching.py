"""Which class each cluster of pixels is, by the pixels they have in common."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def match_clusters(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,) class of each cluster, from (N, K) pixels of each cluster in each class.

    One cluster for each class that has pixels is found first, so that most pixels agree (the Hungarian algorithm, Kuhn
    1955); each further cluster is of the class that most of its pixels have. With fewer clusters than classes some
    classes have none.
    """
    classes: NDArray[np.int64] = counts.argmax(axis=1).astype(np.int64)
    clusters, theirs = linear_sum_assignment(counts, maximize=True)
    shown = counts[:, theirs].sum(axis=0) > 0
    classes[clusters[shown]] = theirs[shown]
    return classes
