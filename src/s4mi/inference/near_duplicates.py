"""Images that a trained network finds alike: copies that were turned or recoloured, which hashes do not find."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image, resize_image
from s4mi.data.manifest import Manifest, Row, load_manifest
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import Finding
from s4mi.nets.backbone import Backbone
from s4mi.nets.weights import IMAGENET

BATCH = 64
BLOCK = 2048
"""Images that are compared with all others at a time."""
DISTANCE = 0.03
"""Cosine distance up to which images are called alike. With efficientnet-lite0 (ImageNet) at 128 pixels the nearest
other image was further than 0.025 for all of 600 each of PH², fundus and nuclei, and nearer than 0.05 for 1 to 5 % of
the latter two. Of copies with warmer colours most were nearer than 0.03, of mirrored half, of cropped ones none."""

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class NearDuplicateSearch:
    """How images are compared.

    Attributes:
        backbone: any timm name. weights: imagenet, none, or a file. size: side of its input, in pixels.
        distance: greatest cosine distance (1 - cosine) of the features of two images that are called alike.
    """

    backbone: str
    weights: str = IMAGENET
    size: int = 224
    distance: float = DISTANCE


def find_near_duplicates(
    folder: Path, likeness: NearDuplicateSearch, *, known: Sequence[Finding] = (), progress: ProgressCallback
) -> list[Finding]:
    """A finding for every two images in different parts or of different patients that the network finds alike.

    Args:
        known: findings so far; pairs of rows that these name together are left out.

    Raises:
        S4miError: the data set cannot be read, or the network or its weights not be had.
    """
    manifest = load_manifest(folder)
    features, readable = embed(manifest, likeness, progress=progress)
    named = {frozenset(finding.rows) for finding in known if len(finding.rows) == 2}
    findings = []
    for first, second, distance in _close(features, likeness.distance):
        one, other = manifest.rows[readable[first]], manifest.rows[readable[second]]
        if frozenset({one.line, other.line}) in named or not _apart(one, other):
            continue
        where = f"in {one.split} and this one in {other.split}" if one.split != other.split else "of another patient"
        message = (
            f"image {other.id!r} is like {one.id!r} in line {one.line} (distance {distance:.3f} by {likeness.backbone})"
            f", which is {where}; look at both, and remove one or give both the same group if they are one"
        )
        findings.append(
            Finding("similar-image", "warning", "manifest.csv", other.line, message, (other.line, one.line))
        )
    return findings


@torch.inference_mode()
def embed(manifest: Manifest, likeness: NearDuplicateSearch, *, progress: ProgressCallback) -> tuple[Tensor, list[int]]:
    """(N, D) features of length 1, on the CPU, and the rows they are of; images that cannot be read are left out."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Backbone(likeness.backbone, image_size=likeness.size, weights=likeness.weights).eval().to(device)
    work = partial(_read, size=likeness.size, intensity=manifest.spec.rule)
    pictures = in_parallel(
        work, [row.image for row in manifest.rows], progress=progress, thread_limit=len(manifest.rows)
    )
    features, rows = [], []
    for batch in _batches(pictures):
        stack = torch.from_numpy(np.stack([pixels for _, pixels in batch])).to(device)
        features.append(F.normalize(network(stack.permute(0, 3, 1, 2).float().div_(255)), dim=1).float().cpu())
        rows += [number for number, _ in batch]
    return torch.cat(features) if features else torch.zeros(0, network.features), rows


def _batches(pictures: Iterator[Pixels | None]) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    batch: list[tuple[int, NDArray[np.uint8]]] = []
    for number, pixels in enumerate(pictures):
        if pixels is not None:
            batch.append((number, pixels))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(path: Path, *, size: int, intensity: Intensity) -> Pixels | None:
    try:
        return resize_image(read_image(path, intensity), (size, size))
    except ImageError:
        return None


def _close(features: Tensor, distance: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows of (N, D) unit features whose cosine distance is at most `distance`, in blocks."""
    for start in range(0, len(features), BLOCK):
        similarity = features[start : start + BLOCK] @ features[start:].T
        found = torch.nonzero(torch.triu(similarity >= 1 - distance, diagonal=1))
        for first, second in found.tolist():
            yield start + first, start + second, 1 - float(similarity[first, second])


def _apart(one: Row, other: Row) -> bool:
    return one.split != other.split or one.group is None or one.group != other.group
