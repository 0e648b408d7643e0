"""Pixels of cache entries in the views that features are stored of."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.features import turned
from s4mi.data.loading.cached_arrays import Cache


def entry_pixels(cache: Cache, entries: NDArray[np.int64], view: int) -> NDArray[np.uint8]:
    """(N, S, S, 3) pixels of cache entries in a view."""
    images = torch.from_numpy(_read(cache.images, entries))
    return turned(images.permute(0, 3, 1, 2), view).permute(0, 2, 3, 1).contiguous().numpy()


def view_pixels(cache: Cache, entries: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(N, S, S, 3) pixels of `positions` among all entries in all views, view by view."""
    view, index = positions // len(entries), entries[positions % len(entries)]
    return np.concatenate([entry_pixels(cache, index[view == one], int(one)) for one in np.unique(view)])


def as_images(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, S, S, 3) pixels → (N, 3, S, S) in [0, 1]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)


def _read(images: NDArray[np.uint8], entries: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Read entries of a memory-mapped array through a mapping of its own, so that no pages stay in memory."""
    if isinstance(images, np.memmap) and images.filename is not None:
        images = np.memmap(images.filename, images.dtype, mode="r", offset=images.offset, shape=images.shape)
    return np.asarray(images[entries])
