"""Numbers and names formatted for messages, tables, progress displays and folders."""

import re


def duration(seconds: float) -> str:
    """Format a duration in s with at most two units: `40 s`, `12 min`, `2 h 05 min`, `3 d 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours + round(minutes / 60), 24)
    return f"{days} d {hours} h"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Format a count with its noun: `1 image`, `2 images`, `0 images`.

    Args:
        nouns: plural of an irregular noun, e.g. `classes`.
    """
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def is_whole(text: str) -> bool:
    """Whether a text is a whole number of at most 18 digits; Python refuses to read those of thousands."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def folder_name(text: str) -> str:
    """Return `text` as a folder name that is valid on every operating system."""
    words = text.replace("%", "pct").replace(", ", "-").replace(" ", "-")
    valid = "".join(letter if letter.isalnum() or letter in "-_.+" else "-" for letter in words)
    return re.sub("-{2,}", "-", valid).strip("-")
