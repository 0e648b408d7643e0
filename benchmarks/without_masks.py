"""What segmentation without masks has to beat: colours in clusters, and Otsu's threshold. Nothing here is trained.

    python benchmarks/without_masks.py DATASET [KEY=VALUE …] --seeds 0 1 2 --clusters 2 8 --image-size 64 [--tile 128]

The data set is divided as for PiCIE with the same settings and seed, validation masks say which class each cluster is,
and the test part is scored at each image's own size: all by the functions that `s4mi train` calls. The figures stand
beside those of PiCIE and MDC; `--csv` writes the test IoU of every seed, to be paired with theirs.

- k-means: on the RGB of pixels drawn from the training part, the best of several starts.
- k-means, centred: the mean colour of the image, or of the tile, is taken away first, as PiCIE does to its features.
- Otsu: dark and bright, by a threshold on the grey of each image; with `--tile` also by one of each tile.
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
from s4mi.training.run_dir import make_fabric

SAMPLE = 100_000
"""Training pixels, at most, that k-means looks at."""
STARTS = 5

Pixels = NDArray[np.uint8]
Sort = Callable[[Tensor], Tensor]
"""(B, 3, H, W) in [0, 1] → (B, K, H, W), the highest at the pixel's own cluster."""


@final
class Untrained(Segmenter):
    """Clusters of pixels that a rule finds; a class is as likely as the likeliest of its clusters."""

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
        """Let (`count`,) be the class of each cluster from now on."""
        self.matched.copy_(classes)

    def logits(self, images: Tensor) -> Tensor:
        clusters = self.clusters(images)
        # A class without a cluster is less likely than all: no squared distance of colours is above 12.
        logits = clusters.new_full((len(clusters), self.classes, *clusters.shape[2:]), -100.0)
        return logits.index_reduce(1, self.matched, clusters, "amax")

    def loss(self, batch: Batch) -> Losses:  # noqa: ARG002
        raise AssertionError("nothing is trained here")


@dataclass(frozen=True)
class Baseline:
    """A rule by its name, and how many clusters it makes."""

    name: str
    clusters: int
    make: Callable[[Prepared, int], Sort]
    """From the data and the seed."""


@dataclass(frozen=True)
class Score:
    """Of a baseline on the test part of one seed's split."""

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
    parser = argparse.ArgumentParser(description="Score segmentation that nothing was trained for.")
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("settings", nargs="*", help="of the run, as key=value, such as data.cache=DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split and of k-means")
    parser.add_argument("--clusters", type=int, nargs="+", default=[2, 8], help="of k-means")
    parser.add_argument("--image-size", type=int, default=64, help="side of the squares that are clustered, pixels")
    parser.add_argument("--tile", type=int, help="cut images into tiles of so many pixels first")
    parser.add_argument("--csv", type=Path, help="file for the test IoU of every seed")
    return parser.parse_args()


def _scores(arguments: argparse.Namespace, seed: int) -> Iterator[Score]:
    """Of each baseline on the split of a seed."""
    config = _config(arguments, seed)
    prepared, fabric = prepare(config), make_fabric(config)
    for baseline in _baselines(arguments):
        sort = baseline.make(prepared, seed)
        method = Untrained(sort, count=baseline.clusters, classes=len(prepared.task.classes)).to(fabric.device)
        validate(fabric, method, prepared, metric="iou")  # which matches the clusters
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
    """k-means of colours: a pixel is the nearer to a cluster, the smaller the squared distance of their colours."""

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
    """(N, 3) colours in [0, 1], less their image's mean if `centred`: as many pixels of each training image or tile."""
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
    """Dark and bright; what is as grey as the threshold is dark, as OpenCV has it.

    A segmenter is given tiles and not told of which image, so the thresholds of images are looked up by their tiles.
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
    """Each tile of the annotated validation and test images with the threshold of the whole image."""
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
    """Mean ± half of the 95 % interval, which one value does not have."""
    interval = mean_interval(values)
    return f"{interval.mean:.3f}" if interval.half_width is None else f"{interval.mean:.3f} ± {interval.half_width:.3f}"


if __name__ == "__main__":
    main()
