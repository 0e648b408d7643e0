"""Features on disk: one folder per extractor and precision, in shards that are written once and never changed.

    <folder>/info.json                  what the features are of, for people
             <hash>.safetensors         ids        (n, 16) uint8      hash of the pixels of each image
                                        checksum   (n,) uint32        of the features of each image
                                        <output>   (n, …) float16     one per output of the extractor
    <folder>.lock                       held while features are added

A shard is named by the hash of its ids and appears complete, by a rename. A process that is killed leaves whole shards
and at most one temporary file, which the next one to add features removes; it then continues with the first missing
image, so that the folder ends as it would have without the interruption, to the byte. Shards are read memory-mapped; in
memory are the ids alone.
"""

import errno
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from s4mi.data.loading.feature_shard import ID_BYTES, SUFFIX, Features, Ids, Shard, encode_shard, open_shard
from s4mi.errors import S4miError
from s4mi.records.atomic import make_private
from s4mi.records.lock import file_lock

TEMPORARY_PREFIX = ".adding-"
CHECKED_BYTES = 2 << 30
"""Features that are checked completely before they are used; of more, each image when it is read."""

log = logging.getLogger("s4mi")


@final
class FeatureFolder:
    """The stored features of one extractor.

    Reading needs no lock and no permission to write.
    """

    def __init__(self, path: Path, info: Mapping[str, str]) -> None:
        self.path, self._info = path, dict(info)
        self._forget()

    def _forget(self) -> None:
        self._shards: dict[str, Shard] = {}
        self._damaged: set[str] = set()
        self._ids = np.zeros(0, dtype=f"S{ID_BYTES}")  # ascending
        self._place = np.zeros((0, 2), dtype=np.int64)  # number of the shard, and the position in it
        self._names: list[str] = []
        self._sound: set[str] = set()

    def stored(self, ids: Ids) -> NDArray[np.bool_]:
        """Whether the features of each id are stored, (N,)."""
        return self._find(ids)[0]

    def check(self, ids: Ids) -> None:
        """Read the shards of these ids completely, up to `CHECKED_BYTES` in all; damaged ones count as missing.

        Of larger stores, damage is found when an image is read.
        """
        numbers = np.unique(self._find(ids)[1][:, 0])
        names = [name for name in (self._names[int(number)] for number in numbers) if name not in self._sound]
        if sum(self._shards[name].size for name in names) <= CHECKED_BYTES:
            self._drop([name for name in names if not self._shards[name].sound()])
            self._sound.update(names)

    def read(self, ids: Ids) -> tuple[NDArray[np.bool_], Features]:
        """Return which ids are stored, (N,), and the features of these, in order.

        A damaged shard counts as missing from then on.
        """
        while True:
            found, positions = self._find(ids)
            blocks: list[tuple[NDArray[np.int64], Features]] = []
            for number in np.unique(positions[:, 0]):
                chosen = np.flatnonzero(positions[:, 0] == number)
                name = self._names[int(number)]
                block = self._shards[name].read(positions[chosen, 1])
                if block is None:
                    self._drop([name])
                    break
                blocks.append((chosen, block))
            else:
                return found, _in_order(blocks, int(found.sum()))

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Hold the lock for adding features; waits for another process that adds some.

        What killed processes and damage left behind is removed first.

        Raises:
            S4miError: the folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                make_private(self.path.parent)
                make_private(self.path)
                stack.enter_context(file_lock(self.path.with_name(f"{self.path.name}.lock"), private=True))
            except OSError as error:
                raise _not_writable(self.path, error) from error
            self._tidy()
            yield

    def add(self, ids: Ids, features: Features) -> None:
        """Write one shard of at most `shard_images` images; to be called within `adding`.

        Raises:
            S4miError: the disk is full, or the folder cannot be written.
        """
        self._write(*encode_shard(ids, features))

    def _write(self, name: str, contents: bytes) -> None:
        temporary = self.path / f"{TEMPORARY_PREFIX}{name}"
        try:
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _not_writable(self.path, error) from error

    def _tidy(self) -> None:
        """Remove temporary files and damaged shards, and write what the features are of."""
        suspects, self._damaged = self._damaged, set()
        try:
            for leftover in self.path.glob(f"{TEMPORARY_PREFIX}*"):
                leftover.unlink()
            self._refresh()
            self._drop(name for name in suspects & set(self._shards) if not self._shards[name].sound())
            for name in self._damaged:
                log.warning("%s is damaged; its features are computed again", self.path / name)
                (self.path / name).unlink(missing_ok=True)
            self._damaged.clear()
        except OSError as error:
            raise _not_writable(self.path, error) from error
        if not (self.path / "info.json").exists():
            self._write("info.json", (json.dumps(self._info, indent=2) + "\n").encode())

    def _find(self, ids: Ids) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether each id is stored, and the shard and position of those that are."""
        found, positions = self._look_up(ids)
        if not found.all() and self._refresh():
            found, positions = self._look_up(ids)
        return found, positions

    def _look_up(self, ids: Ids) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        if not len(self._ids):
            return np.zeros(len(ids), dtype=bool), self._place
        index = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        found = self._ids[index] == ids
        return found, self._place[index[found]]

    def _refresh(self) -> bool:
        """Take in shards that have appeared or gone since; returns whether there were any."""
        try:
            present = {one.name for one in os.scandir(self.path) if one.name.endswith(SUFFIX)}
        except OSError:  # there is no folder yet, or none can be
            present = set()
        present = {name for name in present if not name.startswith(TEMPORARY_PREFIX)} - self._damaged
        if present == set(self._shards):
            return False
        for gone in set(self._shards) - present:
            del self._shards[gone]
        for name in sorted(present - set(self._shards)):
            try:
                self._shards[name] = open_shard(self.path / name)
            except FileNotFoundError:  # removed by another process
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                self._damaged.add(name)
        self._index()
        return True

    def _index(self) -> None:
        self._names = sorted(self._shards)
        shards = [self._shards[name] for name in self._names]
        joined = np.concatenate([np.zeros(0, dtype=f"S{ID_BYTES}"), *(shard.ids for shard in shards)])
        lengths = [len(shard.ids) for shard in shards]
        number = np.repeat(np.arange(len(shards)), lengths)
        position = np.arange(len(joined)) - np.repeat(np.cumsum([0, *lengths])[:-1], lengths)
        order = np.argsort(joined, kind="stable")
        self._ids, self._place = joined[order], np.stack([number, position], axis=1)[order]

    def _drop(self, names: Iterable[str]) -> None:
        """Count shards as missing until they are made again."""
        for name in list(names):
            self._damaged.add(name)
            del self._shards[name]
        self._index()


def _in_order(blocks: list[tuple[NDArray[np.int64], Features]], count: int) -> Features:
    if not blocks:
        return {}
    joined: Features = {}
    for name, first in blocks[0][1].items():
        joined[name] = np.empty((count, *first.shape[1:]), dtype=first.dtype)
        for chosen, block in blocks:
            joined[name][chosen] = block[name]
    return joined


def _not_writable(folder: Path, error: OSError) -> S4miError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return S4miError(f"{folder}: the disk is full; free some space or set data.cache to another disk, then resume")
    if error.errno == errno.ENOENT:
        return S4miError(f"{folder}: removed meanwhile, as s4mi data erase does; run the same command again")
    return S4miError(f"{folder}: cannot store features ({error.strerror or error}); set data.cache to another disk")
