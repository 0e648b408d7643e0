"""Time an epoch of PiCIE against the four clustering passes and a training pass of the paper's code.

    python benchmarks/clustering.py [--images N] [--rounds R] [--quick]

`four_passes.py` is the peer: before training it processes the images four times, twice for each view. s4mi clusters
both views in one pass. Network, weights, optimiser and loss are the same on both sides, which alternate in one process.

Images are synthetic, stored as JPEGs of 1024×768. The peer decodes them in every pass, with two processes; s4mi decodes
once, which is not timed but printed, and uses two threads. In the row "from memory" both get the same finished views,
so that only the passes and the steps are compared. Memory is that of the training process, without its loaders.

Before timing, both sides must give the same labels and losses for the same views and centroids, with batch
normalisation in evaluation mode, and our clusters must have an inertia like those of faiss. Views are only flipped for
that check: cropping a feature map loses what is beyond its edge, which s4mi still sees.
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
from s4mi.methods.segmentation.picie import PixelClustering
from s4mi.settings.optim import OptimConfig
from s4mi.settings.segmentation.picie import PicieConfig

BATCH = 16
WORKERS = 2
"""Processes of the peer's loader, threads of s4mi."""
OPTIM = OptimConfig(**PicieConfig.default_optim)
ROW = 8
"""Row of the summary."""
PACKAGES = ("torch", "torchvision", "timm", "faiss-cpu", "Pillow", "opencv-python-headless")
MANY = 1_000_000

SAME_LOSS = 1e-5
SAME_LABELS = 1e-4
"""Largest share of pixels on the border of two clusters, where rounding decides."""
AS_TIGHT = 1.02


@dataclass(frozen=True)
class Contest:
    """A network on the images of a data set at `size` × `size` pixels; `rounds` is the default of the command line."""

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
        """Our method with new weights, always the same."""
        torch.manual_seed(0)
        names = self.config.own_classes
        task = Task("segmentation", classes=names, image_size=self.size, counts=(0,) * len(names), labelled=0)
        method: PixelClustering = self.config.build(task)
        return method

    def peer(self, supply: Supply) -> FourPasses:
        """The peer with the same weights, in torch's default memory format."""
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
        """Our batches, made as in `s4mi train`."""
        cache = open_cache(self.manifest, Preprocessing(self.size), folder=self.folder / "cache", with_masks=False)
        source = CachedTargets(cache=cache, labels=None, device=torch.device("cpu"))
        entries = np.arange(len(cache.images))
        return TrainBatches(source, entries, batch_size=BATCH, crops=config.crops(self.size), seed=0)

    def files(self) -> Files:
        """The peer's batches, from the image files."""
        paths = [row.image for row in self.manifest.rows]
        return Files(paths, size=self.size, batch=BATCH, views=self.config.views, workers=WORKERS)


class HeldStream:
    """An epoch of batches made beforehand, repeated."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches, self.steps = batches, len(batches)

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return iter(self.batches)


def main() -> None:
    """Generate the images, run the measurements, print the table."""
    arguments = _arguments()
    torch.set_num_threads(WORKERS)
    setting = (
        f"{machine(PACKAGES)} {arguments.images} images, batches of {BATCH}; DataLoader with {WORKERS} processes, s4mi "
        f"with {WORKERS} threads."
    )
    pairs: list[Pair] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = photographs(folder / "images", arguments.images)
        small = Contest("tiny_resnet", 64, rounds=1 if arguments.quick else 3, manifest=manifest, folder=folder)
        large = Contest("resnet18", 96, rounds=2, manifest=manifest, folder=folder)
        for contest in (small,) if arguments.quick else (small, large):
            began = time.perf_counter()
            stream = contest.stream(contest.config)
            notes += [f"- {contest.title}: decoded once in {time.perf_counter() - began:.1f} s", f"- {_check(contest)}"]
            print("\n".join(notes[-2:]), flush=True)
            rounds = arguments.rounds or contest.rounds
            pairs.append(_from_files(contest, stream, rounds, memory=not arguments.quick))
            if contest is small and not arguments.quick:
                pairs.append(_from_memory(contest, stream, rounds))
    report("clustering", setting, pairs, text="\n".join(notes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time an epoch of PiCIE against four clustering passes and a training pass."
    )
    parser.add_argument(
        "--images", type=int, help="number of images (default: 288, more than k-means is fitted on; 96 with --quick)"
    )
    parser.add_argument(
        "--rounds", type=int, help="measurements of each side (default: 3 for the small network, 2 for the large)"
    )
    parser.add_argument("--quick", action="store_true", help="small network only, few images, one round")
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
    against = "four clustering passes and a training pass, faiss"
    return Pair(what, against, "s/epoch", taken["ours"], taken["theirs"], number=number, memory=memory)


def _one_of_ours(contest: Contest) -> None:
    torch.set_num_threads(WORKERS)
    next(_our_epochs(contest.ours(), contest.stream(contest.config)))


def _one_of_the_peer(contest: Contest) -> None:
    torch.set_num_threads(WORKERS)
    contest.peer(contest.files()).epoch()


def _our_epochs(method: PixelClustering, stream: TrainLoader) -> Iterator[float]:
    """Yield the last loss of each epoch."""
    for step in our_steps(method, stream, epochs=MANY):
        if step.ends_epoch:
            yield float(step.losses["total"])


@torch.no_grad()
def _check(contest: Contest) -> str:
    """Describe in one line how well both sides agree.

    Raises:
        SystemExit: they do not agree.
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
        f"{contest.title}: {other} of {pixels:,} labels differ, losses by at most {max(losses):.0e}; our inertia is "
        f"{inertia:.4f} times faiss's"
    )
    if other > SAME_LABELS * pixels or max(losses) > SAME_LOSS or inertia > AS_TIGHT:
        raise SystemExit(f"{line}: the sides do not agree, so nothing is timed")
    return line


def _inertia(points: Tensor, centroids: Tensor) -> float:
    """Inertia of centroids divided by that of faiss's centroids for the same (N, D) points."""

    def of(centroids: Tensor) -> float:
        return float((points - centroids[nearest(points, centroids)]).square().sum())

    return of(centroids) / of(faiss_centroids(points, len(centroids), all_points=True))


if __name__ == "__main__":
    main()
