"""Features of images by a run's encoder, with the preprocessing it was trained with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.feature_names import POOLED
from s4mi.contract.features import Extractor
from s4mi.data.banded_page import read_for
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.parallel import in_parallel
from s4mi.data.series import Limits
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.inference.encoders import load_any_encoder
from s4mi.maths.projection import pca, umap
from s4mi.records import FeatureMap, MapPoint, Part
from s4mi.training.feature_stores import feature_store
from s4mi.training.features import StoredFeatures
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import make_runtime

Projection = Literal["pca", "umap"]
BLOCK = 256
"""Images whose features are stored together, and whose pixels are in memory at a time."""


@dataclass(frozen=True)
class ImageFeatures:
    """Features (N, D) of N files; rows of unreadable files are zeros, and `failed` maps their index to the reason."""

    features: NDArray[np.float32]
    failed: dict[int, str]


def embed_files(
    run: Path, files: Sequence[Path], *, progress: Callable[[int, int], None] = lambda *_: None
) -> ImageFeatures:
    """Compute features of image files by a run: its first encoder if it is a pre-training run, else its own network.

    Raises:
        S4miError: the run is not finished, or no image can be read.
    """
    config = RunDir(run).config()
    runtime = make_runtime(config)
    store, extractor = feature_store(config, runtime), load_any_encoder(runtime, run).extractor
    work = partial(decode, preprocessing=config.data.preprocessing, intensity=load_spec(run).rule)
    failed: dict[int, str] = {}
    decoded = in_parallel(work, list(files), progress=progress, thread_limit=len(files))
    readable = ((index, tiles) for index, tiles in enumerate(decoded) if not _record_failure(index, tiles, failed))
    indices: list[int] = []
    blocks: list[Tensor] = []
    while block := list(islice(readable, BLOCK)):
        indices += [index for index, _ in block]
        blocks.append(features_of(store, extractor, [tiles for _, tiles in block if not isinstance(tiles, str)]))
    if not blocks:
        raise S4miError(f"none of {len(files)} images can be read; the first is {files[0]}: {failed.get(0)}")
    computed = torch.cat(blocks).numpy()
    features = np.zeros((len(files), computed.shape[1]), dtype=np.float32)
    features[indices] = computed
    return ImageFeatures(features, failed)


def _record_failure(index: int, tiles: Pixels | str, failed: dict[int, str]) -> bool:
    if isinstance(tiles, str):
        failed[index] = tiles
    return isinstance(tiles, str)


def decode(
    path: Path, *, preprocessing: Preprocessing, intensity: Intensity, limits: Mapping[Path, Limits] | None = None
) -> Pixels | str:
    """Read an image file as (T, S, S, 3) network inputs, or return why it cannot be read.

    Args:
        limits: values that become 0 and 255 in the DICOM series of files; see `shared_limits`.
    """
    own = None if limits is None else limits.get(path)
    try:
        if preprocessing.tile is None and own is None:
            return preprocessing.images(read_for(path, intensity, preprocessing.first_size))
        return preprocessing.images(read_image(path, intensity, limits=own))
    except ImageError as error:
        return str(error)


def features_of(store: StoredFeatures, extractor: Extractor, images: Sequence[Pixels]) -> Tensor:
    """Features (N, D), float32 on the CPU, of N images of (T, S, S, 3) tiles each: the mean over an image's tiles.

    They are stored, and computed only where they are not.
    """
    pooled = store.keep(extractor, np.concatenate(images))[POOLED]
    per_image = torch.split(pooled, [len(tiles) for tiles in images])
    return torch.stack([tiles.mean(dim=0) for tiles in per_image])


def feature_map(
    features: Tensor | NDArray[np.floating],
    *,
    ids: Sequence[str],
    parts: Sequence[Part | None],
    labels: Sequence[Sequence[str] | None],
    encoder: str,
    projection: Projection = "pca",
    seed: int = 0,
) -> FeatureMap:
    """Project `features` (N, D) to two dimensions; used at the end of a pre-training run and by `s4mi embed`.

    Args:
        ids, parts, labels: one entry per image; labels are None for unannotated images.
        seed: random seed of UMAP; PCA has none.

    Raises:
        S4miError: UMAP is requested but not installed.
        ValueError: the lengths differ, or the features cannot be projected.
    """
    table = features.detach().float().cpu().numpy() if isinstance(features, Tensor) else features
    if projection == "pca":
        coordinates, explained = pca(table)
    else:
        coordinates, explained = umap(table, seed=seed), None
    points = [
        MapPoint(id=image_id, part=part, labels=None if image_labels is None else list(image_labels), x=x, y=y)
        for image_id, part, image_labels, (x, y) in zip(ids, parts, labels, coordinates.tolist(), strict=True)
    ]
    return FeatureMap(encoder=encoder, projection=projection, explained=explained, points=points)
