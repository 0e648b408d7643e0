"""The state of a run in training: its epochs, and the checkpoint and log entry of each."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s4mi.config import RunConfig
from s4mi.contract import CollapseError, Method, Pretrainer, TrainLoader
from s4mi.engine.batch_norm import sync_batch_norm
from s4mi.engine.checkpoint import load_last, restore_weights, save_best, save_last
from s4mi.engine.compilation import compile_networks
from s4mi.engine.cpu.optimise import optimise_for_device
from s4mi.engine.fabric import Fabric
from s4mi.engine.fit import LossNotFiniteError, Step, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.maths.distributed import values_of_all
from s4mi.records import Cost, EpochRecord, read_epochs, write_text_atomically
from s4mi.training.energy import EnergyMeter, energy_meter
from s4mi.training.environment import forget_peak_memory
from s4mi.training.installed import now
from s4mi.training.loggers import Loggers, make_loggers
from s4mi.training.measured_cost import measured_cost
from s4mi.training.prepare import Prepared
from s4mi.training.progress import ProgressCallback, TrainingClock
from s4mi.training.run_dir import RunDir
from s4mi.training.run_files import write_run_files
from s4mi.training.run_method import build_method
from s4mi.training.train_batches import train_loader

log = logging.getLogger("s4mi")


@dataclass
class Session:
    """Everything that changes while a run trains.

    Attributes:
        epoch: finished epochs. best: score of epoch `best_epoch`. seconds, images: training so far, over all sessions.
        restarts: restarts after a collapse. best_weights: the best weights while they are not on disk yet.
    """

    fabric: Fabric
    config: RunConfig
    prepared: Prepared
    run_dir: RunDir
    method: Method
    loader: TrainLoader
    optimizer: Optimizer
    scheduler: LRScheduler
    meter: EnergyMeter
    loggers: Loggers
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
        """Start a new run, or restore the last checkpoint in `run_dir`; nothing is written yet.

        Raises:
            S4miError: the network cannot be built or compiled, the checkpoint is not of this network, a process has no
                image, or batches are too small for batch normalisation.
        """
        forget_peak_memory(fabric.device)
        with fabric.rank_zero_first():  # loading completes a checkpoint that was half moved when killed
            saved = load_last(run_dir.checkpoints)
        method = build_method(config, prepared.task, pretrained=saved is None)
        if saved is not None:
            restore_weights(method, saved[0], run_dir.checkpoints)
        loader = train_loader(fabric, config, prepared, method)
        if fabric.world_size > 1 and config.hardware.sync_batch_norm:
            sync_batch_norm(method, device=fabric.device)
        optimise_for_device(method, fabric.device)
        if config.hardware.compile:
            names = compile_networks(method, fabric.device)
            log.info("torch.compile: %s; the first steps take minutes", ", ".join(names))
        optimizer = make_optimizer(config.optim, method.parameters(), device=fabric.device)
        scheduler = make_scheduler(config.optim, optimizer)
        meter = energy_meter(fabric)
        dataset = prepared.manifest.spec.name
        loggers = make_loggers(config, run_dir.path, dataset=dataset) if fabric.is_global_zero else Loggers({})
        session = cls(
            fabric, config, prepared, run_dir, method, loader, optimizer, scheduler, meter, loggers, started=now()
        )
        if saved is not None:
            try:
                session._restore(saved[1])
            except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
                raise S4miError(f"{run_dir.checkpoints}: damaged ({error}); start the run again elsewhere") from error
        return session

    def write_settings(self) -> None:
        """Write the run's settings, split and state of the data, and drop log entries of epochs that will run again."""
        if self.fabric.is_global_zero:
            write_run_files(self.run_dir, self.config, self.prepared)
            _truncate_log(self.run_dir, self.epoch)
            self.loggers.begin(self.epoch + 1)
        self.fabric.barrier()
        self.latest = next(reversed(read_epochs(self.run_dir.path)), None)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.config.epochs * self.loader.steps

    @property
    def cost(self) -> Cost:
        """Cost so far, over all sessions."""
        parameters = sum(parameter.numel() for parameter in self.method.parameters())
        return measured_cost(self.fabric, self.meter, seconds=self.seconds, images=self.images, parameters=parameters)

    def epochs(self, watch: ProgressCallback) -> Iterator[EpochRecord]:
        """Train the remaining epochs, yielding a record after each, to be completed and passed to `finish_epoch`.

        After a collapse training restarts with new weights, as often as the method allows.

        Raises:
            S4miError: a loss is not finite, or training collapsed once too often.
        """
        while True:
            clock = TrainingClock(
                steps_left=(self.config.epochs - self.epoch) * self.loader.steps, processes=self.fabric.world_size
            )
            steps: list[Step] = []
            try:
                for step in self._fit():
                    steps.append(step)
                    clock.step(step)
                    watch(clock.progress(step, self.config.epochs, latest=self.latest))
                    if step.ends_epoch:
                        clock.pause()
                        yield self._end_epoch(steps, clock.epoch_seconds)
                        watch(clock.progress(step, self.config.epochs, latest=self.latest))
                        steps = []
                        clock.resume()
                return
            except LossNotFiniteError as error:
                raise _not_finite(error, self.config, self.prepared) from error
            except CollapseError as collapse:
                self._restart(collapse)

    def _fit(self) -> Iterator[Step]:
        return fit(
            self.fabric,
            self.method,
            self.optimizer,
            self.scheduler,
            self.loader,
            epochs=self.config.epochs,
            first_epoch=self.epoch + 1,
            seed=self.config.seed,
            clip_norm=self.config.optim.clip_norm,
        )

    def finish_epoch(self, record: EpochRecord, *, score: float | None = None) -> None:
        """Log an epoch, save a checkpoint if one is due, and keep the weights if `score` is the best so far.

        A NaN score counts as the worst possible.
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
        self.loggers.epoch(record)
        due = time.monotonic() - self.saved_at >= self.config.hardware.checkpoint_seconds
        if due or self.epoch == self.config.epochs:
            self.save()

    def save(self) -> None:
        """Write a checkpoint; the best weights first, so that the last checkpoint never refers to missing ones."""
        if not self.fabric.is_global_zero:
            return
        self.run_dir.checkpoints.mkdir(parents=True, exist_ok=True)
        if self.best_weights is not None:
            save_best(self.run_dir.checkpoints, self.best_weights, epoch=self.best_epoch)
            self.best_weights = None
        save_last(self.run_dir.checkpoints, self.method.state_dict(), self._saved(), epoch=self.epoch)
        self.saved_at = time.monotonic()

    def _restart(self, collapse: CollapseError) -> None:
        """Restart from the first epoch with new weights and a new optimiser.

        Raises:
            S4miError: the method allows no further restart.
        """
        config, allowed = self.config, self.config.method.restarts_allowed
        state = f"epoch {self.epoch + 1}: {collapse}"
        if self.restarts >= allowed:
            tried = f", also after {plural(allowed, 'restart')}" if allowed else ""
            raise S4miError(f"{state}{tried}; {config.method.hint}, or raise method.restarts")
        self.restarts += 1
        log.warning("%s; training restarts with new weights (restart %d of %d)", state, self.restarts, allowed)
        self.method.load_state_dict(build_method(config, self.prepared.task, start=self.restarts).state_dict())
        self.optimizer = make_optimizer(config.optim, self.method.parameters(), device=self.fabric.device)
        self.scheduler = make_scheduler(config.optim, self.optimizer)
        self.epoch, self.best_epoch, self.best = 0, 0, -math.inf
        self.latest, self.best_weights = None, None
        if self.fabric.is_global_zero:
            _truncate_log(self.run_dir, 0)
            self.loggers.begin(1)
        self.fabric.barrier()

    def _end_epoch(self, steps: list[Step], seconds: float) -> EpochRecord:
        images = images_seen(self.fabric, steps)
        self.epoch = steps[-1].epoch
        self.seconds += seconds
        self.images += images
        self.meter.read()
        return EpochRecord(
            epoch=self.epoch,
            losses=mean_losses(self.fabric, steps),
            val={},
            signals={} if isinstance(self.method, Pretrainer) else self.method.signals(),
            lr=steps[-1].lr,
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-9),
        )

    def _restore(self, saved: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.epoch, self.best_epoch, self.best = saved["epoch"], saved["best_epoch"], saved["best"]
        self.seconds, self.images, self.started = saved["seconds"], saved["images"], saved["started"]
        self.restarts = saved.get("restarts", 0)  # missing in older checkpoints
        self.meter.add_previous(saved.get("joules"))

    def _saved(self) -> dict[str, Any]:
        """Everything but the weights, in plain types that torch loads safely."""
        names = ("best_epoch", "best", "seconds", "images", "started", "restarts")
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            **{name: getattr(self, name) for name in names},
            "joules": self.meter.read(),
        }


def _truncate_log(run_dir: RunDir, last: int) -> None:
    """Drop the entries of epochs after `last`, which will run again."""
    kept = [epoch.model_dump_json() for epoch in read_epochs(run_dir.path) if epoch.epoch <= last]
    write_text_atomically(run_dir.metrics, "".join(line + "\n" for line in kept))


def _not_finite(error: LossNotFiniteError, config: RunConfig, prepared: Prepared) -> S4miError:
    """One line that names the step, its images in all processes, and what to try."""
    rows = dict.fromkeys(row for rows_of_process in values_of_all(error.rows) for row in rows_of_process)
    ids = [prepared.manifest.rows[row].id for row in rows]
    listed = ", ".join(ids[:16]) + (f" and {len(ids) - 16} more" if len(ids) > 16 else "")
    terms = ", ".join(f"{name} {value:g}" for name, value in error.terms.items() if name != "total")
    return S4miError(
        f"epoch {error.epoch}, step {error.index}: the loss is not finite ({terms}) on the images {listed}; "
        f"try a smaller optim.lr (now {config.optim.lr:g}), optim.clip_norm=1 or hardware.precision=32, "
        "then continue from the last epoch with --resume"
    )


def mean_losses(fabric: Fabric, steps: list[Step]) -> dict[str, float]:
    """Mean of each loss term over an epoch and all processes; only here do losses leave the device."""
    names = list(steps[0].losses)
    table = torch.stack([torch.stack([step.losses[name].float() for name in names]) for step in steps])
    means: torch.Tensor = fabric.all_reduce(table.mean(dim=0), reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(names, means.tolist(), strict=True))


def images_seen(fabric: Fabric, steps: list[Step]) -> int:
    """Number of images in these steps, over all processes."""
    local = torch.tensor(sum(step.images for step in steps), device=fabric.device)
    total: torch.Tensor = fabric.all_reduce(local, reduce_op="sum")  # type: ignore[assignment]
    return int(total)
