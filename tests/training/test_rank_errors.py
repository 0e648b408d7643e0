"""A run in two processes, started from the command line, continues, stops and fails as one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import DEDL, PICIE, TRANSFER
from s4mi.config import RunConfig, save_run_config
from s4mi.engine.checkpoint import load_weights

pytestmark = pytest.mark.slow
TWO = ("hardware.devices=2", "hardware.strategy=ddp")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(file: Path, run: Path, *settings: str) -> list[str]:
    return [sys.executable, "-m", "s4mi", "train", str(file), *settings, "-o", str(run)]


def train(file: Path, run: Path, *settings: str, to_the_end: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(file, run, *settings), env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode == 0) == to_the_end, done.stderr
    return done


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["losses"]["total"] for line in lines]


@pytest.mark.parametrize("method", [DEDL, PICIE], ids=lambda method: method["name"])
def test_two_processes_leave_one_run_that_learns_as_one_process_does(
    method: dict[str, Any], tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    save_run_config(quick(lesions, method, label_fraction=50), tmp_path / "run.yaml")
    train(tmp_path / "run.yaml", tmp_path / "one")
    done = train(tmp_path / "run.yaml", tmp_path / "two", *TWO)
    assert done.stdout.count("record: ") == 1
    assert len(losses(tmp_path / "two")) == 3
    # Rounding grows while single precision trains; test_two_processes.py says what is equal.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    record = json.loads((tmp_path / "two" / "record.json").read_text(encoding="utf-8"))
    assert record["cost"]["device"].startswith("2 × cpu")


def test_two_processes_killed_end_together_and_go_on_to_the_same_weights(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    save_run_config(quick(lesions, DEDL, epochs=6), tmp_path / "run.yaml")
    train(tmp_path / "run.yaml", tmp_path / "whole", *TWO)
    with subprocess.Popen(
        command(tmp_path / "run.yaml", tmp_path / "cut", *TWO), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as first:
        training = tmp_path / "cut" / "checkpoints" / "training.pt"
        while not training.exists() and first.poll() is None:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        assert first.stderr is not None
        first.stderr.read()  # ends when nobody holds it any more: the other process has ended too
    assert not (tmp_path / "cut" / "record.json").exists()
    train(tmp_path / "run.yaml", tmp_path / "cut", *TWO, "--resume")
    whole, cut = (load_weights(tmp_path / run / "checkpoints" / "last.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


FAILS_ALONE = """
import os, sys
from pathlib import Path
from s4mi.cli import main
from s4mi.errors import S4miError
from s4mi.methods.segmentation.supervised import Supervised

learn, seen = Supervised.loss, []

def loss(self, batch):
    seen.append(batch)
    if os.environ.get("LOCAL_RANK") == "1" and len(seen) == 3:
        raise S4miError("image 7 cannot be read; take it out")
    return learn(self, batch)

Supervised.loss = loss
main()
"""


def test_what_goes_wrong_in_one_process_alone_ends_both_and_is_said(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    save_run_config(quick(lesions, DEDL), tmp_path / "run.yaml")
    (tmp_path / "fails.py").write_text(FAILS_ALONE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "fails.py", "train", tmp_path / "run.yaml", *TWO, "-o", tmp_path / "run"],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode
    assert "error: process 1 of 2: image 7 cannot be read; take it out" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "record.json").exists()


def test_what_is_wrong_for_both_processes_is_said_once(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    save_run_config(quick(lesions, TRANSFER), tmp_path / "run.yaml")
    done = train(tmp_path / "run.yaml", tmp_path / "run", *TWO, "batch_size=1", to_the_end=False)
    assert done.stderr.count("error: ") == 1
    assert "are too few for 2 processes" in done.stderr
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


def test_a_loss_that_is_not_finite_names_the_images_of_both_processes_once(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    save_run_config(quick(lesions, DEDL, optim={"name": "sgd", "lr": 1e30}), tmp_path / "run.yaml")
    done = train(tmp_path / "run.yaml", tmp_path / "run", *TWO, to_the_end=False)
    assert done.stderr.count("error: ") == 1
    line = next(line for line in done.stderr.splitlines() if "error: " in line)
    assert "the loss is not finite" in line
    assert len(line.split("on the images ")[1].split("; try")[0].split(", ")) == 7  # 42 images in six batches
