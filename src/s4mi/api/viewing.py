"""The page in Python: a server beside the notebook, shown in a frame."""

import html
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from s4mi.api.inputs import StrPath, as_path, as_paths
from s4mi.errors import require_extra
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from s4mi.viewer.server import ViewServer

HEIGHT = 720
"""Height of the frame in pixels."""

_FRAME = """<div id="{id}" style="border:1px solid #8884;border-radius:4px;height:{height}px"></div>
<div style="opacity:.75;margin:.3em 0">{name}: <a href="{url}" target="_blank" rel="noopener">open beside</a></div>
<script>
(() => {{
  const place = document.getElementById("{id}");
  const here = ["localhost", "127.0.0.1"].includes(location.hostname) ? location.hostname : "127.0.0.1";
  const frame = document.createElement("iframe");
  frame.title = {title};
  frame.src = `http://${{here}}:{port}/?token={token}`;
  frame.style.cssText = "border:0;width:100%;height:100%";
  place.replaceChildren(frame);
}})();
</script>"""
"""The frame takes the host name of the notebook: browsers keep the page's cookie from a frame of another site."""


class View:
    """The page of a data set, which answers until it is closed or Python ends. A notebook shows it in a frame.

    Attributes:
        url: its address with the token, for a browser on this machine.
    """

    def __init__(self, server: "ViewServer", height: int) -> None:
        self._server, self._height = server, height
        self.url: str = server.url

    @property
    def closed(self) -> bool:
        """Whether it answers no more."""
        return self._server.closed

    def close(self) -> None:
        """Stop answering; annotations that are not merged are kept in the data set."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"View of {self._server.space.manifest.spec.name}: {'closed' if self.closed else self.url}"

    def _repr_html_(self) -> str:
        name = self._server.space.manifest.spec.name
        if self.closed:
            return f"<div>{html.escape(name)}: closed</div>"
        from s4mi.viewer.guard import script_text

        return _FRAME.format(
            id=f"s4mi-{secrets.token_hex(4)}", height=self._height, name=html.escape(name),
            url=html.escape(self.url, quote=True), title=script_text(name), port=self._server.port,
            token=self._server.access.token,
        )  # fmt: skip


_views: dict[Path, View] = {}
"""The views that this process has open, by data set: running a cell again replaces its view."""


@system_errors()
def view(
    dataset: StrPath,
    run: StrPath | Iterable[StrPath] | None = None,
    *,
    study: StrPath | None = None,
    height: int = HEIGHT,
    port: int = 0,
    read_only: bool = False,
) -> View:
    """Show a data set: look at images, masks and predictions, correct them, merge the corrections.

    Everything stays on this machine, so the browser must run on it too.

    Args:
        dataset: folder of a data set.
        run: folder of a run, or an exported model, or several, whose predictions are shown.
        study: folder of a study to follow; its finished runs are shown too.
        height: height of the frame in a notebook, in pixels.
        port: port to answer at; 0 for any that is free.
        read_only: look only, also beside another view of the same data set.

    Raises:
        S4miError: the extra `view` is not installed, there is no such data set, run or study, the data set is open in
            another process, or the port is taken.
    """
    folder = as_path(dataset).resolve()
    if folder in _views and not read_only:
        _views.pop(folder).close()
    runs = [] if run is None or run == [] else [path.absolute() for path in as_paths(run)]
    server = open_view(  # with absolute paths, as it answers after os.chdir too
        as_path(dataset).absolute(), run=runs, study=None if study is None else as_path(study).absolute(), port=port,
        read_only=read_only, framed=True,
    )  # fmt: skip
    server.start()
    shown = View(server, height)
    if not read_only:
        _views[folder] = shown
    return shown


def open_view(
    dataset: StrPath,
    *,
    run: StrPath | Iterable[StrPath] | None = None,
    study: StrPath | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    read_only: bool = False,
    framed: bool = False,
    ranking: StrPath | None = None,
) -> "ViewServer":
    """Open a data set and a port for its page; `run` or `start` of the returned server makes it answer.

    Raises:
        S4miError: as for `view`.
    """
    for module in ("starlette", "uvicorn"):
        require_extra(module, extra="view", purpose="s4mi view")
    from s4mi.viewer.server import ServerOptions, ViewServer

    runs = [] if run is None or run == [] else as_paths(run)
    return ViewServer(
        ServerOptions(
            as_path(dataset), tuple(runs), None if study is None else as_path(study), host, port, read_only, framed,
            None if ranking is None else as_path(ranking),
        )
    )  # fmt: skip
