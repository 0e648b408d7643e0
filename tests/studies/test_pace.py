"""The present pace of a run follows a load that comes or passes, and leaves validation out."""

import pytest

from s4mi.studies.pace import LEAST, PaceMeter
from s4mi.training.progress import Progress


def at(done: int, epoch: int = 1) -> Progress:
    return Progress("train", done, 1000, epoch, 10, images_per_second=1.0, seconds_left=1.0)


def test_nothing_is_said_of_the_first_steps() -> None:
    meter = PaceMeter()
    meter.add(0.0, at(0))
    meter.add(LEAST / 2, at(5))
    assert meter.seconds_per_step is None
    assert meter.seconds_left(at(5)) is None


def test_the_pace_follows_the_machine_and_an_average_would_not() -> None:
    meter, now = PaceMeter(), 0.0
    for step in range(300):  # a tenth of a second a step
        meter.add(now, at(step))
        now += 0.1
    assert meter.seconds_per_step == pytest.approx(0.1)
    for step in range(300, 400):  # four times slower for 40 s
        meter.add(now, at(step))
        now += 0.4
    assert 0.3 < meter.seconds_per_step <= 0.4
    for step in range(400, 900):
        meter.add(now, at(step))
        now += 0.1
    assert meter.seconds_per_step == pytest.approx(0.1, rel=0.05)
    assert meter.seconds_left(at(900)) == pytest.approx(10, rel=0.05)


def test_validation_between_two_epochs_does_not_count() -> None:
    meter, now = PaceMeter(), 0.0
    for epoch in range(1, 6):
        for step in range(20):
            meter.add(now, at(20 * epoch + step, epoch))
            now += 0.1
        now += 30.0
    assert meter.seconds_per_step == pytest.approx(0.1)
