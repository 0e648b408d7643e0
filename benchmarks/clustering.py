"""Time an epoch of PiCIE against the four passes and a training pass that are usually written after the paper.

    python benchmarks/clustering.py [--images N] [--rounds R] [--quick]

`four_passes.py` is the peer: before it trains it goes over the images four times, twice for each view. We cluster both
views in one pass. Network, weights, optimiser and loss are the same on both sides, which take turns in one process.

Images are drawn, and stored as JPEGs of 1024×768. The peer decodes them in every pass, with two processes; we decode
once, which is not counted but printed, and have two threads. In the row "from memory" both get the same finished views,
so that the passes and the steps alone are compared. Memory is that of the process that trains, without its loaders'.

Nothing is timed before both sides have been found to give the same labels and losses for the same views and centroids,
with batch normalisation at its running statistics, and our clusters to be as tight as those of faiss. Views are flipped
only for that: whoever crops a map of features loses what lies beyond the edge, which we still see.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drawn import PAGE, photographs
from four_passes import Files, FourPasses, Held, Supply, as_points, faiss_centroids, nearest
from measured import Pair, Work, machine, peaks, report, seconds
from our_loop import our_steps
from s4mi.contract import Batch, Task, TrainLoader, TrainState
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.loader import TrainBatches
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest
from s4mi.engine.optim import OptimConfig
from s4mi.methods.segmentation.picie import PicieConfig, PixelClustering

BATCH = 16
WORKERS = 2
"""Processes of the peer's loader, threads of ours."""
OPTIM = OptimConfig(**PicieConfig.default_optim)
ROW = 8
"""Of the summary."""
PACKAGES = ("torch", "torchvision", "timm", "faiss-cpu", "Pillow", "opencv-python-headless")
MANY = 1_000_000

SAME_LOSS = 1e-5
SAME_LABELS = 1e-4
"""Share of the pixels that may lie on the border of two clusters, where rounding decides."""
AS_TIGHT = 1.02


@dataclass(frozen=True)
class Contest:
    """A network on the images of a data set, as squares of `size` pixels; `rounds`: unless the command line says."""

    backbone: str
    size: int
    rounds: int
    manifest: Manifest
    folder: Path

    @property
    def title(self) -> str:
        return f"PiCIE, {self.backbone}, {self.size}, batch {BATCH}"

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
        source = CachedTargets(cache=cache, labels=None, device=torch.device("cpu"))
        entries = np.arange(len(cache.images))
        return TrainBatches(source, entries, batch_size=BATCH, crops=config.crops(self.size), seed=0)

    def files(self) -> Files:
        """The peer's batches, from the image files."""
        paths = [row.image for row in self.manifest.rows]
        return Files(paths, size=self.size, batch=BATCH, views=self.config.views, workers=WORKERS)


class HeldStream:
    """An epoch of batches, made beforehand, again and again."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches, self.steps = batches, len(batches)

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return iter(self.batches)


def main() -> None:
    """Draw the images, take the measurements, print the table."""
    arguments = _arguments()
    torch.set_num_threads(WORKERS)
    setting = (
        f"{machine(PACKAGES)} {arguments.images} images, batches of {BATCH}; DataLoader with {WORKERS} processes, s4mi "
        f"with {WORKERS} threads."
    )
    pairs: list[Pair] = []
    said: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = photographs(folder / "images", arguments.images)
        small = Contest("tiny_resnet", 64, rounds=1 if arguments.quick else 3, manifest=manifest, folder=folder)
        large = Contest("resnet18", 96, rounds=2, manifest=manifest, folder=folder)
        for contest in (small,) if arguments.quick else (small, large):
            began = time.perf_counter()
            stream = contest.stream(contest.config)
            said += [f"- {contest.title}: decoded once in {time.perf_counter() - began:.1f} s", f"- {_check(contest)}"]
            print("\n".join(said[-2:]), flush=True)
            rounds = arguments.rounds or contest.rounds
            pairs.append(_from_files(contest, stream, rounds, memory=not arguments.quick))
            if contest is small and not arguments.quick:
                pairs.append(_from_memory(contest, stream, rounds))
    report("clustering", setting, pairs, text="\n".join(said))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time an epoch of PiCIE against one of four passes and a fifth.")
    parser.add_argument(
        "--images", type=int, help="images of the data set (288, more than k-means looks at; 96 with --quick)"
    )
    parser.add_argument("--rounds", type=int, help="measurements of each side (3 of the small network, 2 of the large)")
    parser.add_argument("--quick", action="store_true", help="the small network only, few images, one round")
    given = parser.parse_args()
    given.images = given.images or (96 if given.quick else 288)
    return given


def _from_files(contest: Contest, stream: TrainLoader, rounds: int, *, memory: bool) -> Pair:
    most = peaks(partial(_one_of_ours, contest), partial(_one_of_the_peer, contest)) if memory else None
    what = f"{contest.title}, from JPEG {PAGE[1]}×{PAGE[0]}"
    return _compare(what, contest, stream, contest.files(), rounds, number=ROW, memory=most)


def _from_memory(contest: Contest, stream: TrainBatches, rounds: int) -> Pair:
    held = list(stream.epoch(1))
    return _compare(f"{contest.title}, from memory", contest, HeldStream(held), Held(held), rounds)


def _compare(
    what: str,
    contest: Contest,
    stream: TrainLoader,
    supply: Supply,
    rounds: int,
    *,
    number: int = 0,
    memory: tuple[float, float] | None = None,
) -> Pair:
    epochs, peer = _our_epochs(contest.ours(), stream), contest.peer(supply)

    def ours() -> int:
        next(epochs)
        return 1

    def theirs() -> int:
        peer.epoch()
        return 1

    sides: dict[str, Work] = {"ours": ours, "theirs": theirs}
    taken = seconds(sides, rounds)
    against = "four passes and a fifth, faiss"
    return Pair(what, against, "s/epoch", taken["ours"], taken["theirs"], number=number, memory=memory)


def _one_of_ours(contest: Contest) -> None:
    torch.set_num_threads(WORKERS)
    next(_our_epochs(contest.ours(), contest.stream(contest.config)))


def _one_of_the_peer(contest: Contest) -> None:
    torch.set_num_threads(WORKERS)
    contest.peer(contest.files()).epoch()


def _our_epochs(method: PixelClustering, stream: TrainLoader) -> Iterator[float]:
    """The last loss of each epoch."""
    for step in our_steps(method, stream, epochs=MANY):
        if step.ends_epoch:
            yield float(step.losses["total"])


@torch.no_grad()
def _check(contest: Contest) -> str:
    """How nearly both sides compute the same, in a line.

    Raises:
        SystemExit: they do not.
    """
    views = contest.config.views.model_copy(update={"scale": (1.0, 1.0), "aspect": (1.0, 1.0)})
    batches = list(contest.stream(contest.config.model_copy(update={"views": views})).epoch(1))
    ours, peer = contest.ours().eval(), contest.peer(Held(batches))
    peer.net.eval()
    ours.before_epoch(batches)
    centroids, counts = [found.centroids for found in ours.clusterings], [found.counts for found in ours.clusterings]
    pixels, other, losses = 0, 0, [0.0]
    seen: tuple[list[Tensor], list[Tensor]] = [], []
    for step, (batch, (images, both)) in enumerate(zip(batches, peer.supply.views(0, 1), strict=True)):
        z = [peer.features(view, number, images) for number, view in enumerate(both)]
        labels = [found.labels[step].long() for found in ours.clusterings]
        for view in (0, 1):
            seen[view].append(as_points(z[view]))
            other += int((nearest(seen[view][-1], centroids[view]) != labels[view].flatten()).sum())
            pixels += labels[view].numel()
        ours.before_step(TrainState(step, len(batches), len(batches)))
        losses.append(abs(float(ours.loss(batch).total - peer.loss(z, labels, centroids, counts))))
    inertia = max(_inertia(torch.cat(points), own) for points, own in zip(seen, centroids, strict=True))
    line = (
        f"{contest.title}: {other} of {pixels:,} labels differ, losses by {max(losses):.0e} at most; our inertia is "
        f"{inertia:.4f} of faiss's"
    )
    if other > SAME_LABELS * pixels or max(losses) > SAME_LOSS or inertia > AS_TIGHT:
        raise SystemExit(f"{line}: the two sides do not compute the same, so nothing is timed")
    return line


def _inertia(points: Tensor, centroids: Tensor) -> float:
    """Of centroids, as a share of that of those that faiss finds for the same (N, D) points."""

    def of(centroids: Tensor) -> float:
        return float((points - centroids[nearest(points, centroids)]).square().sum())

    return of(centroids) / of(faiss_centroids(points, len(centroids), all_points=True))


if __name__ == "__main__":
    main()
