"""Two processes train one run together."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_semi_supervised import STATEFUL
from test_without_masks import PICIE

from conftest import DEDL
from s4mi.config import RunConfig, save_run_config


@pytest.mark.slow
@pytest.mark.parametrize("method", [DEDL, *STATEFUL, PICIE], ids=lambda method: method["name"])
def test_two_processes_leave_one_run_that_learns_as_one_process_does(
    method: dict[str, Any], tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    """A batch of 8 on both sides; of the semi-supervised ones, 4 with masks and 4 without, of PiCIE all without."""
    save_run_config(quick(lesions, method, label_fraction=50), tmp_path / "run.yaml")
    losses = {}
    for name, settings in (
        ("one", ["batch_size=8"]),
        ("two", ["batch_size=4", "hardware.devices=2", "hardware.strategy=ddp"]),
    ):
        run = tmp_path / name
        command = [sys.executable, "-m", "s4mi", "train", tmp_path / "run.yaml", *settings, "-o", run]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("record: ") == 1
        lines = (run / "metrics.jsonl").read_text().splitlines()
        losses[name] = [json.loads(line)["losses"] for line in lines]
    assert len(losses["two"]) == 3
    # Not equal: each process normalises its own half of a batch.
    totals = [[epoch["total"] for epoch in losses[name]] for name in ("two", "one")]
    assert totals[0] == pytest.approx(totals[1], rel=0.1)
