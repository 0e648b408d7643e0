"""Masks from colour and texture of each pixel: the baseline without any network, as ilastik has it (Berg et al. 2019).

    φ(x)    (B, D, H, W)    smoothed colours, edges, Hessian and structure tensor at four scales
    p       random forest of φ, fitted to a sample of the pixels of the labelled images
    z       log p           (B, K, H, W)

From each image, the same number of pixels is drawn of each class that it has; weights restore the shares of the classes
in the image, so that neither large images nor large classes decide alone which pixels are seen.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import (
    Batch,
    Extractor,
    Fit,
    FittedSegmenter,
    Losses,
    MaskedFeatures,
    Task,
)
from s4mi.errors import S4miError
from s4mi.maths.losses import class_weights, cross_entropy
from s4mi.maths.tree_arrays import forest_trees
from s4mi.nets.filter_bank import FilterBank
from s4mi.nets.trees import Trees
from s4mi.records import IGNORE
from s4mi.settings.segmentation.classical_segmenter import ClassicalSegmenterConfig

READ = 16
"""Images read at a time."""
UNCERTAIN = 1e-4
"""Smallest probability of a class, so that its logarithm is finite."""


@final
class ClassicalSegmenter(FittedSegmenter):
    """Features of pixels, computed from the images each time because they are cheap and large, and a forest."""

    def __init__(self, config: ClassicalSegmenterConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.features, self.forest = FilterBank(), Trees()

    @property
    def extractors(self) -> Sequence[Extractor]:
        return ()

    def fit(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        from sklearn.ensemble import RandomForestClassifier  # takes a second, which most runs save

        classes = len(self.task.classes)
        quota = max(self.config.pixels // max(len(data) * classes, 1), 1)
        samples: list[NDArray[np.float32]] = []
        labels: list[NDArray[np.int64]] = []
        weights: list[NDArray[np.float64]] = []
        counts = np.zeros(classes, dtype=np.int64)
        for batch in data.batches(size=READ):
            features = self.features(batch.images).movedim(1, -1).cpu().numpy()  # (B, H, W, D)
            for pixels, mask in zip(features, batch.masks.cpu().numpy(), strict=True):
                for label in range(classes):
                    places = np.flatnonzero(mask == label)
                    counts[label] += len(places)
                    drawn = generator.permutation(places)[:quota]
                    samples.append(pixels.reshape(-1, pixels.shape[-1])[drawn])
                    labels.append(np.full(len(drawn), label))
                    weights.append(
                        np.full(len(drawn), len(places) / max(len(drawn), 1) / (mask != IGNORE).sum().clip(1))
                    )
        y = np.concatenate([*labels, np.empty(0, dtype=np.int64)])
        if not len(y):
            raise S4miError("no annotated pixel in the labelled images; annotate masks, or raise data.label_fraction")
        weight = np.concatenate(weights)
        of_class = class_weights(counts.tolist(), self.config.class_weights)
        if of_class is not None:
            weight = weight * of_class.double().numpy()[y]
        forest = RandomForestClassifier(
            self.config.trees,
            max_depth=self.config.depth,
            min_samples_leaf=5,
            n_jobs=torch.get_num_threads(),
            random_state=int(generator.integers(2**31)),
        )
        forest.fit(np.concatenate(samples), y, sample_weight=weight)
        self.forest.set_trees(**vars(forest_trees(forest, classes)))
        missing = [name for name, count in zip(self.task.classes, counts, strict=True) if not count]
        notes = (f"without an annotated pixel, never predicted: {', '.join(missing)}",) if missing else ()
        return Fit(notes=notes, chosen={"pixels": float(len(y))})

    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        pixels: Tensor = self.features(images)
        probability: Tensor = self.forest(pixels.movedim(1, -1).flatten(0, 2))
        height, width = images.shape[-2:]
        return probability.clamp_min(UNCERTAIN).log().reshape(-1, height, width, probability.shape[-1]).movedim(-1, 1)

    def loss(self, batch: Batch) -> Losses:
        return Losses(cross_entropy=cross_entropy(self.logits(batch.images), batch.known_masks))
