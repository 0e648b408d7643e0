"""Baselines for segmentation without masks: k-means on colours, and Otsu's threshold. Nothing is trained.

    python benchmarks/without_masks.py DATASET [KEY=VALUE …] --seeds 0 1 2 --clusters 2 8 --image-size 64 [--tile 128]

The split is that of PiCIE with the same settings and seed, validation masks assign a class to each cluster,
and the test part is scored at each image's own size, all by the functions of `s4mi train`. The scores are comparable
with those of PiCIE and MDC; `--csv` writes the test IoU of every seed, for paired differences.

- k-means: on the RGB values of pixels sampled from the training part, the best of several initialisations.
- k-means, centred: the mean colour of the image, or of the tile, is subtracted first, as PiCIE does with its features.
- Otsu: dark and bright, by a threshold on the grey values of each image; with `--tile` also one per tile.
"""

import argparse
import csv
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import RunConfig, make_run_config
from s4mi.config.yaml_file import apply_overrides
from s4mi.contract import Batch, Losses, Segmenter
from s4mi.errors import S4miError
from s4mi.maths.kmeans import check_distinct, cluster_stats, full_precision, lloyd, plus_plus_start
from s4mi.maths.stats import mean_interval
from s4mi.records import SegmentationScores
from s4mi.training.evaluate import evaluate, validate
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_method import make_fabric

SAMPLE = 100_000
"""Largest number of training pixels for k-means."""
STARTS = 5

Pixels = NDArray[np.uint8]
Sort = Callable[[Tensor], Tensor]
"""(B, 3, H, W) in [0, 1] → (B, K, H, W), highest for the cluster of the pixel."""


@final
class Untrained(Segmenter):
    """Clusters of pixels by a fixed rule; the logit of a class is the maximum over its clusters."""

    matched: Tensor

    def __init__(self, sort: Sort, *, count: int, classes: int) -> None:
        super().__init__()
        self.sort, self.count, self.classes = sort, count, classes
        self.register_buffer("matched", torch.zeros(count, dtype=torch.int64))

    @property
    def matching(self) -> "Untrained":
        return self

    def clusters(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, `count`, H, W) logits of the clusters."""
        return self.sort(images)

    def take(self, classes: Tensor) -> None:
        """Assign a class to each cluster: (`count`,)."""
        self.matched.copy_(classes)

    def logits(self, images: Tensor) -> Tensor:
        clusters = self.clusters(images)
        # A class without a cluster gets the lowest logit: squared distances of colours are at most 12.
        logits = clusters.new_full((len(clusters), self.classes, *clusters.shape[2:]), -100.0)
        return logits.index_reduce(1, self.matched, clusters, "amax")

    def loss(self, batch: Batch) -> Losses:  # noqa: ARG002
        raise AssertionError("nothing is trained here")


@dataclass(frozen=True)
class Baseline:
    """A rule with its name and number of clusters."""

    name: str
    clusters: int
    make: Callable[[Prepared, int], Sort]
    """Builds the rule from the data and the seed."""


@dataclass(frozen=True)
class Score:
    """Test scores of a baseline on the split of one seed."""

    baseline: str
    clusters: int
    seed: int
    test: SegmentationScores


def main() -> None:
    """Score every baseline on every seed, print the table."""
    arguments = _arguments()
    try:
        scores = [score for seed in arguments.seeds for score in _scores(arguments, seed)]
    except S4miError as error:
        raise SystemExit(str(error)) from None
    if arguments.csv is not None:
        _write(arguments.csv, scores)
    _print(scores)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score baselines for segmentation without masks.")
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("settings", nargs="*", help="settings of the run as key=value, e.g. data.cache=DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the split and of k-means")
    parser.add_argument("--clusters", type=int, nargs="+", default=[2, 8], help="numbers of clusters of k-means")
    parser.add_argument("--image-size", type=int, default=64, help="side of the network input in pixels")
    parser.add_argument("--tile", type=int, help="side of the tiles that images are cut into first, in pixels")
    parser.add_argument("--csv", type=Path, help="CSV file for the test IoU of every seed")
    return parser.parse_args()


def _scores(arguments: argparse.Namespace, seed: int) -> Iterator[Score]:
    """Yield the score of each baseline on the split of a seed."""
    config = _config(arguments, seed)
    prepared, fabric = prepare(config), make_fabric(config)
    for baseline in _baselines(arguments):
        sort = baseline.make(prepared, seed)
        method = Untrained(sort, count=baseline.clusters, classes=len(prepared.task.classes)).to(fabric.device)
        validate(fabric, method, prepared, metric="iou")  # this assigns the classes
        evaluation = evaluate(fabric, method, config, prepared, "test")
        if evaluation is None or not isinstance(evaluation.scores, SegmentationScores):
            raise S4miError(f"{arguments.dataset}: no test image has a mask; nothing can be scored")
        yield Score(baseline.name, clusters=baseline.clusters, seed=seed, test=evaluation.scores)


def _config(arguments: argparse.Namespace, seed: int) -> RunConfig:
    contents = {
        "data": {"path": arguments.dataset, "image_size": arguments.image_size, "tile": arguments.tile},
        "method": {"name": "picie", "weights": "none"},
        "seed": seed,
    }
    config = make_run_config(apply_overrides(contents, arguments.settings), origin="the command line")
    hardware = config.hardware.model_copy(update={"accelerator": "cpu", "precision": "32"})
    return config.model_copy(update={"hardware": hardware})


def _baselines(arguments: argparse.Namespace) -> list[Baseline]:
    kmeans = [
        Baseline("k-means, centred" if centred else "k-means", clusters, _colours(clusters, centred=centred))
        for centred, clusters in itertools.product((False, True), arguments.clusters)
    ]
    otsu = [Baseline("Otsu", 2, lambda prepared, _: _otsu(prepared))]
    if arguments.tile is not None:
        otsu.append(Baseline("Otsu, each tile", 2, lambda prepared, _: _otsu(prepared, each_tile=True)))
    return [*kmeans, *otsu]


def _colours(clusters: int, *, centred: bool) -> Callable[[Prepared, int], Sort]:
    """Return a rule that assigns pixels to the nearest of the k-means centroids of colours."""

    def make(prepared: Prepared, seed: int) -> Sort:
        generator = torch.Generator().manual_seed(seed)
        colours = _sample(prepared, generator, centred=centred)
        found = [_kmeans(colours, clusters, generator=generator) for _ in range(STARTS)]
        _, centroids = min(found, key=lambda one: one[0])

        def sort(images: Tensor) -> Tensor:
            colours = _centre(images) if centred else images
            return -(colours[:, None] - centroids[:, :, None, None]).square().sum(dim=2)

        return sort

    return make


def _kmeans(colours: Tensor, clusters: int, *, generator: torch.Generator) -> tuple[float, Tensor]:
    """Inertia and (K, 3) centroids of Lloyd's algorithm from a k-means++ start."""
    with full_precision(colours):
        start = plus_plus_start(colours, clusters, generator=generator, cosine=False)
        found = lloyd(colours, *start, iterations=100, generator=generator, cosine=False)
        check_distinct(len(colours), clusters, found.distinct)
        return float(cluster_stats(colours, found.labels, found.centroids).scatter.sum()), found.centroids


def _sample(prepared: Prepared, generator: torch.Generator, *, centred: bool) -> Tensor:
    """(N, 3) colours in [0, 1], minus their image's mean if `centred`; equally many per training image or tile."""
    entries = prepared.cache.entries_of(prepared.split.train)
    each, kept = -(-SAMPLE // len(entries)), []
    for entry in entries:
        image = torch.from_numpy(prepared.cache.images[entry]).permute(2, 0, 1)[None].float() / 255
        colours = (_centre(image) if centred else image)[0].flatten(1).T
        kept.append(colours[torch.randint(len(colours), (each,), generator=generator)])
    return torch.cat(kept)


def _centre(images: Tensor) -> Tensor:
    return images - images.mean(dim=(2, 3), keepdim=True)


def _otsu(prepared: Prepared, *, each_tile: bool = False) -> Sort:
    """Return a rule that separates dark and bright; values equal to the threshold are dark, as in OpenCV.

    A segmenter does not know which image a tile is from, so the thresholds of images are looked up by their tiles.
    """
    thresholds = {} if each_tile else dict(_thresholds(prepared))

    def sort(images: Tensor) -> Tensor:
        squares = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        greys = [_grey(square) for square in squares]
        cuts = [
            _cut(grey) if each_tile else thresholds[_digest(square)]
            for square, grey in zip(squares, greys, strict=True)
        ]
        brightness = torch.from_numpy(np.stack(greys)).float() - torch.tensor(cuts)[:, None, None] - 0.5
        return torch.stack([-brightness, brightness], dim=1) / 255

    return sort


def _thresholds(prepared: Prepared) -> Iterator[tuple[bytes, float]]:
    """Yield each tile of the annotated validation and test images with the threshold of the whole image."""
    for row in [*prepared.annotated("val"), *prepared.annotated("test")]:
        squares = prepared.cache.images[prepared.cache.entries_of([row])]
        cut = _cut(np.concatenate([_grey(square) for square in squares]))
        for square in squares:
            yield _digest(square), cut


def _cut(grey: Pixels) -> float:
    return float(cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])


def _grey(square: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(np.asarray(square), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _digest(square: Pixels) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(square).tobytes(), digest_size=16).digest()


def _write(path: Path, scores: list[Score]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["baseline", "clusters", "seed", "test_iou"])
        rows.writerows([score.baseline, score.clusters, score.seed, score.test.iou] for score in scores)


def _print(scores: list[Score]) -> None:
    print("| baseline | clusters | test IoU | Dice | IoU, mean of images | n |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, clusters in dict.fromkeys((score.baseline, score.clusters) for score in scores):
        tests = [score.test for score in scores if (score.baseline, score.clusters) == (name, clusters)]
        cells = [_mean([getattr(test, metric) for test in tests]) for metric in ("iou", "dice", "iou_image")]
        print(f"| {name} | {clusters} | {' | '.join(cells)} | {len(tests)} |")


def _mean(values: list[float]) -> str:
    """Mean ± half-width of the 95 % interval, which one value does not have."""
    interval = mean_interval(values)
    return f"{interval.mean:.3f}" if interval.half_width is None else f"{interval.mean:.3f} ± {interval.half_width:.3f}"


if __name__ == "__main__":
    main()
