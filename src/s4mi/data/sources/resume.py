"""The journal of an import, from which an interrupted one resumes."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from s4mi.data.files import decoding_revision
from s4mi.data.spec import SPEC_NAME
from s4mi.records.atomic import make_private
from s4mi.records.plain import load_json

NAME: Final = ".import.jsonl"


class ImportJournal:
    """Results of finished steps by key, one per line of an append-only file; an incomplete last line is ignored.

    A key contains the step, the file, its size and modification time, and the revision of the decoding, so that a
    changed file, or one that is now decoded otherwise, is processed again.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._known: dict[str, Any] = {}

    def __enter__(self) -> "ImportJournal":
        make_private(self._path.parent)
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
        for line in text.splitlines():
            try:
                entry = load_json(line)
                self._known[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                continue
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        if text and not text.endswith("\n"):
            self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, key: str) -> Any | None:
        """Return the result recorded under `key`, or None."""
        return self._known.get(key)

    def note(self, key: str, value: Any) -> None:
        """Record a JSON-serialisable result under `key`; None: no result."""
        self._known[key] = value
        self._file.write(json.dumps({"key": key, "value": value}) + "\n")
        self._file.flush()

    def begin(self, step: str, keys: Collection[str]) -> None:
        """Forget the results of a kind of step under other keys: the files that they wrote may be written anew.

        Otherwise an import with other settings, and then again with the first ones, would take the files of the second
        for those of the first. If any are written anew, a data set that is replaced has no `dataset.yaml` from here on:
        after a failure it would describe other images.

        Args:
            step: what only the keys of this kind of step contain.
        """
        wanted = {*keys}
        for key in [key for key in self._known if f'"{step}"' in key and key not in wanted]:
            self.note(key, None)
        if any(self.get(key) is None for key in wanted):
            (self._path.parent / SPEC_NAME).unlink(missing_ok=True)


def key_of(file: Path, step: Mapping[str, Any]) -> str:
    """Return the key of a processing step of a file in its current state."""
    state, revision = file.stat(), decoding_revision(file)
    key = [str(file), state.st_size, state.st_mtime_ns, step]
    return json.dumps([*key, revision] if revision else key, sort_keys=True)
