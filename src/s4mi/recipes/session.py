"""A run while it goes on: its state, its epochs one after the other, and what is kept of each."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s4mi.config import RunConfig, differences, save_run_config
from s4mi.contract import CollapseError, Method, Pretrainer, Segmenter, SemiSupervisedConfig, Stream
from s4mi.data.batches import TrainBatches
from s4mi.data.mixed_batches import MixedBatches
from s4mi.data.spec import write_spec
from s4mi.data.split_file import save_split
from s4mi.engine.checkpoint import load_last, save_best, save_last
from s4mi.engine.fit import LossNotFiniteError, Step, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.errors import S4miError
from s4mi.recipes.prepare import Prepared
from s4mi.recipes.progress import Clock, Watcher
from s4mi.recipes.run_dir import RunDir, build_method
from s4mi.recipes.surroundings import device_name, forget_peak_memory, now, peak_memory
from s4mi.records import Cost, EpochRecord, read_epochs, write_text_atomically

log = logging.getLogger("s4mi")


class _Common(TypedDict):
    seed: int
    steps: int | None
    rank: int
    world: int


@dataclass
class Session:
    """A run between its first epoch and its last. `best_weights` are those not yet on the disk."""

    fabric: Fabric
    config: RunConfig
    prepared: Prepared
    run_dir: RunDir
    method: Method
    optimizer: Optimizer
    scheduler: LRScheduler
    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    images: int = 0
    restarts: int = 0
    started: str = ""
    latest: EpochRecord | None = None
    best_weights: dict[str, torch.Tensor] | None = None
    saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, fabric: Fabric, config: RunConfig, prepared: Prepared, run_dir: RunDir) -> "Session":
        """Fresh, or as the last finished epoch left it; nothing is written yet.

        Raises:
            S4miError: a network that cannot be built, or batches that batch normalisation can do nothing with.
        """
        forget_peak_memory(fabric.device)
        saved = load_last(run_dir.checkpoints)
        method = build_method(config, prepared.task, pretrained=saved is None)
        if saved is not None:
            method.load_state_dict(saved[0])
        method = method.to(fabric.device)
        if fabric.device.type != "mps":  # where convolutions are fastest on CPUs and GPUs alike
            method = method.to(memory_format=torch.channels_last)
        optimizer = make_optimizer(config.optim, method.parameters(), device=fabric.device)
        scheduler = make_scheduler(config.optim, optimizer)
        session = cls(fabric, config, prepared, run_dir, method, optimizer, scheduler, started=now())
        if saved is not None:
            session._restore(saved[1])
        session._check_batches()
        return session

    def put_on_record(self) -> None:
        """Write the run's settings and split, and drop the lines of epochs that will run again."""
        if self.fabric.is_global_zero:
            save_run_config(self.config, self.run_dir.config_path)
            write_spec(self.run_dir.path, self.prepared.manifest.spec)
            save_split(self.prepared.split, self.prepared.manifest, self.run_dir.split_path)
            _keep_epochs(self.run_dir, self.epoch)
        self.fabric.barrier()
        self.latest = next(reversed(read_epochs(self.run_dir.path)), None)

    @property
    def entries(self) -> NDArray[np.int64]:
        """The cache entries that are trained on: all of the training part, or those whose annotation may be read."""
        split = self.prepared.split
        return self.prepared.cache.entries_of(split.train if self.config.method.unlabelled else split.labelled)

    @property
    def unlabelled(self) -> NDArray[np.int64]:
        """The cache entries of the training part whose annotation is not there or must not be read."""
        split = self.prepared.split
        return self.prepared.cache.entries_of(sorted({*split.train} - {*split.labelled}))

    @property
    def cost(self) -> Cost:
        """So far, over all sessions."""
        return Cost(
            seconds=self.seconds,
            images_per_second=self.images / max(self.seconds, 1e-9),
            peak_memory_mib=peak_memory(self.fabric.device),
            parameters=sum(parameter.numel() for parameter in self.method.parameters()),
            device=device_name(self.fabric.device),
        )

    def epochs(self, watch: Watcher) -> Iterator[EpochRecord]:
        """Train the remaining epochs; after each comes its record, to be completed and given to `keep`.

        After a collapse training begins again with other weights, as often as the method allows.

        Raises:
            S4miError: a loss that is not finite, or one collapse too many.
        """
        while True:
            try:
                yield from self._epochs(watch)
            except CollapseError as collapse:
                self._begin_again(collapse)
            else:
                return

    def _epochs(self, watch: Watcher) -> Iterator[EpochRecord]:
        stream = self._stream()
        steps = fit(
            self.fabric,
            self.method,
            self.optimizer,
            self.scheduler,
            stream,
            epochs=self.config.epochs,
            first_epoch=self.epoch + 1,
            seed=self.config.seed,
            clip_norm=self.config.optim.clip_norm,
        )
        clock = Clock(steps_left=(self.config.epochs - self.epoch) * stream.steps)
        epoch: list[Step] = []
        for step in _in_one_line(steps, self.config, self.prepared):
            epoch.append(step)
            clock.step(step)
            watch(clock.progress(step, self.config.epochs, latest=self.latest))
            if step.ends_epoch:
                clock.pause()
                yield self._end_epoch(epoch, clock.epoch_seconds)
                watch(clock.progress(step, self.config.epochs, latest=self.latest))
                epoch = []
                clock.resume()

    def keep(self, record: EpochRecord, *, score: float | None = None) -> None:
        """Log an epoch and save a checkpoint where one is due; with a `score`, remember the weights if it is the best.

        A score that is not a number counts as the worst there is.
        """
        self.latest = record
        better = score is not None and (self.epoch == 1 or score > self.best)
        if better and score is not None:
            self.best, self.best_epoch = -math.inf if math.isnan(score) else score, self.epoch
        if not self.fabric.is_global_zero:
            return
        if better:
            self.best_weights = {name: tensor.detach().clone() for name, tensor in self.method.state_dict().items()}
        with self.run_dir.metrics.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")
        due = time.monotonic() - self.saved_at >= self.config.hardware.checkpoint_seconds
        if due or self.epoch == self.config.epochs:
            self.save()

    def save(self) -> None:
        """Write a checkpoint; the best weights first, so that the last ones never speak of a best that is not there."""
        if not self.fabric.is_global_zero:
            return
        self.run_dir.checkpoints.mkdir(parents=True, exist_ok=True)
        if self.best_weights is not None:
            save_best(self.run_dir.checkpoints, self.best_weights, epoch=self.best_epoch)
            self.best_weights = None
        save_last(self.run_dir.checkpoints, self.method.state_dict(), self._saved(), epoch=self.epoch)
        self.saved_at = time.monotonic()

    def _stream(self) -> Stream:
        config, source = self.config, self.prepared.source(self.fabric.device)
        common = _Common(
            seed=config.seed, steps=config.epoch_steps, rank=self.fabric.global_rank, world=self.fabric.world_size
        )
        if isinstance(config.method, SemiSupervisedConfig):
            unlabelled = self.unlabelled
            return MixedBatches(
                source,
                self.entries,
                unlabelled,
                mixture=config.method.mixture(config.batch_size, unlabelled=len(unlabelled)),
                views=config.method.views,
                **common,
            )
        crops = config.method.crops(config.data.image_size)
        return TrainBatches(source, self.entries, batch_size=config.batch_size, crops=crops, **common)

    def _check_batches(self) -> None:
        """Refuse batches of one image where batch normalisation would compare it with nothing but itself."""
        config, images, world = self.config, len(self.entries), self.fabric.world_size
        steps = math.ceil(images / (config.batch_size * world))
        fewest = images // (steps * world) if config.epoch_steps is None else config.batch_size
        views = fewest * len(config.method.crops(config.data.image_size).images)
        if isinstance(self.method, Segmenter) or views > 1:  # a map of pixels has enough to average
            return
        learns = any(
            module.weight is not None and module.weight.requires_grad
            for module in self.method.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        )
        if learns:
            raise S4miError(
                f"batches of one image (batch_size {config.batch_size}, {images} training images) leave batch "
                "normalisation nothing to average; raise batch_size or label_fraction, or choose a network without it"
            )

    def _begin_again(self, collapse: CollapseError) -> None:
        """Other weights, a fresh optimiser, and the first epoch again.

        Raises:
            S4miError: that was done as often as the method allows.
        """
        config, allowed = self.config, self.config.method.restarts_allowed
        state = f"epoch {self.epoch + 1}: {collapse}"
        if self.restarts >= allowed:
            tried = f", also after {allowed} fresh start{'s' * (allowed > 1)}" if allowed else ""
            raise S4miError(f"{state}{tried}; {config.method.cure}, or raise method.restarts")
        self.restarts += 1
        log.warning("%s; training begins again with other weights (%d of %d times)", state, self.restarts, allowed)
        self.method.load_state_dict(build_method(config, self.prepared.task, start=self.restarts).state_dict())
        self.optimizer = make_optimizer(config.optim, self.method.parameters(), device=self.fabric.device)
        self.scheduler = make_scheduler(config.optim, self.optimizer)
        self.epoch, self.best_epoch, self.best = 0, 0, -math.inf
        self.latest, self.best_weights = None, None
        if self.fabric.is_global_zero:
            _keep_epochs(self.run_dir, 0)
        self.fabric.barrier()

    def _end_epoch(self, steps: list[Step], seconds: float) -> EpochRecord:
        images = sum(step.images for step in steps) * self.fabric.world_size
        self.epoch = steps[-1].epoch
        self.seconds += seconds
        self.images += images
        return EpochRecord(
            epoch=self.epoch,
            losses=_means(self.fabric, steps),
            val={},
            signals={} if isinstance(self.method, Pretrainer) else self.method.signals(),
            lr=float(self.scheduler.get_last_lr()[0]),
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-9),
        )

    def _restore(self, saved: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.epoch, self.best_epoch, self.best = saved["epoch"], saved["best_epoch"], saved["best"]
        self.seconds, self.images, self.started = saved["seconds"], saved["images"], saved["started"]
        self.restarts = saved.get("restarts", 0)  # older checkpoints know of none

    def _saved(self) -> dict[str, Any]:
        """All but the weights, of plain types that torch loads safely."""
        names = ("best_epoch", "best", "seconds", "images", "started", "restarts")
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            **{name: getattr(self, name) for name in names},
        }


def check_folder(run_dir: RunDir, config: RunConfig, *, resume: bool) -> None:
    """Refuse a folder that holds something else, or a run that was started with other settings.

    Raises:
        S4miError: it does, and what to do.
    """
    if not run_dir.path.exists() or not any(run_dir.path.iterdir()):
        return
    if not run_dir.config_path.exists():
        raise S4miError(f"{run_dir.path}: holds files but no run; choose an empty folder")
    if not resume:
        raise S4miError(f"{run_dir.path}: holds a run already; pass --resume to continue it, or choose another folder")
    changed = differences(run_dir.config(), config)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise S4miError(
            f"{run_dir.config_path}: the run was started with other settings ({'; '.join(changed[:3])}{more}); "
            "resume with the same, or choose another folder"
        )


def _in_one_line(steps: Iterator[Step], config: RunConfig, prepared: Prepared) -> Iterator[Step]:
    """The steps; a loss that is not finite becomes one line naming the step, the images and what to try."""
    try:
        yield from steps
    except LossNotFiniteError as error:
        ids = [prepared.manifest.rows[row].id for row in dict.fromkeys(error.rows)]
        shown = ", ".join(ids[:16]) + (f" and {len(ids) - 16} more" if len(ids) > 16 else "")
        terms = ", ".join(f"{name} {value:g}" for name, value in error.terms.items() if name != "total")
        raise S4miError(
            f"epoch {error.epoch}, step {error.index}: the loss is not finite ({terms}) on the images {shown}; "
            f"try a smaller optim.lr (now {config.optim.lr:g}), optim.clip_norm=1 or hardware.precision=32, "
            "then go on from the last epoch with --resume"
        ) from error


def _means(fabric: Fabric, steps: list[Step]) -> dict[str, float]:
    """Mean of each loss term over an epoch and all processes; the one moment at which losses leave the device."""
    names = list(steps[0].losses)
    table = torch.stack([torch.stack([step.losses[name].float() for name in names]) for step in steps])
    means: torch.Tensor = fabric.all_reduce(table.mean(dim=0), reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(names, means.tolist(), strict=True))


def _keep_epochs(run_dir: RunDir, last: int) -> None:
    """Drop the lines of epochs that will run again."""
    kept = [epoch.model_dump_json() for epoch in read_epochs(run_dir.path) if epoch.epoch <= last]
    write_text_atomically(run_dir.metrics, "".join(line + "\n" for line in kept))
