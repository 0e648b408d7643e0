"""Features of many dimensions on a plane, for a person to look at.

pca    the plane of the most variance: straight, the same every time, and it says how much it shows
umap   neighbours stay neighbours (McInnes et al. 2018); distances between groups and their sizes mean nothing
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from s4mi.errors import require_extra

NEIGHBOURS = 15
"""Of umap: its package's own default."""
FEWEST = 4
"""Images that umap can lay out."""


def pca(features: ArrayLike) -> tuple[NDArray[np.float64], float | None]:
    """The two principal components of `features` (N, D): coordinates (N, 2), and their share of the variance, 0 to 1.

    A component's largest loading is positive, so the map is not mirrored from machine to machine. Where there are fewer
    than two directions (one or two images, one dimension) the missing coordinates are 0. Features that are all the same
    lie at 0 and their share is None: there is no variance to show.

    Raises:
        ValueError: the features are no table of finite numbers.
    """
    x = _table(features)
    coordinates = np.zeros((len(x), 2))
    if len(x) < 2 or not np.ptp(x, axis=0).any():
        return coordinates, None
    # Both give the exact decomposition; which is cheaper depends on the shape.
    solver = "covariance_eigh" if x.shape[0] > x.shape[1] else "full"
    found = PCA(n_components=min(2, *x.shape), svd_solver=solver)
    shown: NDArray[np.float64] = found.fit_transform(x)
    coordinates[:, : shown.shape[1]] = shown
    return coordinates, min(1.0, float(found.explained_variance_ratio_.sum()))


def umap(features: ArrayLike, *, seed: int) -> NDArray[np.float64]:
    """The UMAP layout (N, 2) of `features` (N, D) by the package umap-learn, the same for the same seed.

    Raises:
        S4miError: the package is not installed.
        ValueError: the features are no table of finite numbers, or fewer than 4 images.
    """
    x = _table(features)
    if len(x) < FEWEST:
        raise ValueError(f"{len(x)} images are too few for umap, which needs {FEWEST}; take pca")
    package = require_extra("umap", extra="umap", purpose="the projection umap")
    # The spectral start needs more images than dimensions of the plane; one thread, for more are not reproducible.
    start = "spectral" if len(x) > NEIGHBOURS else "random"
    reducer = package.UMAP(n_neighbors=min(NEIGHBOURS, len(x) - 1), init=start, random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(x), dtype=np.float64)


def _table(features: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"features have the shape {x.shape}; a projection needs a row of numbers an image")
    if not np.isfinite(x).all():
        raise ValueError("features hold numbers that are not finite; training has diverged")
    return x
