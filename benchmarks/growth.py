"""How time grows with the number of images, their size, the crops of DINO, and the threads. There is no peer.

    python benchmarks/growth.py [--quick]

Each time is also given relative to the first of its series, beside the value expected for linear growth with the varied
quantity: images, pixels, or the input of the networks. Everything runs the code of `s4mi data check`, `s4mi data split`
and `s4mi train`: their cache, batches, loop and checks, with their defaults.

Short times are the minimum of several, after a warm-up that starts threads and processes. The search for
near-duplicates compares all pairs of so few images, so it grows quadratically, and should be small compared with the
rest; `rows.py` is for very many.
"""

import argparse
import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import joblib
import numpy as np
import torch

from measured import machine, report
from our_loop import our_steps
from s4mi.contract import MethodConfig, MultiCrop, Task
from s4mi.data.checks.check import check_path
from s4mi.data.duplicates import near_duplicates
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.loader import TrainBatches
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.recipes.split import split_dataset
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.settings.optim import OptimConfig
from s4mi.settings.pretraining.dino import DinoConfig

PACKAGES = ("torch", "timm", "opencv-python-headless", "numpy", "joblib")
BATCH = 16
ENOUGH = 0.5
"""Seconds after which a measurement is not repeated."""
MOST = 5
"""Largest number of repetitions."""
CORES = "LOKY_MAX_CPU_COUNT"
"""Environment variable: number of cores for decoding."""
FINETUNE = FinetuneConfig(backbone="tiny_resnet", weights="none")


@dataclass(frozen=True)
class Setup:
    """Sizes of the benchmark.

    Attributes:
        counts: images of the data sets, each of `side` pixels. sizes: of the network input. drawn: number of images for
            the rest, of the largest size. crops: of DINO, two of them large. steps: optimiser steps that are timed.
    """

    counts: tuple[int, ...]
    side: int
    sizes: tuple[int, ...]
    drawn: int
    crops: tuple[int, ...]
    backbone: str
    steps: int


FULL = Setup((30, 300, 3000, 30_000), 64, (64, 128, 256, 512), 96, (2, 4, 8, 10), "resnet18", 5)
QUICK = Setup((20, 60, 200), 64, (64, 128), 32, (2, 4, 8), "tiny_resnet", 2)
DINO_SIZE = 96
"""Side of the large crops in pixels."""


@dataclass(frozen=True)
class Series:
    """One quantity measured at increasing sizes.

    Attributes:
        amounts: labels of the sizes. figures: measurements. linear: expected proportions for linear growth.
    """

    what: str
    unit: str
    amounts: tuple[str, ...]
    figures: tuple[float, ...]
    linear: tuple[float, ...]

    def rows(self) -> Iterator[str]:
        for amount, figure, linear in zip(self.amounts, self.figures, self.linear, strict=True):
            times, expected = figure / self.figures[0], linear / self.linear[0]
            taken = f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
            yield f"| {self.what} | {amount} | {taken} {self.unit} | {times:.2f}× | {expected:.2f}× |"


def main() -> None:
    """Run the measurements, print the tables."""
    parser = argparse.ArgumentParser(description="Measure how time grows with the size of the data.")
    parser.add_argument("--quick", action="store_true", help="few and small images, small network")
    setup = QUICK if parser.parse_args().quick else FULL
    cores = joblib.cpu_count()
    torch.set_num_threads(cores)
    setting = f"{machine(PACKAGES)} Batches of {BATCH}."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = write_synthetic("lesions", folder / "large", count=setup.drawn, size=setup.sizes[-1], seed=0)
        tables = {
            f"Number of images, {setup.side} px": _with_images(setup, folder),
            "Size of the network's input": _with_size(setup, large, folder),
            f"Crops of DINO, {setup.backbone}, {DINO_SIZE} px": _with_crops(setup, large, folder),
            "Threads, each number in its own process": _with_threads(setup, large, folder, cores),
        }
    text = "\n\n".join(f"**{title}**\n\n{_table(series)}" for title, series in tables.items())
    last = f"The largest data set has {setup.counts[-1]:,} images, the largest input {setup.sizes[-1]} pixels."
    report("growth", setting, text=f"{text}\n\n{last}")


def _table(series: Sequence[Series]) -> str:
    head = ("| benchmark | at | s4mi | relative to the first | if linear |", "|---|---:|---:|---:|---:|")
    return "\n".join((*head, *(row for one in series for row in one.rows())))


def _with_images(setup: Setup, folder: Path) -> list[Series]:
    """Everything that processes all images of a data set."""
    manifests = [
        write_synthetic("lesions", folder / f"of-{count}", count=count, size=setup.side, seed=0)
        for count in setup.counts
    ]
    caches = [_cache(manifest, setup.side, folder / "kept") for manifest in manifests]
    check_path(manifests[-1].folder)  # starts its processes

    def series(what: str, work: Callable[[Manifest, Cache], object]) -> Series:
        pairs = zip(manifests, caches, strict=True)
        figures = tuple(_seconds(partial(work, one, cache)) for one, cache in pairs)
        amounts = tuple(f"{count:,}" for count in setup.counts)
        return Series(what, "s", amounts, figures, tuple(map(float, setup.counts)))

    numbers = itertools.count()
    return [
        series("read the manifest", lambda one, _: load_manifest(one.folder)),
        series("decode once", lambda one, _: _cache(one, setup.side, folder / f"new-{next(numbers)}")),
        series("open the cache again", lambda one, _: _cache(one, setup.side, folder / "kept")),
        series("an epoch of views", lambda _, cache: _epoch(cache, FINETUNE.crops(setup.side))),
        series("`s4mi data check --no-duplicates`", lambda one, _: _check(one, duplicates=False)),
        series("`s4mi data check`", lambda one, _: _check(one, duplicates=True)),
        series("of which the search for near-duplicates", lambda _, cache: near_duplicates(cache.thumbnails)),
        series("`s4mi data split`", lambda one, _: _split(one)),
    ]


def _with_size(setup: Setup, manifest: Manifest, folder: Path) -> list[Series]:
    """Views and a training step with the same images at each size."""
    views, steps = [], []
    for size in setup.sizes:
        cache = _cache(manifest, size, folder / "sizes")
        seconds = _seconds(partial(_epoch, cache, FINETUNE.crops(size)))
        views.append(1000 * seconds / len(cache.images))
        steps.append(1000 * _step(FINETUNE, manifest, cache, size=size, batch=BATCH, steps=setup.steps))
    sizes = tuple(f"{size} px" for size in setup.sizes)
    pixels = tuple(float(size * size) for size in setup.sizes)
    return [
        Series("views", "ms/image", sizes, tuple(views), pixels),
        Series("a step of tiny_resnet", "ms", sizes, tuple(steps), pixels),
    ]


def _with_crops(setup: Setup, manifest: Manifest, folder: Path) -> list[Series]:
    """A training step of DINO; linear in the input pixels of the networks, a backward pass counts twice."""
    cache = _cache(manifest, DINO_SIZE, folder / "crops")
    figures, linear = [], []
    for crops in setup.crops:
        config = DinoConfig(backbone=setup.backbone, weights="none", local_crops=crops - 2)
        figures.append(1000 * _step(config, manifest, cache, size=DINO_SIZE, batch=8, steps=setup.steps))
        teacher, student = 2 * DINO_SIZE**2, 2 * DINO_SIZE**2 + (crops - 2) * config.local_side(DINO_SIZE) ** 2
        linear.append(float(teacher + 3 * student))
    return [Series("a step, batch 8", "ms", tuple(map(str, setup.crops)), tuple(figures), tuple(linear))]


def _with_threads(setup: Setup, manifest: Manifest, folder: Path, cores: int) -> list[Series]:
    """Throughput for each number of threads."""
    threads = [*itertools.takewhile(lambda n: n < cores, (2**k for k in itertools.count())), cores]
    found = []
    for number in threads:
        os.environ[CORES] = str(number)  # before the process starts, which reads it
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(_rates, manifest, folder / f"threads-{number}", number, setup).result())
    del os.environ[CORES]
    names = ("decode once", "views", "training of tiny_resnet")
    return [
        Series(what, "images/s", tuple(map(str, threads)), rates, tuple(map(float, threads)))
        for what, rates in zip(names, zip(*found, strict=True), strict=True)
    ]


def _rates(manifest: Manifest, folder: Path, threads: int, setup: Setup) -> tuple[float, float, float]:
    """Images per second: decoding, views, and training."""
    torch.set_num_threads(threads)
    size, numbers, images = setup.sizes[1], itertools.count(), len(manifest.rows)
    decode = _seconds(lambda: _cache(manifest, size, folder / str(next(numbers))))
    cache = _cache(manifest, size, folder / "0")
    views = _seconds(lambda: _epoch(cache, FINETUNE.crops(size)))
    return (
        images / decode,
        images / views,
        BATCH / _step(FINETUNE, manifest, cache, size=size, batch=BATCH, steps=setup.steps),
    )


def _cache(manifest: Manifest, size: int, folder: Path) -> Cache:
    cache = open_cache(manifest, Preprocessing(size), folder=folder, with_masks=False)
    assert cache.images.shape == (len(manifest.rows), size, size, 3)
    return cache


def _epoch(cache: Cache, crops: MultiCrop) -> None:
    """Make all batches of an epoch as in `s4mi train`; no network."""
    source = CachedTargets(cache=cache, labels=None, device=torch.device("cpu"))
    stream = TrainBatches(source, np.arange(len(cache.images)), batch_size=BATCH, crops=crops, seed=0)
    rows = [row for batch in stream.epoch(1) for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(len(cache.images))), "an epoch shows every image once"


def _check(manifest: Manifest, *, duplicates: bool) -> None:
    (found,) = check_path(manifest.folder, duplicates=duplicates)
    assert found.summary is not None
    assert found.summary.images == len(manifest.rows)
    assert not found.count("error")


def _split(manifest: Manifest) -> None:
    split = split_dataset(manifest.folder, division=None, kind="multiclass").split
    assert len(split.train) + len(split.val) + len(split.test) == len(manifest.rows)


def _step(config: MethodConfig, manifest: Manifest, cache: Cache, *, size: int, batch: int, steps: int) -> float:
    """Seconds of a complete training step: the median of `steps`, after two of warm-up."""
    torch.manual_seed(0)
    classes = manifest.spec.classes
    labels = [classes.index(label) for row in manifest.rows for label in row.labels or ()]
    counts = tuple(np.bincount(labels, minlength=len(classes)).tolist())
    task = Task("multiclass", classes=classes, image_size=size, counts=counts, labelled=len(labels))
    method = config.build(task)
    optim = OptimConfig(**config.default_optim)
    source = CachedTargets(cache=cache, labels=torch.tensor(labels), device=torch.device("cpu"))
    entries = np.arange(len(cache.images))
    stream = TrainBatches(source, entries, batch_size=batch, crops=config.crops(size), seed=0, steps=steps + 2)
    taken, began = [], time.perf_counter()
    for step in our_steps(method, stream, epochs=1, optim=optim):
        taken.append(time.perf_counter() - began)
        assert step.images == batch
        assert math.isfinite(float(step.losses["total"]))
        began = time.perf_counter()
    return float(np.median(taken[2:]))


def _seconds(work: Callable[[], object]) -> float:
    """Minimum time in seconds, after one warm-up."""
    work()
    taken: list[float] = []
    while len(taken) < MOST and sum(taken) < ENOUGH:
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    main()
