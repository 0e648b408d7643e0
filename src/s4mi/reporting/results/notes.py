"""Notes on runs, as many as a reader takes in: a study has hundreds of runs, and one cause may concern all."""

from collections.abc import Sequence

MOST = 5


def shortened(notes: Sequence[str], *, like: str) -> list[str]:
    """The first notes, and how many more there are; `like` names what they have in common, such as `unequal splits`."""
    if len(notes) <= MOST + 1:
        return list(notes)
    return [*notes[:MOST], f"{len(notes) - MOST} more notes on {like}"]
