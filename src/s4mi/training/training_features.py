"""Features of a run's training images by its own network, and how far others of their kind are from them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Segmenter
from s4mi.data.loading.loader import PlainBatches
from s4mi.engine.fabric import Fabric
from s4mi.engine.inference import infer
from s4mi.maths.feature_distance import Floats, distances, distances_of_each, projected, reach_of
from s4mi.nets.feature_tap import FeatureTap, pooled_output
from s4mi.records.training_features import TrainingFeatures
from s4mi.records.training_images import MIN_IMAGES
from s4mi.training.prepare import Prepared
from s4mi.training.stored_inputs import store_of, stored_outputs

SAMPLED = 200
"""Inputs of the network that describe training: evenly spaced images, or fewer ones that are cut into tiles."""
ENOUGH = 19
"""Validation images whose distances suffice for the reach; a network has not seen them, as it has those of training."""
BATCH = 32

NOTHING = TrainingFeatures(np.zeros((0, 0), dtype=np.float32), 0.0)
"""Of a method without features, or of too few images."""


def describe_training_features(fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared) -> TrainingFeatures:
    """Return the features of a sample of the training images, in one forward pass each.

    The reach is that of validation images, and of training images left out one by one, which a frozen encoder has not
    seen either; of a trained network only where there are few validation images.
    """
    tap = FeatureTap.of(method, prepared.task.image_size)
    if tap is None:
        return NOTHING
    training = _features(fabric, method, prepared, _sample(prepared, prepared.split.train), tap)
    if len(training) < MIN_IMAGES:
        return NOTHING
    val_rows = _sample(prepared, prepared.split.val)
    unseen = [distances(_features(fabric, method, prepared, val_rows, tap), training)] if len(val_rows) else []
    if isinstance(method, FittedClassifier | FittedSegmenter) or len(val_rows) < ENOUGH:
        unseen.append(distances_of_each(training))
    return TrainingFeatures(training, reach_of(np.concatenate(unseen)))


def _sample(prepared: Prepared, rows: Sequence[int]) -> NDArray[np.int64]:
    chosen = np.sort(np.asarray(rows, dtype=np.int64))
    tiles = len(prepared.cache.entries_of(chosen)) / max(1, len(chosen))
    most = max(MIN_IMAGES, int(SAMPLED / max(tiles, 1.0)))
    return chosen if len(chosen) <= most else chosen[np.linspace(0, len(chosen) - 1, most).astype(int)]


def _features(
    fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared, rows: NDArray[np.int64], tap: FeatureTap
) -> Floats:
    """(R, W) projected features of images; of one cut into tiles, the mean of its tiles."""
    found = list(_of_inputs(fabric, method, prepared, prepared.cache.entries_of(rows), tap))
    if not found:
        return np.zeros((0, 0), dtype=np.float32)
    row_of, features = zip(*found, strict=True)
    _, position = np.unique(torch.cat(row_of).numpy(), return_inverse=True)
    values = torch.cat(features).numpy()
    order = np.argsort(position, kind="stable")
    first = np.flatnonzero(np.diff(position[order], prepend=-1))
    mean = np.add.reduceat(values[order], first, axis=0, dtype=np.float64)
    return projected(mean / np.bincount(position)[:, None])


def _of_inputs(
    fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared, entries: NDArray[np.int64], tap: FeatureTap
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the manifest rows (B,) of network inputs with their features (B, D), stored ones where there are any."""
    if isinstance(method, FittedClassifier | FittedSegmenter):
        first = method.extractors[:1]
        if (store := store_of(first)) is not None:
            for block, outputs in stored_outputs(store, first, prepared.cache, entries):
                yield torch.from_numpy(prepared.cache.row[block]), pooled_output(outputs[0])
            return
    batches = PlainBatches(prepared.source(fabric.device), entries, batch_size=BATCH)
    for batch, _ in infer(fabric, method, batches):
        if (pooled := tap.take()) is not None:
            yield batch.rows, pooled
