"""The journal of a data set: every change of an annotation, on disk before it is answered.

    <data set>/annotations.journal/journal.jsonl      one entry per line: CRC-32, space, JSON
                                   merged-v3.jsonl    a journal that was merged into version 3
                                   torn-*.bin         an incomplete end that was cut off, as it was

Entries are only appended, and each is written to the disk before its change is answered. A process killed while it
writes leaves an incomplete last line, which the next one cuts off, keeps beside the journal, and reports.
"""

import io
import json
import os
import shutil
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from s4mi.errors import S4miError
from s4mi.records.atomic import sync, write_bytes_atomically
from s4mi.records.lock import file_lock

FOLDER = "annotations.journal"
NAME = "journal.jsonl"
LOCK = ".open.lock"
"""Held by the process that appends to the journal."""
MERGE = "merge"
"""Folder of the files to merge; it is made anew for each merge."""
FORMAT = 1

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class JournalContents:
    """What a journal holds.

    Attributes:
        entries: complete entries, the oldest first. size: number of bytes of these.
        torn: bytes after the last complete entry.
    """

    entries: tuple[Entry, ...]
    size: int
    torn: bytes


class Journal:
    """An open journal that entries are appended to.

    Attributes:
        folder: folder of the journal. entries: those it held when it was opened.
        dropped: number of bytes of an incomplete last entry that were cut off when it was opened.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder`, or begin one.

        Raises:
            S4miError: the folder cannot be written, or the journal has another format.
        """
        self.folder, self.path = folder, folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            contents = read_journal(self.path)
            self.entries, self.dropped = contents.entries, len(contents.torn)
            if contents.torn:
                write_bytes_atomically(folder / f"torn-{_next_number(folder)}.bin", contents.torn)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
            if contents.torn:
                os.ftruncate(self._file, contents.size)
            os.lseek(self._file, contents.size, os.SEEK_SET)
            self._size = contents.size
            os.fsync(self._file)
            sync(folder)
        except OSError as error:
            raise S4miError(f"{folder}: cannot be written ({error.strerror}); pass --read-only to look only") from error

    def append(self, entry: Entry) -> None:
        """Write an entry to the disk; if that fails, nothing of it stays.

        Raises:
            OSError: it cannot be written, such as on a full disk.
        """
        line = encode(entry)
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(line)

    def restart(self, archive: str, entries: Sequence[Entry]) -> None:
        """Copy the journal to `archive`.jsonl beside it, and begin a new one with `entries`, in one step for readers.

        Raises:
            OSError: the folder cannot be written.
        """
        names = (f"{archive}{'' if number == 1 else f'-{number}'}.jsonl" for number in count(1))
        kept = next(path for name in names if not (path := self.folder / name).exists())
        write_bytes_atomically(kept, self.path.read_bytes())  # the journal stays until the new one replaces it
        write_bytes_atomically(self.path, b"".join(map(encode, entries)))
        sync(self.folder)
        os.close(self._file)
        self._file = os.open(self.path, os.O_WRONLY)
        self._size = os.lseek(self._file, 0, os.SEEK_END)

    def close(self) -> None:
        """Close the file; nothing can be appended afterwards."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def read_journal(path: Path) -> JournalContents:
    """Read a journal up to its first incomplete entry; an empty one if there is no file.

    Raises:
        S4miError: it has another format.
    """
    try:
        contents = parse(path.read_bytes())
    except FileNotFoundError:
        return JournalContents((), 0, b"")
    for entry in contents.entries:
        if entry.get("format", FORMAT) != FORMAT:
            raise S4miError(f"{path}: format {entry['format']} is of another version of s4mi; update s4mi")
    return contents


def parse(contents: bytes) -> JournalContents:
    """Read the bytes of a journal up to the first incomplete or damaged entry."""
    entries, size = [], 0
    for line in io.BytesIO(contents):
        entry = decode(line)
        if entry is None:
            break
        entries.append(entry)
        size += len(line)
    return JournalContents(tuple(entries), size, contents[size:])


def forget_images(dataset: Path, ids: Collection[str]) -> None:
    """Remove what the journals of a data set say of these images; fragments of entries, which may be theirs, go whole.

    Raises:
        S4miError: another process has the journal open.
        OSError: it cannot be written.
    """
    folder = dataset / FOLDER
    if not folder.is_dir():
        return
    with file_lock(folder / LOCK, busy="s4mi view has the data set open; stop it, and run the same command again"):
        shutil.rmtree(folder / MERGE, ignore_errors=True)
        for fragment in folder.glob("torn-*.bin"):
            fragment.unlink()
        for path in folder.glob("*.jsonl"):
            entries = parse(path.read_bytes()).entries
            kept = [_without(entry, ids) for entry in entries if entry.get("id") not in ids]
            write_bytes_atomically(path, b"".join(map(encode, kept)))


def _without(entry: Entry, ids: Collection[str]) -> Entry:
    merged = entry.get("merged")
    return entry if merged is None else {**entry, "merged": [name for name in merged if name not in ids]}


def encode(entry: Entry) -> bytes:
    """Encode an entry as a line with its checksum."""
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> Entry | None:
    """Decode a line, None if it is incomplete or damaged."""
    if len(line) < 10 or line[8:9] != b" " or not line.endswith(b"\n"):
        return None
    text = line[9:-1]
    if line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _next_number(folder: Path) -> int:
    return 1 + len(list(folder.glob("torn-*.bin")))
