"""Present pace of an active run, from its last steps: an average since its start lags when a load comes or passes."""

import math

from s4mi.training.progress import Progress

MEMORY = 10.0
"""Seconds after which a step counts for a third."""
LEAST = 2.0
"""Seconds of training below which nothing is said."""


class PaceMeter:
    """Seconds per optimiser step, measured between messages of one epoch: validation is left out."""

    def __init__(self) -> None:
        self._last: tuple[float, Progress] | None = None
        self._seconds = self._steps = 0.0
        self._measured = 0.0

    def add(self, now: float, progress: Progress) -> None:
        """Add a message; `now` is a monotonic time in seconds."""
        last, self._last = self._last, (now, progress)
        if last is None or last[1].phase != "train" or progress.phase != "train" or last[1].epoch != progress.epoch:
            return
        seconds, steps = now - last[0], progress.done - last[1].done
        if seconds <= 0 or steps <= 0:
            self._last = last  # counted with the next message
            return
        forget = math.exp(-seconds / MEMORY)
        self._seconds, self._steps = self._seconds * forget + seconds, self._steps * forget + steps
        self._measured += seconds

    @property
    def seconds_per_step(self) -> float | None:
        """None until `LEAST` seconds were measured."""
        return self._seconds / self._steps if self._measured >= LEAST else None

    def seconds_left(self, progress: Progress) -> float | None:
        """Remaining training time in seconds at the present pace; None while unknown."""
        pace = self.seconds_per_step
        return None if pace is None else pace * (progress.total - progress.done)
