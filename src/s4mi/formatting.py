"""How numbers become words in messages, tables and progress displays."""


def duration(seconds: float) -> str:
    """A duration in s to two significant units: `40 s`, `12 min`, `2 h 05 min`, `3 d 4 h`."""
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
    """A count with its noun: `1 image`, `2 images`, `0 images`; `nouns` is an irregular plural, as of class."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"
