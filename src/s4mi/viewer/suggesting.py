"""Which images to annotate next: by `s4mi suggest` in the background, or from a table that it wrote before."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse

from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.sources.read_table import read_table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.viewer.requests import RequestError
from s4mi.viewer.respond import without_paths
from s4mi.viewer.runs import ViewRun
from s4mi.viewer.unmerged import unmerged_of
from s4mi.viewer.workspace import Workspace

log = logging.getLogger("s4mi.viewer")

MOST = 10_000
DEFAULT = 200


class Suggesting:
    """Ranks images of a workspace, one ranking at a time."""

    def __init__(self, space: Workspace) -> None:
        self._space, self._lock, self._running = space, Lock(), False

    def start(self, run: ViewRun, count: int) -> bool:
        """Rank images by a run in the background; tell whether no other ranking was under way."""
        with self._lock:
            if self._running:
                return False
            self._running = True
        Thread(target=self._work, args=(run, count), name="s4mi-view-suggest", daemon=True).start()
        return True

    def _work(self, run: ViewRun, count: int) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            if done == total or done % 16 == 0:
                self._space.events.send("suggesting", {"stage": stage, "done": done, "total": total})

        try:
            from s4mi.recipes.suggest import SuggestOptions, suggest

            with tempfile.TemporaryDirectory() as folder:
                table = Path(folder) / "next.csv"
                left = unmerged_of(self._space.columns.names.to_list(), self._space.annotations.changed())
                options = SuggestOptions(count, labelled=left.labelled, masked=left.masked, skipped=left.skipped)
                made = suggest(run.source.path, self._space.folder, table, options=options, progress=progress)
                ranked = read_ranks(self._space, table)
            note = without_paths(self._space, made.note)
            self._space.events.send("suggested", {"count": ranked, "strategy": made.strategy, "note": note})
        except S4miError as error:
            log.warning("suggest: %s", error)
            self._space.events.send("suggested", {"count": 0, "error": without_paths(self._space, str(error))})
        except Exception:  # a broken run must not leave the page waiting
            log.exception("suggest")
            self._space.events.send("suggested", {"count": 0, "error": "suggest: failed; see the log of s4mi view"})
        finally:
            self._running = False


def read_ranks(space: Workspace, table: Path) -> int:
    """Take the order of the images in a table of `s4mi suggest`; return their number.

    Raises:
        S4miError: it is not such a table, or lists an image that the data set does not have.
    """
    rows = read_table(table)
    if "id" not in rows.columns:
        raise S4miError(f"{table}:1: no column id; pass a table that s4mi suggest wrote")
    finder, ranks = RowFinder(space.manifest), np.zeros(space.columns.count, dtype=np.int32)
    for rank, record in enumerate(rows.records, start=1):
        try:
            ranks[finder.find((record.cells["id"],))] = rank
        except UnknownImageError as error:
            raise S4miError(f"{table}:{record.line}: {error}") from error
    space.ranks = ranks
    space.touch()
    log.info("%s to annotate next", plural(len(rows.records), "image"))
    return len(rows.records)


def post_suggest(space: Workspace, request: Request, body: Mapping[str, Any]) -> JSONResponse:
    """Rank the images to annotate next."""
    run, count = space.run(str(body.get("run", ""))), body.get("count", DEFAULT)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST:
        raise RequestError(400, f"count: not a whole number from 1 to {MOST}; send another")
    if not request.app.state.suggesting.start(run, count):
        raise RequestError(409, "suggest: under way already; wait for the event suggested")
    return JSONResponse({"count": count}, status_code=202)
