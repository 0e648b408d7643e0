"""What an import has done already, so that an interrupted one goes on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

NAME: Final = ".import.jsonl"


class ImportJournal:
    """Answers by key, a line each, in a file that is only ever added to; a torn last line is left out.

    A key says what was done to which file, its size and its time of change: a changed file is done again.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._known: dict[str, Any] = {}

    def __enter__(self) -> "ImportJournal":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                continue
        self._file = self._path.open("a", encoding="utf-8")
        if text and not text.endswith("\n"):
            self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, key: str) -> Any | None:
        """What was noted under `key`, or None."""
        return self._known.get(key)

    def note(self, key: str, value: Any) -> None:
        """Remember `value`, which JSON can hold, from now on."""
        self._known[key] = value
        self._file.write(json.dumps({"key": key, "value": value}) + "\n")
        self._file.flush()


def key_of(file: Path, what: Mapping[str, Any]) -> str:
    """The key of doing `what` to `file` as it is now."""
    state = file.stat()
    return json.dumps([str(file), state.st_size, state.st_mtime_ns, what], sort_keys=True)
