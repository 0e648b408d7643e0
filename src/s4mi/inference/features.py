"""Features of images by an encoder, as the encoder's own training images were prepared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.inference.encoders import load_any_encoder
from s4mi.maths.projection import pca, umap
from s4mi.records import FeatureMap, MapPoint, Part
from s4mi.training.run_dir import RunDir, make_fabric

Projection = Literal["pca", "umap"]
BATCH = 64


@dataclass(frozen=True)
class ImageFeatures:
    """Features (N, D) of N files; rows of those in `failed`, which says why they cannot be read, are zeros."""

    features: NDArray[np.float32]
    failed: dict[int, str]


def embed_files(
    run: Path, files: Sequence[Path], *, progress: Callable[[int, int], None] = lambda *_: None
) -> ImageFeatures:
    """Features of image files by a run: a pre-training run's first encoder, or what a run's own network sees.

    Raises:
        S4miError: this is no finished run, or no image can be read.
    """
    config = RunDir(run).config()
    fabric = make_fabric(config)
    network = load_any_encoder(fabric, run)
    work = partial(decode, preprocessing=config.data.preprocessing, intensity=load_spec(run).rule)
    failed: dict[int, str] = {}
    decoded = in_parallel(work, list(files), progress=progress, thread_limit=len(files))
    read = ((number, tiles) for number, tiles in enumerate(decoded) if not _failed(number, tiles, failed))
    places: list[int] = []
    blocks: list[Tensor] = []
    while block := list(islice(read, BATCH)):
        places += [number for number, _ in block]
        blocks.append(features_of(fabric, network, [tiles for _, tiles in block if not isinstance(tiles, str)]))
    if not blocks:
        raise S4miError(f"none of {len(files)} images can be read, the first of them {files[0]}: {failed.get(0)}")
    found = torch.cat(blocks).numpy()
    features = np.zeros((len(files), found.shape[1]), dtype=np.float32)
    features[places] = found
    return ImageFeatures(features, failed)


def _failed(number: int, tiles: Pixels | str, failed: dict[int, str]) -> bool:
    if isinstance(tiles, str):
        failed[number] = tiles
    return isinstance(tiles, str)


def decode(path: Path, *, preprocessing: Preprocessing, intensity: Intensity) -> Pixels | str:
    """(T, S, S, 3) of an image file, or why it cannot be read."""
    try:
        return preprocessing.images(read_image(path, intensity))
    except ImageError as error:
        return str(error)


@torch.inference_mode()
def features_of(fabric: Fabric, network: nn.Module, images: Sequence[Pixels], *, batch_size: int = BATCH) -> Tensor:
    """(N, D) float32 on the CPU, of N images of (T, S, S, 3) tiles each; those of tiles are averaged."""
    stack = torch.from_numpy(np.concatenate(images))
    given = []
    for chunk in torch.split(stack, batch_size):
        pixels = chunk.to(fabric.device).permute(0, 3, 1, 2).float().div_(255)
        with fabric.autocast():
            given.append(network(pixels).float().cpu())
    return torch.stack([own.mean(dim=0) for own in torch.split(torch.cat(given), [len(tiles) for tiles in images])])


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
    """`features` (N, D) on a plane: one point of view for the end of a pre-training run and for `s4mi embed`.

    Args:
        ids, parts, labels: of the N images; labels are None where nothing is annotated.
        seed: of umap; pca needs none.

    Raises:
        S4miError: umap is asked for and not installed.
        ValueError: the lengths differ, or the features cannot be projected.
    """
    table = features.detach().float().cpu().numpy() if isinstance(features, Tensor) else features
    if projection == "pca":
        coordinates, explained = pca(table)
    else:
        coordinates, explained = umap(table, seed=seed), None
    points = [
        MapPoint(id=one, part=part, labels=None if own is None else list(own), x=x, y=y)
        for one, part, own, (x, y) in zip(ids, parts, labels, coordinates.tolist(), strict=True)
    ]
    return FeatureMap(encoder=encoder, projection=projection, explained=explained, points=points)
