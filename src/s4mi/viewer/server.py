"""Run the server: in the foreground for the command line, in a thread for notebooks."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from s4mi.errors import S4miError
from s4mi.viewer.app import make_app
from s4mi.viewer.guard import LOOPBACK, Access
from s4mi.viewer.live import StudyWatch
from s4mi.viewer.run_list import open_runs
from s4mi.viewer.suggesting import read_ranks
from s4mi.viewer.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from s4mi.viewer.study import LiveStudy

log = logging.getLogger("s4mi.viewer")

FIRST_PORT = 8765
"""Port that is tried first, so that an address in the history of a browser works again."""
STOP_SECONDS = 2


@dataclass(frozen=True)
class ServerOptions:
    """What the server shows and where it listens.

    Attributes:
        dataset: folder of the data set. runs: folders of runs, or exported models. study: folder of a study.
        ranking: table of `s4mi suggest` with the images to annotate next.
        host: name or address to listen at. port: port, 0 for any that is free, None for the first that is free.
        framed: whether pages on this machine, such as a notebook, may show the page in a frame.
    """

    dataset: Path
    runs: tuple[Path, ...] = ()
    study: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    read_only: bool = False
    framed: bool = False
    ranking: Path | None = None


class ViewServer:
    """A server of one data set, from the moment its port is open.

    Attributes:
        url: its address, with the token.
    """

    def __init__(self, options: ServerOptions) -> None:
        """Open the data set and the port.

        Raises:
            S4miError: there is no such data set, run or study, it is open elsewhere, or the port is taken.
        """
        self.space: Workspace = open_workspace(options.dataset, read_only=options.read_only)
        try:
            open_runs(self.space, options.runs, options.study)
            if options.ranking is not None:
                read_ranks(self.space, options.ranking)
            study = None if options.study is None else _study(options.study)
            self._socket = _listen(options.host, options.port)
        except BaseException:
            self.space.close()
            raise
        port = self._socket.getsockname()[1]
        hosts = frozenset() if options.host in LOOPBACK else _names(options.host)
        self.access = Access(cookie=f"s4mi_token_{port}", hosts=hosts, framed=options.framed)
        shown = options.host if options.host not in ("0.0.0.0", "::") else socket.gethostname()
        shown = f"[{shown}]" if ":" in shown else shown
        self.port, self.address = port, f"http://{shown}:{port}/"
        self.url = f"{self.address}?token={self.access.token}"
        self.app = make_app(self.space, self.access, study=study)
        self._server = _Server(uvicorn.Config(
            self.app, log_config=None, access_log=False, server_header=False, date_header=False, ws="none",
            timeout_graceful_shutdown=STOP_SECONDS, h11_max_incomplete_event_size=64 << 10, lifespan="off",
        ))  # fmt: skip
        self._thread: threading.Thread | None = None
        self._released = False
        self._watch = None if study is None else StudyWatch(study, self.space.events)

    def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Answer until Ctrl-C, which ends it like any other command; `started` is called once it answers."""
        self._server.started_callback = started
        try:
            with suppress(KeyboardInterrupt):
                asyncio.run(self._serve())
        finally:
            self._release()

    def start(self) -> None:
        """Answer in a thread until `close`."""
        ready = threading.Event()
        self._server.started_callback = ready.set
        self._server.in_thread = True

        def work() -> None:
            try:
                asyncio.run(self._serve())
            finally:
                ready.set()

        self._thread = threading.Thread(target=work, name="s4mi-view", daemon=True)
        self._thread.start()
        ready.wait()

    @property
    def closed(self) -> bool:
        """Whether it answers no more."""
        return self._released

    def close(self) -> None:
        """Stop answering and let others open the data set."""
        self._server.should_exit = True
        self.space.events.closing = True
        if self._thread is not None:
            self._thread.join(timeout=STOP_SECONDS + 3)
            self._thread = None
            self._release()

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])

    def _release(self) -> None:
        self._released = True
        if self._watch is not None:
            self._watch.stop()
        self.app.state.findings.stop()
        self.app.state.predicting.stop()
        self._socket.close()
        self.space.close()


def _study(folder: Path) -> "LiveStudy":
    from s4mi.viewer.study import LiveStudy  # imports what a report needs

    return LiveStudy(folder)


class _Server(uvicorn.Server):
    """Tells when it answers, and leaves signals alone in a thread."""

    started_callback: Callable[[], None] = staticmethod(lambda: None)
    in_thread = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.started_callback()

    def handle_exit(self, sig: int, frame: object) -> None:
        """End streams of events at once, which would otherwise be waited for."""
        self.config.app.state.space.events.closing = True  # type: ignore[union-attr]
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def _listen(host: str, port: int | None) -> socket.socket:
    """Open a port: the given one, or the first free one.

    Raises:
        S4miError: it is taken, or there is no such host.
    """
    ports: Sequence[int] = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + 20), 0]
    for number in ports:
        try:
            infos = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = infos[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except socket.gaierror as error:
            raise S4miError(
                f"--host {host}: no such host ({error.strerror}); use 127.0.0.1 for this machine"
            ) from error
        except OSError as error:
            if number != ports[-1]:
                continue
            raise S4miError(
                f"{host}:{number}: cannot listen ({error.strerror}); choose another with --host and --port"
            ) from error
        return listener
    raise AssertionError("the last port is returned or raises")


def _names(host: str) -> frozenset[str]:
    """Names in the Host header by which a machine is reached that listens at `host`."""
    return frozenset((host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()))
