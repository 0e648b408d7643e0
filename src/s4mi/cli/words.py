"""Quantities in words."""


def about(seconds: float) -> str:
    """A duration as a person says it: `40 s`, `12 min`, `2 h 05 min`, `3 d 4 h`."""
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
