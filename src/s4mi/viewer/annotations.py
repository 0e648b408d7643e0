"""The annotations that are not merged yet: each change is checked, written to the journal, and only then in force."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import RLock

from s4mi.data.annotations.journal import FOLDER, FORMAT, NAME, Entry, Journal, read_journal
from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError
from s4mi.viewer.changes import Annotated, Change, Patch, from_json, to_json
from s4mi.viewer.history import History
from s4mi.viewer.writing import ConflictError, FrozenError, Writing

KEPT_BYTES = 96 << 20
"""Bytes of unpacked masks kept in memory."""
MERGED = "merge"
"""Author of what a merge changed."""


class Annotations:
    """Histories of the images of a data set, by row number, and their journal.

    Attributes:
        lost: changes in the journal of images that the data set no longer has.
    """

    def __init__(self, journal: Journal | None, entries: Sequence[Entry], numbers: Mapping[str, int]) -> None:
        """Read the entries of a journal.

        Args:
            journal: where changes are written; None to look only.
            numbers: row number of each id.

        Raises:
            S4miError: an entry is no change of an annotation.
        """
        self.lock = RLock()
        self.lost: list[Entry] = []
        self._journal, self._ids = journal, {number: name for name, number in numbers.items()}
        self._histories: dict[int, History] = {}
        self._masks: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._last = 0
        self._frozen = False
        for place, entry in enumerate(entries, start=1):
            try:
                self._replay(entry, numbers)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                path = Path(FOLDER, NAME) if journal is None else journal.path
                problem = f"{type(error).__name__} {error}"
                raise S4miError(
                    f"{path}:{place}: not a change of an annotation ({problem}); restore the file"
                ) from error

    @property
    def last(self) -> int:
        """Number of the last change of any image."""
        return self._last

    def history(self, n: int) -> History:
        """Return the history of an image."""
        return self._histories.get(n) or History()

    def changed(self) -> dict[int, Annotated]:
        """Return the annotations that are not merged, by row number, ascending."""
        with self.lock:
            found = {n: one.current for n, one in self._histories.items() if one.current.changed}
            return dict(sorted(found.items()))

    def mask(self, n: int) -> Pixels | None:
        """Return the edited mask of an image, (H, W) class indices, read-only; None if it has none."""
        with self.lock:
            history = self.history(n)
            if history.current.mask == "none":
                return None
            key = (n, history.revision)
            mask = self._masks.get(key)
            if mask is None:
                mask = history.mask()
                assert mask is not None
                self._keep(key, mask)
            return mask

    def set_labels(self, n: int, labels: tuple[str, ...], writing: Writing) -> None:
        """Label an image; this also ends skipping it."""
        self._change(n, "labels", writing, lambda now: Change(now, replace(now, labels=labels, skip=None)))

    def skip(self, n: int, reason: str, writing: Writing) -> None:
        """Skip an image; what it has of annotations is kept, and not merged while it is skipped."""
        self._change(n, "skip", writing, lambda now: Change(now, replace(now, skip=reason)))

    def set_mask(self, n: int, mask: Pixels, after: Annotated, writing: Writing, *, op: str = "mask") -> None:
        """Replace the whole mask of an image; `after` tells its kind and whether it is an answer of background only."""

        def make(now: Annotated) -> Change:
            old = self.mask(n)
            whole = replace(now, mask=after.mask, empty=after.empty, skip=None)
            return Change(now, whole, None if old is None else Patch.of(old), Patch.of(mask), whole=True)

        self._change(n, op, writing, make)

    def stroke(self, n: int, patch: Pixels, at: tuple[int, int], base: Callable[[], Pixels], writing: Writing) -> None:
        """Replace a rectangle (h, w) at x, y of the mask of an image.

        Args:
            base: returns the mask that an image without edited mask begins with.
        """

        def make(now: Annotated) -> Change:
            old = self.mask(n)
            before = base() if old is None else old
            x, y = at
            rows, columns = slice(y, y + patch.shape[0]), slice(x, x + patch.shape[1])
            mask = before.copy()
            mask[rows, columns] = patch
            empty = now.empty and not mask.any()
            after = replace(now, mask="edited", empty=empty, skip=None)
            if old is None:
                return Change(now, after, None, Patch.of(mask), whole=True)
            return Change(now, after, Patch.of(old[rows, columns], x, y), Patch.of(patch, x, y))

        self._change(n, "stroke", writing, make)

    def clear(self, n: int, writing: Writing) -> None:
        """Take back everything that is not merged; this can be undone."""

        def make(now: Annotated) -> Change:
            old = self.mask(n)
            return Change(now, Annotated(), None if old is None else Patch.of(old), None, whole=old is not None)

        self._change(n, "clear", writing, make)

    def undo(self, n: int, writing: Writing) -> Change | None:
        """Undo the last change of an image and return it, None if there is none."""
        return self._step(n, "undo", writing)

    def redo(self, n: int, writing: Writing) -> Change | None:
        """Put the last undone change of an image in force again and return it, None if there is none."""
        return self._step(n, "redo", writing)

    def restart(self, archive: str, version: int, merged: Sequence[int], numbers: Mapping[str, int]) -> None:
        """Begin the journal anew after a merge: merged annotations are archived, others kept without history.

        Args:
            numbers: row number of each id in the new version.
        """
        assert self._journal is not None
        with self.lock:
            self._last += 1
            names = [self._ids[n] for n in merged]
            entries: list[Entry] = [
                {"format": FORMAT, "op": "begin", "number": self._last, "version": version, "merged": names}
            ]
            for n, one in self.changed().items():
                if n not in set(merged):
                    self._last += 1
                    mask = self.mask(n)
                    patch = None if mask is None else Patch.of(mask)
                    kept = Change(Annotated(), one, None, patch, whole=patch is not None, by=self.history(n).by)
                    entries.append(self._entry("kept", n, kept.by) | to_json(kept))
            entries += self.lost  # with their history, should the data set have these images again
            self._journal.restart(archive, entries)
            self._read(entries, numbers)

    def renumber(self, numbers: Mapping[str, int]) -> None:
        """Follow the images, by id, to their row numbers in a data set that was changed elsewhere."""
        with self.lock:
            if self._journal is not None:
                self._read(read_journal(self._journal.path).entries, numbers)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Refuse changes within this, so that what is merged is what is archived."""
        with self.lock:
            self._frozen = True
        try:
            yield
        finally:
            self._frozen = False

    def note(self, op: str, **contents: object) -> None:
        """Write an entry that changes no annotation."""
        assert self._journal is not None
        with self.lock:
            self._journal.append({"op": op, "number": self._last, "time": _now(), **contents})

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _change(self, n: int, op: str, writing: Writing, make: Callable[[Annotated], Change]) -> None:
        assert self._journal is not None, "the page only looks"
        with self.lock:
            history = self._checked(n, writing)
            change = replace(make(history.current), by=writing.client)
            if change.before == change.after and not change.touches_mask:
                return
            self._last += 1
            try:
                self._journal.append(self._entry(op, n, writing.client) | to_json(change))
            except OSError:
                self._last -= 1
                raise
            before = history.revision
            history.add(change, self._last)
            self._histories[n] = history
            self._renew(n, before, change, change.new)

    def _step(self, n: int, op: str, writing: Writing) -> Change | None:
        assert self._journal is not None, "the page only looks"
        with self.lock:
            history = self._checked(n, writing)
            if not (history.can_undo if op == "undo" else history.can_redo):
                return None
            self._last += 1
            try:
                self._journal.append(self._entry(op, n, writing.client))
            except OSError:
                self._last -= 1
                raise
            before = history.revision
            change = (history.undo if op == "undo" else history.redo)(self._last, writing.client)
            self._renew(n, before, change, change.old if op == "undo" else change.new)
            return change

    def _checked(self, n: int, writing: Writing) -> History:
        if self._frozen:
            raise FrozenError
        history = self.history(n)
        other = history.changed_by_others(writing.base, writing.client)
        if other is not None:
            raise ConflictError(other)
        return history

    def _read(self, entries: Sequence[Entry], numbers: Mapping[str, int]) -> None:
        """Forget all histories, and read them from entries."""
        self.lost = []
        self._histories.clear()
        self._masks.clear()
        self._ids = {number: name for name, number in numbers.items()}
        for entry in entries:
            self._replay(entry, numbers)

    def _entry(self, op: str, n: int, by: str) -> dict[str, object]:
        return {"op": op, "number": self._last, "time": _now(), "by": by, "id": self._ids[n]}

    def _replay(self, entry: Entry, numbers: Mapping[str, int]) -> None:
        op, number = entry["op"], int(entry.get("number", 0))
        self._last = max(self._last, number)
        if op == "begin":
            for name in entry.get("merged", ()):
                if name in numbers:
                    self._histories.setdefault(numbers[name], History()).authors.append((number, MERGED))
            return
        if "id" not in entry:
            return
        if entry["id"] not in numbers:
            self.lost.append(entry)
            return
        history = self._histories.setdefault(numbers[entry["id"]], History())
        if op == "undo":
            history.undo(number, str(entry["by"]))
        elif op == "redo":
            history.redo(number, str(entry["by"]))
        else:
            history.add(from_json(entry), number)

    def _renew(self, n: int, before: int, change: Change, patch: Patch | None) -> None:
        """Bring an unpacked mask from one revision to the next, so that a stroke need not replay the others."""
        mask = self._masks.pop((n, before), None)
        if mask is None or change.whole:
            return  # unpacked on demand
        if patch is not None:
            mask = mask.copy()
            x, y, width, height = patch.box
            mask[y : y + height, x : x + width] = patch.pixels()
        self._keep((n, self.history(n).revision), mask)

    def _keep(self, key: tuple[int, int], mask: Pixels) -> None:
        mask.setflags(write=False)
        self._masks[key] = mask
        while len(self._masks) > 1 and sum(one.nbytes for one in self._masks.values()) > KEPT_BYTES:
            self._masks.popitem(last=False)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
