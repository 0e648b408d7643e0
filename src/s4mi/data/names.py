"""Match names that look identical but are encoded differently: é as one character (NFC) or as e and an accent (NFD).

macOS tools and archives often write file names in NFD, spreadsheets in NFC. An exact match always takes precedence, and
a match by normalised names counts only if it is the only one.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item")


def normalised(name: str) -> str:
    """Return the canonical composition (NFC) of a name."""
    return unicodedata.normalize("NFC", name)


class NameIndex(Generic[Item]):
    """Finds items by name."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Item]] = defaultdict(list)
        self._normalised: dict[str, list[Item]] = defaultdict(list)

    def add(self, name: str, item: Item) -> None:
        """Add an item under its name; several may have the same."""
        self._exact[name].append(item)
        self._normalised[normalised(name)].append(item)

    def get(self, name: str) -> list[Item]:
        """Return the items of exactly this name, else those whose normalised name is the same."""
        return list(self._exact.get(name) or self._normalised.get(normalised(name)) or ())

    def only(self, name: str) -> Item | None:
        """Return the item of this name if there is exactly one."""
        found = self.get(name)
        return found[0] if len(found) == 1 else None


def existing_file(path: Path) -> Path | None:
    """Return `path` if it is a file, else the only file whose path is the same after normalisation, or None."""
    if path.is_file():
        return path
    if str(path).isascii():
        return None
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        if (found / part).exists():
            found /= part
            continue
        try:
            names = _entries(found, found.stat().st_mtime_ns).get(normalised(part), ())
        except OSError:
            return None
        if len(names) != 1:
            return None
        found /= names[0]
    return found if found.is_file() else None


@lru_cache(maxsize=64)
def _entries(folder: Path, changed: int) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG001
    """List a folder, by normalised name; `changed` renews the list."""
    entries: dict[str, tuple[str, ...]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        entries[normalised(name)] = (*entries.get(normalised(name), ()), name)
    return entries
