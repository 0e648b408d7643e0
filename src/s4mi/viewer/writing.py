"""Who changes an annotation, and why a change is refused."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Writing:
    """Who changes an image, and the revision that the change builds on."""

    client: str
    base: int


class ConflictError(Exception):
    """Somebody else changed the image since the revision that a change builds on."""

    def __init__(self, by: str) -> None:
        super().__init__(f"changed by {by} in the meantime")
        self.by = by


class FrozenError(Exception):
    """A merge is under way, so that nothing may change."""
