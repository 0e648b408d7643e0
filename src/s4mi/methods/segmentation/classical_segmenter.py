"""Masks from colour and texture of each pixel: the baseline without any network, as ilastik has it (Berg et al. 2019).

    φ(x)    (B, D, H, W)    smoothed colours, edges, Hessian and structure tensor at four scales
    p       random forest of φ, fitted to a sample of the pixels of the labelled images
    z       log p           (B, K, H, W)

From each image, the same number of pixels is drawn of each class that it has; weights restore the shares of the classes
in the image, so that neither large images nor large classes decide alone which pixels are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch, Extractor, Fit, FittedSegmenter, Losses, MaskedFeatures, Task
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

        drawn = self._draw_pixels(data, generator)
        weights = drawn.weights
        of_class = class_weights(drawn.counts.tolist(), self.config.class_weights)
        if of_class is not None:
            weights = weights * of_class.double().numpy()[drawn.labels]
        forest = RandomForestClassifier(
            self.config.trees,
            max_depth=self.config.depth,
            min_samples_leaf=5,
            n_jobs=torch.get_num_threads(),
            random_state=int(generator.integers(2**31)),
        )
        forest.fit(drawn.features, drawn.labels, sample_weight=weights)
        self.forest.set_trees(**vars(forest_trees(forest, len(self.task.classes))))
        missing = [name for name, count in zip(self.task.classes, drawn.counts, strict=True) if not count]
        notes = (f"without an annotated pixel, never predicted: {', '.join(missing)}",) if missing else ()
        return Fit(notes=notes, chosen={"pixels": float(len(drawn.labels))})

    def _draw_pixels(self, data: MaskedFeatures, generator: np.random.Generator) -> "DrawnPixels":
        """Draw the same number of pixels of each class from each image, or all where there are fewer.

        Raises:
            S4miError: no pixel is annotated.
        """
        classes = len(self.task.classes)
        quota = max(self.config.pixels // max(len(data) * classes, 1), 1)
        samples: list[NDArray[np.float32]] = []
        labels: list[NDArray[np.int64]] = []
        weights: list[NDArray[np.float64]] = []
        counts = np.zeros(classes, dtype=np.int64)
        for batch in data.batches(size=READ):
            features = self.features(batch.images).movedim(1, -1).flatten(1, 2).cpu().numpy()  # (B, H·W, D)
            for pixels, mask in zip(features, batch.masks.flatten(1).cpu().numpy(), strict=True):
                annotated = max((mask != IGNORE).sum(), 1)
                for label in range(classes):
                    of_label = np.flatnonzero(mask == label)
                    drawn = generator.permutation(of_label)[:quota]
                    samples.append(pixels[drawn])
                    labels.append(np.full(len(drawn), label))
                    weights.append(np.full(len(drawn), len(of_label) / max(len(drawn), 1) / annotated))
                    counts[label] += len(of_label)
        if not counts.any():
            raise S4miError("no annotated pixel in the labelled images; annotate masks, or raise data.label_fraction")
        return DrawnPixels(np.concatenate(samples), np.concatenate(labels), np.concatenate(weights), counts)

    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        pixels: Tensor = self.features(images)
        probability: Tensor = self.forest(pixels.movedim(1, -1).flatten(0, 2))
        height, width = images.shape[-2:]
        return probability.clamp_min(UNCERTAIN).log().reshape(-1, height, width, probability.shape[-1]).movedim(-1, 1)

    def loss(self, batch: Batch) -> Losses:
        return Losses(cross_entropy=cross_entropy(self.logits(batch.images), batch.known_masks))


@dataclass(frozen=True)
class DrawnPixels:
    """Annotated pixels that a forest is fitted to.

    Attributes:
        features: (N, D).
        labels: (N,) class indices.
        weights: (N,) number of annotated pixels that each stands for, relative to those of its image.
        counts: (K,) annotated pixels of each class in all images, drawn or not.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    counts: NDArray[np.int64]
