"""Epochs of s4mi and of a peer, timed alternately, for `epochs.py`.

Before timing, both sides must have the same loss for the same weights and pixels: with batch normalisation in
evaluation mode, and, if both normalise the same batches, over a few steps of training. While timed, each side must
train on every image of the data set.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from measured import Pair, Work, apart, peaks
from our_loop import Repeated, our_steps
from s4mi.contract import Batch, Method, MethodConfig, Task, TrainLoader, TrainState
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.loader import TrainBatches
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest
from s4mi.engine.memory import keep_freed_memory
from s4mi.records import TaskKind
from side_by_side import EPOCHS, SECOND, noise
from usual_loaders import Loader, epochs_of
from usual_loops import Loop

BATCH = 16
WORKERS = 2
"""Processes of the peers' loaders, threads of s4mi."""
OURS = "s4mi"
TOGETHER = 2
"""Training steps over which both sides must have the same loss, and whose memory is measured."""
SAME = 1e-4


@dataclass(frozen=True)
class Contest:
    """A method of s4mi and a typical training loop for it, on images of `size` pixels.

    Attributes:
        what: title of the row. number: row of the summary, or 0. loop: builds the peer with the weights of our method.
        turn: epochs per measurement. memory: whether to measure the peak memory of a step.
        alone: row of the summary without loading of images, or 0.
    """

    what: str
    number: int
    config: MethodConfig
    loop: Callable[[Method], Loop]
    kind: TaskKind
    classes: tuple[str, ...]
    size: int
    turn: int = 1
    memory: bool = False
    alone: int = 0

    def method(self) -> Method:
        """Our method with new weights, always the same."""
        torch.manual_seed(0)
        counts = (BATCH,) * len(self.classes)
        return self.config.build(Task(self.kind, self.classes, image_size=self.size, counts=counts, labelled=BATCH))

    def peer(self) -> Loop:
        """The peer with the same weights, in torch's default memory format."""
        return self.loop(self.method())

    def noise(self) -> Batch:
        """A batch of noise, in the memory format of our data path."""
        crops, generator = self.config.crops(self.size), torch.Generator().manual_seed(0)
        pixels = (BATCH, self.size, self.size) if self.kind == "segmentation" else (BATCH,)
        targets = torch.randint(len(self.classes), pixels, generator=generator)
        return Batch(
            images=noise(BATCH * len(crops.images), self.size, seed=0),
            rows=torch.arange(BATCH),
            labels=None if self.kind == "segmentation" else targets,
            masks=targets if self.kind == "segmentation" else None,
            local=noise(BATCH * len(crops.local), crops.local_size, seed=1) if crops.local else None,
        )

    def stream(self, manifest: Manifest, folder: Path) -> TrainBatches:
        """Our batches, made as in `s4mi train`; the images are decoded into a cache below `folder`."""
        masked = self.kind == "segmentation"
        cache = open_cache(manifest, Preprocessing(self.size), folder=folder, with_masks=masked)
        labels = [manifest.spec.classes.index(label) for row in manifest.rows for label in row.labels or ()]
        source = CachedTargets(cache, labels=None if masked else torch.tensor(labels), device=torch.device("cpu"))
        entries = np.arange(len(cache.images))
        return TrainBatches(source, entries, batch_size=BATCH, crops=self.config.crops(self.size), seed=0)


def _steps(method: Method, stream: TrainLoader) -> Iterator[tuple[float, int, bool]]:
    """Yield for each step of our loop its loss, its number of images, and whether it ends an epoch."""
    for step in our_steps(method, stream, epochs=EPOCHS, first_epoch=SECOND + 1):
        yield float(step.losses["total"]), step.images, step.ends_epoch


def our_epochs(method: Method, stream: TrainLoader) -> Work:
    """Return a function that trains one epoch per call."""
    steps = _steps(method, stream)

    def epoch() -> int:
        images = 0
        for _, seen, last in steps:
            images += seen
            if last:
                break
        return images

    return epoch


def difference(contest: Contest) -> float:
    """Largest difference between the losses of both sides from the same weights."""
    ours, theirs, batch = contest.method().eval(), contest.peer().eval(), contest.noise()
    handed = theirs.hand_over(batch)
    ours.before_step(TrainState(SECOND, 1, EPOCHS))
    with torch.no_grad():
        found = abs(float(ours.loss(batch).total - theirs.loss(handed)))
    if not theirs.together:
        return found
    theirs = contest.peer()
    steps = itertools.islice(_steps(contest.method(), Repeated(batch, TOGETHER)), TOGETHER)
    return max(found, *(abs(loss - theirs.step(handed)) for loss, _, _ in steps))


def compare(
    contest: Contest,
    manifest: Manifest,
    loaders: Mapping[str, Loader],
    *,
    rounds: int,
    folder: Path,
    from_memory: bool,
) -> tuple[list[Pair], str]:
    """Compare our epochs with those on each loader, then the steps alone; also return a line on the agreement.

    Args:
        folder: for our cache. from_memory: also time the steps alone.
    """
    differ = difference(contest)
    if differ > SAME:
        raise SystemExit(f"{contest.what}: losses differ by {differ:.0e}, so nothing is timed")
    began = time.perf_counter()
    steps, images = contest.stream(manifest, folder).steps, len(manifest.rows)
    filled = time.perf_counter() - began
    sides: dict[str, Callable[[], Work]] = {OURS: partial(_ours, contest, manifest, folder)}
    sides |= {name: partial(_theirs, contest, name, batches, images) for name, batches in loaders.items()}
    rates = _rates(sides, rounds)
    memory = peaks(partial(_few, _our_steps, contest), partial(_few, _their_steps, contest)) if contest.memory else None
    pairs = [Pair(contest.what, name, "images/s", rates[OURS], rates[name], contest.number, memory) for name in loaders]
    note = (
        f"- {contest.what}: losses differ by at most {differ:.0e}. The cache was filled in {filled:.1f} s "
        f"({images / filled:,.0f} images/s) and holds images of {contest.size} × {contest.size} pixels."
    )
    if from_memory:
        pairs.append(_from_memory(contest, steps * contest.turn, (rounds + 1) // 2))
    return pairs, note


def _rates(sides: Mapping[str, Callable[[], Work]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Images per second, each side in its own process."""
    return {side: tuple(1 / one for one in taken) for side, taken in apart(sides, rounds).items()}


def _ours(contest: Contest, manifest: Manifest, folder: Path) -> Work:
    _settle(ours=True)
    epoch = our_epochs(contest.method(), contest.stream(manifest, folder))
    return partial(_turn, OURS, epoch, len(manifest.rows), contest.turn)


def _theirs(contest: Contest, name: str, batches: Loader, images: int) -> Work:
    _settle(ours=False)
    return partial(_turn, name, partial(contest.peer().epoch, batches), images, contest.turn)


def _settle(*, ours: bool) -> None:
    """Set the number of threads and, for our side, what `make_fabric` sets."""
    torch.set_num_threads(WORKERS)
    if ours:
        keep_freed_memory()


def _turn(name: str, epoch: Work, images: int, times: int) -> int:
    seen = [epoch() for _ in range(times)]
    if set(seen) != {images}:
        raise SystemExit(f"{name} trained on {seen} images per epoch instead of {images}, so no ratio is given")
    return sum(seen)


def _from_memory(contest: Contest, steps: int, rounds: int) -> Pair:
    """Compare `steps` steps per measurement, on one batch in memory."""
    rates = _rates({OURS: partial(_our_steps, contest, steps), "peer": partial(_their_steps, contest, steps)}, rounds)
    return Pair(
        f"{contest.what}: from memory", "the same loop", "images/s", rates[OURS], rates["peer"], number=contest.alone
    )


def steps_from_memory(contest: Contest, steps: int, *, ours: bool) -> Work:
    """Return a function that trains so many steps on one batch, on one side, in its own process."""
    return _our_steps(contest, steps) if ours else _their_steps(contest, steps)


def _our_steps(contest: Contest, steps: int) -> Work:
    _settle(ours=True)
    return our_epochs(contest.method(), Repeated(contest.noise(), steps))


def _their_steps(contest: Contest, steps: int) -> Work:
    _settle(ours=False)
    peer = contest.peer()
    return partial(peer.epoch, epochs_of(peer.hand_over(contest.noise()), steps))


def _few(set_up: Callable[[Contest, int], Work], contest: Contest) -> None:
    set_up(contest, TOGETHER)()
