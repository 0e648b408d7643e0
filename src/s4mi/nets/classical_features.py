"""Colour, texture and shape of whole images, as an extractor of features: nothing is learnt, and nothing to download.

    pooled    (B, D)    `colour_features.py`, `texture_features.py` and `shape_features.py`, joined

Images greater than `SIDE` are reduced to it first, so that radii and distances in pixels mean the same and an image
costs the same at any size.
"""

import hashlib
from functools import lru_cache
from importlib.metadata import version
from typing import final

import cv2
import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.feature_names import POOLED
from s4mi.contract.features import Extractor
from s4mi.errors import S4miError
from s4mi.nets.colour_features import CHANNELS, colour_features, colours
from s4mi.nets.shape_features import SHAPE, shape_features
from s4mi.nets.texture_features import texture_features

REVISION = 1
"""Raised when the features of the same image change."""
SIDE = 128
NAME = "classical"


@final
class ClassicalFeatures(Extractor):
    """Histograms, moments, texture and shape of an image; the same for the same pixels on every machine."""

    def __init__(self, *, threads: int = 1) -> None:
        """Describe the features.

        Args:
            threads: number of images at once.
        """
        super().__init__()
        self.name, self.threads = NAME, threads
        text = f"classical {REVISION}, scikit-image {version('scikit-image')}, {SIDE}"
        self.key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature, such as "red histogram 3" or "core foreground shape solidity"."""
        return _names()

    @property
    def widths(self) -> dict[str, int]:  # type: ignore[override]
        """Number of features."""
        return {POOLED: len(_names())}

    @torch.no_grad()
    def compute(self, images: Tensor) -> dict[str, Tensor]:
        if torch.compiler.is_exporting():
            raise S4miError(
                "features of colour, texture and shape are computed by scikit-image and cannot be part of an exported "
                "file; use s4mi predict, or fit frozen or pseudo_labels with method.join=[] and export that run"
            )
        arrays = images.detach().float().cpu().movedim(1, -1).contiguous().numpy()
        if self.threads > 1 and len(arrays) > 1:
            rows = joblib.Parallel(n_jobs=self.threads, prefer="threads")(joblib.delayed(describe)(a) for a in arrays)
        else:
            rows = [describe(array) for array in arrays]
        return {POOLED: torch.from_numpy(np.stack(rows)).to(images.device)}


def describe(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S, 3) RGB image in [0, 1] → (D,) float32 features, always finite."""
    return np.concatenate(list(_groups(image).values()))


def _groups(image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    side = max(image.shape[:2])
    if side > SIDE:
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    channels = colours(np.clip(image, 0, 1))
    groups = colour_features(channels) | texture_features(channels) | shape_features(channels)
    return {name: np.asarray(values, dtype=np.float32) for name, values in groups.items()}


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    groups = _groups(np.zeros((SIDE, SIDE, 3), dtype=np.float32))
    names: list[str] = []
    for group, values in groups.items():
        if len(values) == 1:
            names.append(group)
        else:
            parts = {len(CHANNELS): CHANNELS, len(SHAPE): SHAPE} if "histogram" not in group else {}
            names += [f"{group} {part}" for part in parts.get(len(values), range(1, len(values) + 1))]
    return tuple(names)
