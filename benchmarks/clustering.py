"""Time an epoch of PiCIE against the four passes and a training pass that are usually written after the paper.

    python benchmarks/clustering.py [--images N] [--rounds R] [--quick]

`four_passes.py` is the peer: before it trains it goes over the images four times, twice for each view. We cluster both
views in one pass. Network, weights, optimiser and loss are the same on both sides, which take turns in one process;
figures are medians over the rounds, the ratio is the median of the ratios of the rounds.

Images are drawn, and stored as JPEGs of 1024×768. The peer decodes them in every pass, with two processes; we decode
once, which is not counted but printed, and have two threads. In the rows "from memory" both get the same finished
views, so that the passes and the steps alone are compared.

Nothing is timed before both sides have been found to give the same labels and losses for the same views and centroids,
with batch normalisation at its running statistics, and our clusters to be as tight as those of faiss. Views are flipped
only for that: whoever crops a map of features loses what lies beyond the edge, which we still see.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from four_passes import Files, FourPasses, Held, Supply, as_points, faiss_centroids, nearest
from s4mi.contract import Batch, Moment, Stream, Task
from s4mi.data.batches import TrainBatches
from s4mi.data.cache import open_cache
from s4mi.data.manifest import Manifest, Row, load_manifest, write_dataset
from s4mi.data.preprocessing import Preprocessing
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.spec import DatasetSpec
from s4mi.data.supply import Source
from s4mi.engine.fit import fit
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler
from s4mi.methods.segmentation.picie import PicieConfig, PixelClustering

PAGE = (768, 1024)
SQUARE = 480
DRAWINGS = 24
BATCH = 16
WORKERS = 2
"""Processes of the peer's loader, threads of ours."""
OPTIM = OptimConfig(**PicieConfig.default_optim)
NETWORKS = (("tiny_resnet", 64), ("resnet18", 96))
MANY = 1_000_000

SAME_LOSS = 1e-5
SAME_LABELS = 1e-4
"""Share of the pixels that may lie on the border of two clusters, where rounding decides."""
AS_TIGHT = 1.02

Epoch = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """A network on the images of a data set, as squares of `size` pixels."""

    backbone: str
    size: int
    manifest: Manifest
    folder: Path

    @property
    def config(self) -> PicieConfig:
        return PicieConfig(backbone=self.backbone, weights="none")

    def ours(self) -> PixelClustering:
        """With fresh weights, always the same."""
        torch.manual_seed(0)
        names = self.config.own_classes
        task = Task("segmentation", classes=names, image_size=self.size, counts=(0,) * len(names), labelled=0)
        return self.config.build(task)

    def peer(self, supply: Supply) -> FourPasses:
        """With the same weights, laid out as torch does by itself."""
        ours = self.ours()
        return FourPasses(
            deepcopy(ours.answer.net),
            supply,
            clusters=ours.answer.count,
            first_batches=self.config.kept_batches,
            optim=OPTIM,
            folder=self.folder,
        )

    def stream(self, config: PicieConfig) -> TrainBatches:
        """Our batches, as `s4mi train` makes them."""
        cache = open_cache(self.manifest, Preprocessing(self.size), folder=self.folder / "cache", with_masks=False)
        source = Source(cache=cache, labels=None, device=torch.device("cpu"))
        entries = np.arange(len(cache.images))
        return TrainBatches(source, entries, batch_size=BATCH, crops=config.crops(self.size), seed=0)


class HeldStream:
    """An epoch of batches, made beforehand, again and again."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches, self.steps = batches, len(batches)

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return iter(self.batches)


@dataclass(frozen=True)
class Comparison:
    """Seconds an epoch of both sides in each round."""

    title: str
    ours: list[float]
    theirs: list[float]

    def row(self) -> str:
        """One line of the table."""
        ratios = [other / one for one, other in zip(self.ours, self.theirs, strict=True)]
        return (
            f"| {self.title} | {statistics.median(self.ours):.2f} | {statistics.median(self.theirs):.2f} "
            f"| {statistics.median(ratios):.2f}× | {min(ratios):.2f}–{max(ratios):.2f}× |"
        )


def main() -> None:
    """Draw the images, take the measurements, print the table."""
    arguments = _arguments()
    torch.set_num_threads(WORKERS)
    _print_machine(arguments)
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory() as name:
        manifest = _write(Path(name) / "images", arguments.images)
        for backbone, size in NETWORKS[:1] if arguments.quick else NETWORKS:
            contest = Contest(backbone, size, manifest, folder=Path(name))
            began = time.perf_counter()
            stream = contest.stream(contest.config)
            print(f"{backbone}, {size}: decoded once in {time.perf_counter() - began:.1f} s")
            _check(contest)
            comparisons += _compare(contest, stream, arguments.rounds)
    print("\n| what | s4mi, s/epoch | peer, s/epoch | peer / s4mi | least–most |")
    print("|---|---:|---:|---:|---:|")
    for comparison in comparisons:
        print(comparison.row())
    print(f"\nload {os.getloadavg()[0]:.1f} after")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time an epoch of PiCIE against one of four passes and a fifth.")
    parser.add_argument("--images", type=int, default=288, help="images of the data set: more than k-means looks at")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    parser.add_argument("--quick", action="store_true", help="the small network only")
    return parser.parse_args()


def _print_machine(arguments: argparse.Namespace) -> None:
    names = ("torch", "torchvision", "timm", "faiss-cpu", "Pillow", "opencv-python-headless")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(
        f"{arguments.images} images, batches of {BATCH}, {arguments.rounds} rounds; DataLoader with {WORKERS} "
        f"processes, s4mi with {WORKERS} threads, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}\n"
    )


def _compare(contest: Contest, stream: TrainBatches, rounds: int) -> Iterator[Comparison]:
    title = f"{contest.backbone}, {contest.size}, batch {BATCH}"
    paths = [row.image for row in contest.manifest.rows]
    files = Files(paths, size=contest.size, batch=BATCH, views=contest.config.views, workers=WORKERS)
    yield _turn_by_turn(f"{title}, from JPEG {PAGE[1]}×{PAGE[0]}", contest, stream, files, rounds)
    held = list(stream.epoch(1))
    yield _turn_by_turn(f"{title}, from memory", contest, HeldStream(held), Held(held), rounds)


def _turn_by_turn(title: str, contest: Contest, stream: Stream, supply: Supply, rounds: int) -> Comparison:
    ours, peer = _our_epochs(contest.ours(), stream), contest.peer(supply)
    sides: tuple[Epoch, Epoch] = (lambda: next(ours)), peer.epoch
    taken: tuple[list[float], list[float]] = [], []
    for number in range(rounds + 1):  # the first starts threads and processes
        for epoch, seconds in zip(sides, taken, strict=True):
            began = time.perf_counter()
            epoch()
            if number:
                seconds.append(time.perf_counter() - began)
    return Comparison(title, *taken)


def _our_epochs(method: PixelClustering, stream: Stream) -> Iterator[float]:
    """Our loop, set up as `recipes/session.py` does; the last loss of each epoch."""
    fabric = Fabric(accelerator="cpu", devices=1)
    method = method.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(OPTIM, method.parameters(), device=fabric.device)
    scheduler = make_scheduler(OPTIM, optimizer)
    for step in fit(fabric, method, optimizer, scheduler, stream, epochs=MANY):
        if step.ends_epoch:
            yield float(step.losses["total"])


@torch.no_grad()
def _check(contest: Contest) -> None:
    """End with a line if both sides do not compute the same."""
    views = contest.config.views.model_copy(update={"scale": (1.0, 1.0), "aspect": (1.0, 1.0)})
    batches = list(contest.stream(contest.config.model_copy(update={"views": views})).epoch(1))
    ours, peer = contest.ours().eval(), contest.peer(Held(batches))
    peer.net.eval()
    ours.before_epoch(batches)
    centroids, counts = [found.centroids for found in ours.found], [found.counts for found in ours.found]
    pixels, other, losses = 0, 0, [0.0]
    seen: tuple[list[Tensor], list[Tensor]] = [], []
    for step, (batch, (images, both)) in enumerate(zip(batches, peer.supply.views(0, 1), strict=True)):
        z = [peer.features(view, number, images) for number, view in enumerate(both)]
        labels = [found.labels[step].long() for found in ours.found]
        for view in (0, 1):
            seen[view].append(as_points(z[view]))
            other += int((nearest(seen[view][-1], centroids[view]) != labels[view].flatten()).sum())
            pixels += labels[view].numel()
        ours.before_step(Moment(step, len(batches), len(batches)))
        losses.append(abs(float(ours.loss(batch).total - peer.loss(z, labels, centroids, counts))))
    inertia = max(_inertia(torch.cat(points), own) for points, own in zip(seen, centroids, strict=True))
    print(
        f"{contest.backbone}, {contest.size}: {other} of {pixels:,} labels differ, losses by {max(losses):.0e} "
        f"at most; our inertia is {inertia:.4f} of faiss's"
    )
    if other > SAME_LABELS * pixels or max(losses) > SAME_LOSS or inertia > AS_TIGHT:
        raise SystemExit("the two sides do not compute the same, so nothing is timed")


def _inertia(points: Tensor, centroids: Tensor) -> float:
    """Of centroids, as a share of that of those that faiss finds for the same (N, D) points."""

    def of(centroids: Tensor) -> float:
        return float((points - centroids[nearest(points, centroids)]).square().sum())

    return of(centroids) / of(faiss_centroids(points, len(centroids), all_points=True))


def _write(folder: Path, count: int) -> Manifest:
    """Photographs of lesions, as a camera stores them: some drawings, turned upside down when they come again."""
    drawings = list(draw_lesions(min(DRAWINGS, count), size=SQUARE, seed=0))
    folder.mkdir()
    rows: list[Row] = []
    for number, drawing in zip(range(count), itertools.cycle(drawings), strict=False):
        page = cv2.resize(drawing.image, (PAGE[1], PAGE[1]), interpolation=cv2.INTER_CUBIC)
        top, path = (PAGE[1] - PAGE[0]) // 2, folder / f"{number:04d}.jpg"
        page = np.rot90(np.asarray(page[top : top + PAGE[0]], dtype=np.uint8), 2 * (number // len(drawings)))
        Image.fromarray(page).save(path, quality=90)
        rows.append(Row(id=path.stem, image=path, mask=None, labels=None, group=None, split=None, line=number + 2))
    spec = DatasetSpec(name=folder.name, tasks=(), classes=(), mask_values={}, synthetic=True)
    write_dataset(folder, spec, rows)
    return load_manifest(folder)


if __name__ == "__main__":
    main()
