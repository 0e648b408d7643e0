"""Durations as written in a settings file: `2 h`, `90 min`, `1 h 30 min`, `300 s`, `2 d`."""

import re

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")


def parse_duration(value: object) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: not a duration, no unit, or not above zero; the message is written for users.
    """
    text = str(value).lower()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text) or any(unit not in _UNITS for _, unit in parts):
        raise ValueError("not a valid duration; write e.g. '2 h', '90 min' or '300 s'")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ValueError("must be above zero; write e.g. '2 h', or leave it out")
    return seconds
