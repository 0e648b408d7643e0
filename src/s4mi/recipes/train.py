"""One training run, from settings to record.

<run>/config.yaml                  every setting, resolved
      dataset.yaml                 classes and mask values of the data set
      split.json                   who trains, chooses and tests, and its hash
      metrics.jsonl                a line an epoch
      checkpoints/                 last.safetensors + training.pt, best.safetensors
      record.json                  the RunRecord: written last, so its presence means finished
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s4mi.config import RunConfig, differences, save_run_config
from s4mi.contract import Classifier, Segmenter
from s4mi.data.batches import TrainBatches
from s4mi.data.spec import write_spec
from s4mi.data.split_file import save_split
from s4mi.engine.checkpoint import load_last, save_best, save_last
from s4mi.engine.fit import LossNotFiniteError, Step, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.errors import S4miError
from s4mi.recipes.evaluate import evaluate, validate
from s4mi.recipes.prepare import Prepared, prepare
from s4mi.recipes.progress import Clock, Progress, Watcher
from s4mi.recipes.run_dir import RunDir, build_method, load_method, make_fabric
from s4mi.recipes.surroundings import device_name, git_revision, now, peak_memory, versions
from s4mi.records import Cost, EpochRecord, RunRecord, read_epochs, read_record, write_record, write_text_atomically


def train(config: RunConfig, run: Path, *, resume: bool = False, watch: Watcher = lambda _: None) -> RunRecord:
    """Train, choose the best epoch on validation, score it once on test, and leave a record.

    With `resume`, a finished run is returned as it is and an unfinished one continues after its last finished epoch,
    ending with the weights of an uninterrupted run (to the bit on one CPU).

    Raises:
        S4miError: bad settings or data, a folder that is in use, or a loss that is not finite.
    """
    run_dir = RunDir(run)
    _check_folder(run_dir, config, resume=resume)
    if run_dir.finished:
        return read_record(run)
    fabric = make_fabric(config)
    fabric.launch()
    prepared = prepare(config, progress=lambda done, total: watch(Progress("decode", done, total)))
    if resume and run_dir.split_path.exists():
        run_dir.check_split(prepared.split)
    state = _State.begin(fabric, config, prepared, run_dir)
    if fabric.is_global_zero:
        save_run_config(config, run_dir.config_path)
        write_spec(run, prepared.manifest.spec)
        save_split(prepared.split, prepared.manifest, run_dir.split_path)
        _keep_epochs(run_dir, state.epoch)
    _train(fabric, config, prepared, run_dir, state, watch)
    watch(Progress("evaluate", 0, 1, config.epochs, config.epochs, state.latest))
    record = _record(fabric, config, prepared, run_dir, state)
    if fabric.is_global_zero:
        write_record(record, run)
    return record


@dataclass
class _State:
    """What changes while a run goes on. `best_weights` are those not yet on the disk."""

    method: Classifier | Segmenter
    optimizer: Optimizer
    scheduler: LRScheduler
    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    images: int = 0
    started: str = ""
    latest: EpochRecord | None = None
    best_weights: dict[str, torch.Tensor] | None = None
    saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, fabric: Fabric, config: RunConfig, prepared: Prepared, run_dir: RunDir) -> "_State":
        """Fresh, or as the last finished epoch left it."""
        saved = load_last(run_dir.checkpoints)
        method = build_method(config, prepared.task, pretrained=saved is None)
        if not isinstance(method, Classifier | Segmenter):
            raise S4miError(f"method {config.method.name!r} cannot be trained by s4mi train yet")
        if saved is not None:
            method.load_state_dict(saved[0])
        method = method.to(fabric.device)
        if fabric.device.type != "mps":  # where convolutions are fastest on CPUs and GPUs alike
            method = method.to(memory_format=torch.channels_last)
        optimizer = make_optimizer(config.optim, method.parameters(), device=fabric.device)
        state = cls(method, optimizer, make_scheduler(config.optim, optimizer), started=now())
        if saved is not None:
            state._restore(saved[1])
        return state

    def _restore(self, saved: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.epoch, self.best_epoch, self.best = saved["epoch"], saved["best_epoch"], saved["best"]
        self.seconds, self.images, self.started = saved["seconds"], saved["images"], saved["started"]

    def saved(self) -> dict[str, Any]:
        """All but the weights, of plain types that torch loads safely."""
        names = ("best_epoch", "best", "seconds", "images", "started")
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            **{name: getattr(self, name) for name in names},
        }


def _train(
    fabric: Fabric, config: RunConfig, prepared: Prepared, run_dir: RunDir, state: _State, watch: Watcher
) -> None:
    """The remaining epochs: after each, validate, log and save."""
    stream = TrainBatches(
        prepared.source(fabric.device),
        prepared.cache.entries_of(prepared.split.labelled),
        batch_size=config.batch_size,
        views=config.method.views,
        seed=config.seed,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    steps = fit(
        fabric,
        state.method,
        state.optimizer,
        state.scheduler,
        stream,
        epochs=config.epochs,
        first_epoch=state.epoch + 1,
        seed=config.seed,
        clip_norm=config.optim.clip_norm,
    )
    clock = Clock(steps_left=(config.epochs - state.epoch) * stream.steps)
    epoch: list[Step] = []
    for step in _named_if_not_finite(steps, config, prepared):
        epoch.append(step)
        clock.step(step)
        watch(clock.progress(step, config.epochs, latest=state.latest))
        if step.ends_epoch:
            clock.pause()
            _end_epoch(fabric, config, prepared, run_dir, state, epoch, clock)
            watch(clock.progress(step, config.epochs, latest=state.latest))
            epoch = []
            clock.resume()


def _end_epoch(
    fabric: Fabric,
    config: RunConfig,
    prepared: Prepared,
    run_dir: RunDir,
    state: _State,
    steps: list[Step],
    clock: Clock,
) -> None:
    scores = validate(fabric, state.method, prepared)
    metric = config.metric(prepared.task.kind)
    state.epoch = steps[-1].epoch
    score = scores.get(metric, math.nan)  # some scores are not defined on every validation part
    better = state.epoch == 1 or score > state.best
    if better:
        state.best, state.best_epoch = -math.inf if math.isnan(score) else score, state.epoch
    images = sum(step.images for step in steps) * fabric.world_size
    state.seconds += clock.epoch_seconds
    state.images += images
    state.latest = EpochRecord(
        epoch=state.epoch,
        losses=_means(fabric, steps),
        val=scores,
        lr=float(state.scheduler.get_last_lr()[0]),
        seconds=clock.epoch_seconds,
        images_per_second=images / max(clock.epoch_seconds, 1e-9),
    )
    if not fabric.is_global_zero:
        return
    if better:
        state.best_weights = {name: tensor.detach().clone() for name, tensor in state.method.state_dict().items()}
    with run_dir.metrics.open("a", encoding="utf-8") as file:
        file.write(state.latest.model_dump_json() + "\n")
    due = time.monotonic() - state.saved_at >= config.hardware.checkpoint_seconds
    if due or state.epoch == config.epochs:
        _save(run_dir, state)


def _save(run_dir: RunDir, state: _State) -> None:
    """Write a checkpoint; the best weights first, so that the last ones never speak of a best that is not there."""
    run_dir.checkpoints.mkdir(parents=True, exist_ok=True)
    if state.best_weights is not None:
        save_best(run_dir.checkpoints, state.best_weights, epoch=state.best_epoch)
        state.best_weights = None
    save_last(run_dir.checkpoints, state.method.state_dict(), state.saved(), epoch=state.epoch)
    state.saved_at = time.monotonic()


def _named_if_not_finite(steps: Iterator[Step], config: RunConfig, prepared: Prepared) -> Iterator[Step]:
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


def _check_folder(run_dir: RunDir, config: RunConfig, *, resume: bool) -> None:
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


def _keep_epochs(run_dir: RunDir, last: int) -> None:
    """Drop the lines of epochs that will run again."""
    kept = [epoch.model_dump_json() for epoch in read_epochs(run_dir.path) if epoch.epoch <= last]
    write_text_atomically(run_dir.metrics, "".join(line + "\n" for line in kept))


def _record(fabric: Fabric, config: RunConfig, prepared: Prepared, run_dir: RunDir, state: _State) -> RunRecord:
    fabric.barrier()
    method = load_method(fabric, config, prepared.task, run_dir.best)
    val = evaluate(fabric, method, config, prepared, "val")
    test = evaluate(fabric, method, config, prepared, "test")
    return RunRecord(
        method=config.method.name,
        backbone=config.method.backbone_name,
        dataset=prepared.manifest.spec.name,
        synthetic=prepared.manifest.spec.synthetic,
        task=prepared.task.kind,
        classes=list(prepared.task.classes),
        label_fraction=prepared.label_percent(config.amount),
        labels_asked=str(config.amount),
        leaks=prepared.leaks,
        seed=config.seed,
        config_hash=config.hash,
        split_hash=prepared.split.hash,
        data_hash=prepared.cache.key,
        metric=config.metric(prepared.task.kind),
        best_epoch=state.best_epoch,
        epochs=config.epochs,
        labels=prepared.label_counts,
        val=val,
        test=test,
        cost=Cost(
            seconds=state.seconds,
            images_per_second=state.images / max(state.seconds, 1e-9),
            peak_memory_mib=peak_memory(fabric.device),
            parameters=sum(parameter.numel() for parameter in state.method.parameters()),
            device=device_name(fabric.device),
        ),
        versions=versions(),
        git_revision=git_revision(),
        started=state.started,
        finished=now(),
    )
