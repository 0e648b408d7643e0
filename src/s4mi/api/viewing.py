"""The page in Python: a server beside the notebook, shown in a frame."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path, as_paths
from s4mi.errors import require_extra

if TYPE_CHECKING:
    from s4mi.viewer.server import ViewServer


def open_view(
    dataset: StrPath,
    *,
    run: StrPath | Iterable[StrPath] | None = None,
    study: StrPath | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    read_only: bool = False,
    framed: bool = False,
) -> "ViewServer":
    """Open a data set and a port for its page; `run` or `start` of the returned server makes it answer.

    Raises:
        S4miError: the extra `view` is not installed, there is no such data set, run or study, the data set is open in
            another view, or the port is taken.
    """
    for module in ("starlette", "uvicorn"):
        require_extra(module, extra="view", purpose="s4mi view")
    from s4mi.viewer.server import ServerOptions, ViewServer

    given = [] if run is None else run
    runs = as_paths(given) if isinstance(given, str) or given else []
    return ViewServer(ServerOptions(
        as_path(dataset), tuple(runs), None if study is None else as_path(study), host, port, read_only, framed,
    ))  # fmt: skip
