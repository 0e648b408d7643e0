"""Events that the server sends to every open page, and who has which image open."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from threading import Lock
from typing import Any

PRESENT_SECONDS = 25.0
"""A tab that has not said for this long that it has an image open has it open no more."""
MAX_WAITING = 256
"""Events that wait for a slow page; it misses the others, and reads the state again."""
KEEP_ALIVE_SECONDS = 15.0


class Events:
    """Sends events to all pages that listen."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closing = False

    @property
    def listened(self) -> bool:
        """Whether any page listens."""
        return bool(self._queues)

    def send(self, kind: str, contents: Any) -> None:
        """Send an event, from any thread."""
        text = f"event: {kind}\ndata: {json.dumps(contents)}\n\n"
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._put, text)

    async def stream(self) -> AsyncIterator[str]:
        """Yield the events from now on as text of a stream, with comments that keep the connection alive."""
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._queues.add(queue)
        waited = 0.0
        try:
            yield ": open\n\n"
            while not self.closing:
                try:
                    yield await asyncio.wait_for(queue.get(), 1.0)
                    waited = 0.0
                except TimeoutError:
                    waited += 1.0
                    if waited >= KEEP_ALIVE_SECONDS:
                        waited = 0.0
                        yield ": alive\n\n"
        finally:
            self._queues.discard(queue)

    def _put(self, text: str) -> None:
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(text)


class Presence:
    """Which tabs have which image open."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, float]] = {}
        self._lock = Lock()

    def open(self, n: int, client: str) -> list[str]:
        """Note that a tab has an image open; return the other tabs that have."""
        now = time.monotonic()
        with self._lock:
            tabs = {
                name: seen for name, seen in self._seen.get(n, {}).items() if now - seen < PRESENT_SECONDS
            }  # fmt: skip
            tabs[client] = now
            self._seen[n] = tabs
            if len(self._seen) > 4096:
                self._seen = {m: own for m, own in self._seen.items() if max(own.values()) > now - PRESENT_SECONDS}
            return sorted(name for name in tabs if name != client)
