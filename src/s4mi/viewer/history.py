"""The history of an image: its changes, how many of them are in force, and who made them."""

from dataclasses import dataclass, field

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError
from s4mi.viewer.changes import Annotated, Change


@dataclass
class History:
    """Changes of the annotation of one image, of which the first `position` are in force.

    Attributes:
        authors: number and author of every change, undo and redo, the oldest first.
    """

    changes: list[Change] = field(default_factory=list)
    position: int = 0
    authors: list[tuple[int, str]] = field(default_factory=list)

    @property
    def current(self) -> Annotated:
        """The annotation in force."""
        return self.changes[self.position - 1].after if self.position else Annotated()

    @property
    def revision(self) -> int:
        """Number of the last change, undo or redo; 0 before any."""
        return self.authors[-1][0] if self.authors else 0

    @property
    def by(self) -> str:
        """Who changed it last, or empty."""
        return self.authors[-1][1] if self.authors else ""

    @property
    def can_undo(self) -> bool:
        """Whether a change is in force."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether a change was undone and nothing was changed since."""
        return self.position < len(self.changes)

    def add(self, change: Change, number: int) -> None:
        """Put a change in force; changes that were undone are forgotten."""
        del self.changes[self.position :]
        self.changes.append(change)
        self.position += 1
        self.authors.append((number, change.by))

    def undo(self, number: int, by: str) -> Change:
        """Undo the last change in force and return it."""
        self.position -= 1
        self.authors.append((number, by))
        return self.changes[self.position]

    def redo(self, number: int, by: str) -> Change:
        """Put the last undone change in force again and return it."""
        self.position += 1
        self.authors.append((number, by))
        return self.changes[self.position - 1]

    def changed_by_others(self, revision: int, client: str) -> str | None:
        """Who else changed the image since a revision, None if nobody; an unknown later revision is another's."""
        if revision > self.revision:
            return self.by or "merge"
        return next((by for number, by in reversed(self.authors) if number > revision and by != client), None)

    def mask(self) -> Pixels | None:
        """Return the edited mask in force, (H, W) class indices; None if there is none.

        Raises:
            S4miError: the journal from which the history was read is damaged.
        """
        if self.current.mask == "none":
            return None
        start = next((n for n in range(self.position - 1, -1, -1) if self.changes[n].whole), -1)
        whole = self.changes[start].new if start >= 0 else None
        if whole is None:
            raise S4miError("the journal of annotations: a mask without its start; restore it")
        pixels = whole.pixels().copy()
        for change in self.changes[start + 1 : self.position]:
            if change.new is not None:
                x, y, width, height = change.new.box
                if y + height > pixels.shape[0] or x + width > pixels.shape[1]:
                    raise S4miError("the journal of annotations: a stroke outside of its mask; restore it")
                pixels[y : y + height, x : x + width] = change.new.pixels()
        return pixels
