"""Warnings of many runs: the first of a kind is printed, the others are counted."""

import logging
import re
from collections import Counter

log = logging.getLogger("s4mi")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class RepeatedWarnings:
    """Prints a warning of a run once; those that differ in numbers alone are counted, and `finish` says how many."""

    def __init__(self) -> None:
        self._others: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def show(self, run: str, text: str) -> None:
        """Print the warning `text` of a run, unless another run has printed one of its kind."""
        kind = _NUMBER.sub("#", text)
        if kind in self._first:
            self._others[kind] += 1
            return
        self._first[kind] = run
        log.warning("%s: %s", run, text)

    def finish(self) -> None:
        """Say how often each kind came again."""
        for kind, count in self._others.items():
            times = "once" if count == 1 else f"{count} times"
            log.warning("the warning of %s came %s more; the logs of the runs have all", self._first[kind], times)
        self._others.clear()
