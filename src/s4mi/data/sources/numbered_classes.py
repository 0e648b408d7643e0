"""Names of classes that a source only numbers."""

from pathlib import Path

from s4mi.errors import S4miError

MOST_CLASSES = 10_000
"""More are a damaged label, such as the number of a patient in its place."""


def numbered_classes(count: int, source: Path) -> tuple[str, ...]:
    """Return `class_0`, `class_1`, …

    Raises:
        S4miError: there are too many.
    """
    if count > MOST_CLASSES:
        raise S4miError(f"{source}: a label is {count - 1:g}; correct it, or name the classes with --classes a,b,c")
    return tuple(f"class_{number}" for number in range(count))
