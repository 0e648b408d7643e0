"""Projections of features to two dimensions, for scatter plots.

pca    the plane of largest variance: linear, deterministic, with a known share of the variance
umap   preserves neighbourhoods (McInnes et al. 2018); sizes of groups and distances between them have no meaning
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from s4mi.errors import require_extra

NEIGHBOURS = 15
"""Number of neighbours of UMAP, the default of umap-learn."""
MIN_IMAGES = 4
"""Minimum number of images for UMAP."""


def pca(features: ArrayLike) -> tuple[NDArray[np.float64], float | None]:
    """Project (N, D) features to two principal components: (N, 2) coordinates, and their share of the variance, 0 to 1.

    The largest loading of a component is positive, so that signs are the same on every machine. With fewer than two
    components (one or two images, one dimension) the missing coordinates are 0. Identical features have coordinates 0
    and a share of None, because there is no variance.

    Raises:
        ValueError: the features are not an (N, D) array of finite numbers.
    """
    from sklearn.decomposition import PCA  # takes a second, which most commands save

    x = _checked(features)
    coordinates = np.zeros((len(x), 2))
    if len(x) < 2 or not np.ptp(x, axis=0).any():
        return coordinates, None
    # Both solvers are exact; which one is cheaper depends on the shape.
    solver = "covariance_eigh" if x.shape[0] > x.shape[1] else "full"
    model = PCA(n_components=min(2, *x.shape), svd_solver=solver)
    components: NDArray[np.float64] = model.fit_transform(x)
    coordinates[:, : components.shape[1]] = components
    return coordinates, min(1.0, float(model.explained_variance_ratio_.sum()))


def umap(features: ArrayLike, *, seed: int) -> NDArray[np.float64]:
    """Project (N, D) features to (N, 2) coordinates by UMAP, reproducibly for a seed.

    Raises:
        S4miError: umap-learn is not installed.
        ValueError: the features are not an (N, D) array of finite numbers, or fewer than 4 images.
    """
    x = _checked(features)
    if len(x) < MIN_IMAGES:
        raise ValueError(f"umap needs at least {MIN_IMAGES} images (given {len(x)}); use pca")
    package = require_extra("umap", extra="umap", purpose="the projection umap")
    # Spectral initialisation fails with few images. One thread, because several are not reproducible.
    init = "spectral" if len(x) > NEIGHBOURS else "random"
    reducer = package.UMAP(n_neighbors=min(NEIGHBOURS, len(x) - 1), init=init, random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(x), dtype=np.float64)


def _checked(features: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"features must have one row per image (shape {x.shape})")
    if not np.isfinite(x).all():
        raise ValueError("features are not finite; training has diverged")
    return x
