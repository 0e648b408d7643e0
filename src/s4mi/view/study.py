"""A study while it runs, or after: what runs, how far, and the curves and verdict so far."""

from pathlib import Path


class LiveStudy:
    """A study that is read again whenever the page asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """Its name on the page."""
        return self.folder.resolve().name
