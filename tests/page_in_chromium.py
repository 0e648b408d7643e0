"""The page in Chromium: a server of its own for each test, tabs of any width and colour scheme."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s4mi.viewer.app import STATIC

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SOURCE = Path(__file__).parents[1] / "src"
START_SECONDS = 60
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def chromium_path() -> str | None:
    """Where the browser is: in S4MI_CHROMIUM, or the first one that is installed."""
    return os.environ.get("S4MI_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """One Chromium for all tests; skips where it or Playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium: install it (apt install chromium) or name it in S4MI_CHROMIUM")
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page is not built: cd web && npm ci && npm run build")
    flags = ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=flags)
        yield launched
        launched.close()


@dataclass
class Served:
    """A running `s4mi view`; `kill` and `start` again at the same port."""

    folder: Path
    arguments: list[str]
    environment: dict[str, str]
    port: int
    url: str = ""
    log: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None

    @property
    def address(self) -> str:
        """The address without the token."""
        return self.url.partition("?")[0]

    def start(self) -> "Served":
        """Start the server and wait for the address it prints."""
        command = [sys.executable, "-m", "s4mi", "view", str(self.folder), "--no-browser", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self.environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if "token=" in line:
                self.url = line.strip()
                return self
        raise AssertionError("".join(self.log))

    def kill(self) -> None:
        """End the server as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the server as Ctrl-C would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def serve_page(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers: `serve_page(folder, "--run", run)`; all end with the test."""
    servers: list[Served] = []

    def start(folder: Path, *arguments: object) -> Served:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        served = Served(folder, [str(argument) for argument in arguments], environment, port)
        servers.append(served)
        return served.start()

    yield start
    for served in servers:
        served.stop()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(chromium: "Browser") -> Iterator[Open]:
    """Opens tabs: `open_page(served, "#/image/3", width=390, dark=True)`; fails on errors and what the CSP refuses."""
    contexts: list[Any] = []
    problems: list[str] = []

    def start(
        served: Served, at: str = "", *, width: int = 1280, height: int = 800, dark: bool = False, beside: Any = None,
        **options: Any,
    ) -> "Page":  # fmt: skip
        if beside is None:
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
            )
            contexts.append(context)
        else:
            context = beside.context
        page: Page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(served.url)
        if at:
            page.goto("about:blank")
            page.goto(served.address + at)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not problems
