"""A study of three runs that tests disturb, and functions to start and to watch it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from conftest import TRANSFER
from s4mi.config import StudyConfig, make_study, plan_study
from s4mi.engine.checkpoint import load_weights
from s4mi.recipes.train import train
from s4mi.records import read_epochs, read_failure
from s4mi.studies.events import AttemptFailed, Event, RunEnded, RunProgress, RunStarted
from s4mi.studies.lock import LOCK_NAME

SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip
PRETRAINING = "pretraining/simclr-seed0"
SCRATCH = "runs/transfer-from-scratch-tiny_resnet-100pct-seed0"
TUNED = "runs/simclr-tiny_resnet-100pct-seed0"
EPOCHS = 12


@dataclass(frozen=True)
class Studied:
    """A study of three runs: pre-training, one run from scratch and one from the pre-training."""

    contents: dict[str, Any]

    def __call__(self, **changes: Any) -> StudyConfig:
        return make_study({**self.contents, **changes}, origin="study.yaml")

    def file(self, path: Path) -> Path:
        path.write_text(yaml.safe_dump(self.contents), encoding="utf-8")
        return path


def study_of_three(data: Path, cache: Path) -> Studied:
    """One label fraction, one seed, enough epochs to interrupt."""
    return Studied(
        {
            "data": {"path": str(data), "image_size": 32, "cache": str(cache)},
            "label_fractions": [100],
            "seeds": [0],
            "settings": {
                "epochs": EPOCHS, "batch_size": 8, "optim": {"lr": 1e-3},
                "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0, "threads": 1},
            },
            "pretraining": {"simclr": {"method": SIMCLR}},
            "arms": [{"method": TRANSFER}, {"method": TRANSFER, "pretraining": "simclr"}],
        }
    )  # fmt: skip


def train_undisturbed(studied: Studied, out: Path) -> Path:
    """The runs of the study, trained one by one through `train`."""
    for planned in plan_study(studied(), out):
        train(planned.config, out / planned.name)
    return out


def assert_same(out: Path, undisturbed: Path) -> None:
    """Every run has the same weights and scores, each epoch was trained once, and no failure or lock is left."""
    for name in (PRETRAINING, SCRATCH, TUNED):
        weights = [load_weights(folder / name / "checkpoints" / "last.safetensors") for folder in (out, undisturbed)]
        torch.testing.assert_close(*weights, rtol=0, atol=0)
        assert [epoch.epoch for epoch in read_epochs(out / name)] == list(range(1, EPOCHS + 1))
        assert [epoch.losses for epoch in read_epochs(out / name)] == [
            epoch.losses for epoch in read_epochs(undisturbed / name)
        ]
        records = [json.loads((folder / name / "record.json").read_text()) for folder in (out, undisturbed)]
        assert records[0].get("test") == records[1].get("test")
        assert read_failure(out / name) is None
    assert not (out / LOCK_NAME).exists()


@dataclass
class Disturber:
    """Event handler that disturbs the fine-tuning run once, half-way through.

    Attributes:
        max_active: highest number of runs active at the same time.
    """

    disturb: Callable[[], None]
    events: list[Event] = field(default_factory=list)
    max_active: int = 0
    done: bool = False
    _active: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, RunStarted):
            self._active.add(event.planned.name)
            self.max_active = max(self.max_active, len(self._active))
        elif isinstance(event, AttemptFailed):
            self._active.discard(event.planned.name)
        elif isinstance(event, RunEnded):
            self._active.discard(event.outcome.planned.name)
        elif not self.done and isinstance(event, RunProgress) and event.planned.name == TUNED:
            self.done = event.progress.epoch >= EPOCHS // 2
            if self.done:
                self.disturb()

    @property
    def failures(self) -> list[str]:
        """Reasons of the failed attempts of the fine-tuning run."""
        return [
            event.reason for event in self.events if isinstance(event, AttemptFailed) and event.planned.name == TUNED
        ]

    @property
    def attempts(self) -> list[int]:
        """Numbers of the attempts of the fine-tuning run."""
        return [event.attempt for event in self.events if isinstance(event, RunStarted) and event.planned.name == TUNED]


def command(study: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Start `s4mi study run` in its own process group, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "s4mi", "study", "run", str(study), "-o", str(out), *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_gone(leader: int) -> None:
    """Wait until no process of a group is left; Python's resource tracker ends a moment after the others."""
    end = time.monotonic() + 30
    while True:
        listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        left = [rest for group, state, *rest in rows if int(group) == leader and not state.startswith("Z")]
        if not left:
            return
        assert time.monotonic() < end, left
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if its parent has not reaped it yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip() or state.startswith("Z")
