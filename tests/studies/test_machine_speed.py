"""The measured speed is a throughput: twice as slow a machine has half of it."""

import time

import pytest
import torch

from s4mi.studies import machine_speed
from s4mi.studies.machine_speed import REFERENCE, cores_worth


def test_throughput_is_steps_per_second_of_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_speed, "_steps", lambda seconds: REFERENCE / 4)
    assert cores_worth(1) == pytest.approx(0.25)
    assert cores_worth(2) == pytest.approx(0.5)


def test_steps_are_counted_over_the_time_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 0.05
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", tick)
    # A look at the clock before each step and one after the last: 11 steps from 0.05 to 0.65 seconds.
    assert machine_speed._steps(0.5) == pytest.approx(11 / 0.6)


def test_the_threads_of_torch_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    assert cores_worth(1, seconds=0.01) > 0
    assert torch.get_num_threads() == before
