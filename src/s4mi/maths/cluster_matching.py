"""Assignment of clusters of pixels to classes."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def match_clusters(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,) class of each cluster, from (N, K) counts of pixels by cluster and class.

    First, each class that has pixels gets one cluster, such that the most pixels agree (Hungarian algorithm, Kuhn
    1955). Each remaining cluster gets the class of most of its pixels. With fewer clusters than classes, some classes
    get none.
    """
    classes: NDArray[np.int64] = counts.argmax(axis=1).astype(np.int64)
    clusters, assigned = linear_sum_assignment(counts, maximize=True)
    present = counts[:, assigned].sum(axis=0) > 0
    classes[clusters[present]] = assigned[present]
    return classes
