"""Which images have answers that are not merged yet, for what must not suggest them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.annotations.journal import FOLDER, NAME, read_journal
from s4mi.viewer.annotations import Annotations
from s4mi.viewer.changes import Annotated


@dataclass(frozen=True)
class Unmerged:
    """Ids of images with labels and with masks that are not merged, and of those that are skipped."""

    labelled: frozenset[str]
    masked: frozenset[str]
    skipped: frozenset[str]


def unmerged_of(names: Sequence[str], changed: Mapping[int, Annotated]) -> Unmerged:
    """Return the ids by what was answered; `names` are the ids by row number."""
    return Unmerged(
        frozenset(names[n] for n, one in changed.items() if one.labels is not None),
        frozenset(names[n] for n, one in changed.items() if one.masked),
        frozenset(names[n] for n, one in changed.items() if one.skip is not None),
    )


def read_unmerged(dataset: Path) -> Unmerged:
    """Return the ids from the journal of a data set, which may be open in a view.

    Raises:
        S4miError: the journal has another format, or an entry is no change of an annotation.
    """
    path = dataset / FOLDER / NAME
    entries = read_journal(path).entries if path.is_file() else ()
    names = list(dict.fromkeys(str(entry["id"]) for entry in entries if "id" in entry))
    numbers = {name: number for number, name in enumerate(names)}
    return unmerged_of(names, Annotations(None, entries, numbers).changed())
