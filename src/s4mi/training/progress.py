"""Progress of a run, for progress bars and other callbacks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from s4mi.records import EpochRecord

if TYPE_CHECKING:
    from s4mi.engine.fit import Step


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        phase: decoding images, computing frozen features, training, scoring the best weights, or writing the encoders.
        done, total: decoded or encoded images, or optimiser steps of the whole run.
        epoch, epochs: current epoch and number of epochs; 0 before training.
        latest: record of the last finished epoch, or None.
        images_per_second: training throughput in this session.
        seconds_left: estimated remaining training time, or None while unknown.
    """

    phase: Literal["decode", "encode", "train", "evaluate", "export"]
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    latest: EpochRecord | None = None
    images_per_second: float = 0.0
    seconds_left: float | None = None


ProgressCallback = Callable[[Progress], None]


class TrainingClock:
    """Measures training time, without the validation in between, and estimates the remaining time."""

    def __init__(self, *, steps_left: int, processes: int = 1) -> None:
        self._steps_left = self._total = steps_left
        self._processes = processes
        self._images = 0
        self._spent = 0.0
        self._begin = self._session = time.monotonic()
        self.epoch_seconds = 0.0

    def step(self, step: "Step") -> None:
        """Count a step."""
        self._steps_left -= 1
        self._images += step.images * self._processes

    def pause(self) -> None:
        """Stop the clock at the end of an epoch's training."""
        self.epoch_seconds = time.monotonic() - self._begin
        self._spent += self.epoch_seconds

    def resume(self) -> None:
        """Restart the clock for the next epoch."""
        self._begin = time.monotonic()

    def progress(self, step: "Step", epochs: int, *, latest: EpochRecord | None) -> Progress:
        """Return the progress of the run after `step`."""
        done = self._total - self._steps_left
        elapsed = time.monotonic() - self._session
        training = self._spent if step.ends_epoch else self._spent + time.monotonic() - self._begin
        return Progress(
            phase="train",
            done=epochs * step.of - self._steps_left,
            total=epochs * step.of,
            epoch=step.epoch,
            epochs=epochs,
            latest=latest,
            images_per_second=self._images / max(training, 1e-9),
            seconds_left=elapsed / done * self._steps_left,
        )
