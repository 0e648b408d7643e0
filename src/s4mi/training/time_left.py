"""Log how long the computation of features will still take."""

import logging
import time
from collections.abc import Callable
from typing import final

from s4mi.formatting import duration, plural

EVERY = 10.0
"""Seconds between two lines of the log."""

log = logging.getLogger("s4mi")


@final
class TimeLeft:
    """A progress callback, (done, total), that logs the time left and passes both on."""

    def __init__(self, name: str, progress: Callable[[int, int], None] | None) -> None:
        self._name, self._progress = name, progress
        self._began = self._logged = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._logged >= EVERY and 0 < done < total:
            left = (now - self._began) * (total - done) / done
            log.info("%s: features of %d of %s, %s left", self._name, done, plural(total, "image"), duration(left))
            self._logged = now
        if self._progress is not None:
            self._progress(done, total)
