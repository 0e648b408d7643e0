"""Near-duplicates by the features of a trained network: rotated or recoloured copies, which hashes do not detect."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.feature_names import POOLED
from s4mi.data.banded_page import read_for
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import resize_image
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.parallel import in_parallel
from s4mi.data.row import Row
from s4mi.data.spec import Finding
from s4mi.engine.runtime import PlainRuntime
from s4mi.inference.features import BLOCK
from s4mi.nets.frozen_encoder import FrozenEncoder
from s4mi.nets.initial_weights import IMAGENET
from s4mi.training.features import StoredFeatures

COMPARED = 2048
"""Images compared with all others at a time."""
DISTANCE = 0.03
"""Default cosine distance of near-duplicates. With efficientnet-lite0 (ImageNet) at 128 pixels, the nearest other image
was further than 0.025 for all of 600 images each of PH², fundus and nuclei, and closer than 0.05 for 1 to 5 % of the
latter two. Most copies with warmer colours were closer than 0.03, half of the mirrored ones, and no cropped one."""

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class NearDuplicateSearch:
    """How images are compared.

    Attributes:
        backbone: any timm name. weights: imagenet, none, or a file. size: side of its input, in pixels.
        distance: largest cosine distance (1 - cosine similarity) between the features of near-duplicates.
        store: folder of stored features; None: they are computed each time.
    """

    backbone: str
    weights: str = IMAGENET
    size: int = 224
    distance: float = DISTANCE
    store: Path | None = None


def find_near_duplicates(
    folder: Path, search: NearDuplicateSearch, *, known: Sequence[Finding] = (), progress: ProgressCallback
) -> list[Finding]:
    """Report every pair of near-duplicates in different parts or of different patients.

    Args:
        known: findings so far; pairs of rows that they already report are left out.

    Raises:
        S4miError: the data set cannot be read, or the network or its weights are not available.
    """
    manifest = load_manifest(folder)
    features, readable = embed(manifest, search, progress=progress)
    reported = {frozenset(finding.rows) for finding in known if len(finding.rows) == 2}
    findings = []
    for first, second, distance in _close_pairs(features, search.distance):
        one, other = manifest.rows[readable[first]], manifest.rows[readable[second]]
        if frozenset({one.line, other.line}) in reported or not _separated(one, other):
            continue
        where = f"in {one.split} (this one in {other.split})" if one.split != other.split else "from another patient"
        message = (
            f"image {other.id!r} is similar to {one.id!r} in line {one.line} (distance {distance:.3f} by "
            f"{search.backbone}), which is {where}; inspect both, and remove one or assign the same group if they are "
            "duplicates"
        )
        findings.append(
            Finding("similar-image", "warning", "manifest.csv", other.line, message, (other.line, one.line))
        )
    return findings


def embed(manifest: Manifest, search: NearDuplicateSearch, *, progress: ProgressCallback) -> tuple[Tensor, list[int]]:
    """Compute features (N, D) of length 1, on the CPU, and their row indices; unreadable images are left out."""
    runtime = PlainRuntime(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    encoder = FrozenEncoder(search.backbone, weights=search.weights, image_size=search.size)
    store = StoredFeatures(search.store, runtime, precision="32")  # for which the default distance was measured
    work = partial(_read, size=search.size, intensity=manifest.spec.rule)
    images = in_parallel(work, [row.image for row in manifest.rows], progress=progress, thread_limit=len(manifest.rows))
    features, rows = [], []
    for block in _blocks(images):
        pooled = store.keep(encoder, np.stack([pixels for _, pixels in block]))[POOLED]
        features.append(F.normalize(pooled, dim=1))
        rows += [index for index, _ in block]
    return torch.cat(features) if features else torch.zeros(0, encoder.widths[POOLED]), rows


def _blocks(images: Iterator[Pixels | None]) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    block: list[tuple[int, NDArray[np.uint8]]] = []
    for index, pixels in enumerate(images):
        if pixels is not None:
            block.append((index, pixels))
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _read(path: Path, *, size: int, intensity: Intensity) -> Pixels | None:
    try:
        return resize_image(read_for(path, intensity, (size, size)), (size, size))
    except ImageError:
        return None


def _close_pairs(features: Tensor, distance: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of rows of (N, D) unit features with a cosine distance of at most `distance`, block by block."""
    for start in range(0, len(features), COMPARED):
        similarity = features[start : start + COMPARED] @ features[start:].T
        found = torch.nonzero(torch.triu(similarity >= 1 - distance, diagonal=1))
        for first, second in found.tolist():
            yield start + first, start + second, 1 - float(similarity[first, second])


def _separated(one: Row, other: Row) -> bool:
    """Whether two rows are in different parts or not known to be of the same patient."""
    return one.split != other.split or one.group is None or one.group != other.group
