"""The page of `s4mi view` in Chromium: first grid, scrolling, large images, strokes, memory. There is no peer.

    python benchmarks/view_page.py [--images N] [--places P] [--masks M] [--only grid|large|masks] [--quick]

Needs Chromium (or its path in S4MI_CHROMIUM) and Playwright. The images of the grid are drawn lesions, each a file of
its own. Times are those of the browser: from the start of the navigation, from a jump of the scroll bar to the last
visible thumbnail, and of the handlers of `pointermove` events in the browser's trace, which draw the stroke themselves.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from s4mi.data.sources.synthetic import write_synthetic

DRAWN = 500
SIDE = 64
LARGE = (3000, 4000)
SEEN = """(() => {
  const box = document.querySelector('.scroller')?.getBoundingClientRect();
  if (!box) return false;
  const seen = [...document.querySelectorAll('.cell a')].filter(a => {
    const b = a.getBoundingClientRect();
    return b.bottom > box.top && b.top < box.bottom;
  });
  return seen.length > 0 && seen.every(a => a.querySelector('img.loaded'));
})()"""
WATCH = """new Promise(done => {
  const start = performance.now();
  %s;
  const look = () => %s ? done(performance.now() - start) : setTimeout(look, 4);
  requestAnimationFrame(look);
})"""


@dataclass(frozen=True)
class Server:
    """A running server and where it is."""

    process: "subprocess.Popen[str]"
    url: str
    seconds: float

    @property
    def address(self) -> str:
        """The address without the token."""
        return self.url.partition("?")[0]

    @property
    def memory(self) -> float:
        """Resident MiB now."""
        return _resident(self.process.pid)


def main() -> None:
    """Run the measurements and print a line for each."""
    parser = argparse.ArgumentParser(description="Time the page of s4mi view in Chromium.")
    parser.add_argument("--images", type=int, default=100_000, help="images of the grid")
    parser.add_argument("--places", type=int, default=40, help="places that the grid is scrolled to")
    parser.add_argument("--masks", type=int, default=200, help="masks that are corrected one after the other")
    parser.add_argument("--only", choices=("grid", "large", "masks"), help="one of the three parts")
    parser.add_argument("--quick", action="store_true", help="2,000 images, 5 places, 10 masks")
    given = parser.parse_args()
    images, places, masks = (2000, 5, 10) if given.quick else (given.images, given.places, given.masks)
    with tempfile.TemporaryDirectory() as folder:
        if given.only in (None, "grid"):
            measure_grid(drawn(Path(folder) / "grid", images), places)
        if given.only in (None, "large"):
            measure_large(large(Path(folder) / "large"))
        if given.only in (None, "masks"):
            measure_masks(drawn(Path(folder) / "masks", masks + 1), masks)


def measure_grid(data: Path, places: int) -> None:
    """First grid, scrolling to random places, memory of both sides."""
    with serving(data) as server, opened(server) as page:
        say("server ready after", server.seconds, "s")
        first = []
        for _ in range(3):
            page.goto("about:blank")
            start = time.perf_counter()
            page.goto(server.address, wait_until="commit")
            page.wait_for_selector(".cell img.loaded", state="attached")
            while not page.evaluate(SEEN):
                time.sleep(0.005)
            first.append(time.perf_counter() - start)
        say("first grid, all visible thumbnails (cold, then warm)", first[0], f"s, {first[-1]:.2f} s")
        before = tab_memory(page)
        rng = random.Random(0)
        jumps = []
        for _ in range(places):
            jump = f"(s => s.scrollTop = {rng.random()} * s.scrollHeight)(document.querySelector('.scroller'))"
            jumps.append(page.evaluate(WATCH % (jump, SEEN)) / 1000)
        say(
            f"scrolling to {places} places, median until all visible",
            statistics.median(jumps),
            f"s (max {max(jumps):.2f})",
        )
        say("heap of the tab before and after", before, f"MiB, {tab_memory(page):.0f} MiB")
        say("server's memory", server.memory, "MiB")


def measure_large(data: Path) -> None:
    """An image of 4,000 × 3,000 pixels: opening it, and the time of stroke handlers."""
    with serving(data) as server, opened(server) as page:
        page.goto(server.address)
        page.wait_for_selector(".cell img.loaded", state="attached")
        for n in (0, 1, 1):
            page.goto(f"{server.address}#/images")
            page.wait_for_selector(".cell")
            opening = f"location.hash = '#/image/{n}'"
            seconds = page.evaluate(WATCH % (opening, "document.querySelector('.stage[data-picture=ready]')")) / 1000
            say(f"opening image {n} of 4,000 × 3,000 from the grid", seconds, "s")
            page.wait_for_selector(".stage[data-mask=ready]")
        handlers = stroke_handlers(page)
        text = f"ms (max {max(handlers):.1f}, {len(handlers)} events)"
        say("handler of a brush stroke on it, median in the trace", statistics.median(handlers), text)


def measure_masks(data: Path, masks: int) -> None:
    """Memory of the tab over many corrected masks; locators, as handles of elements would keep what is measured."""
    with serving(data) as server, opened(server) as page:
        page.goto(f"{server.address}#/image/0")
        page.locator(".stage[data-mask=ready]").wait_for()
        page.keyboard.press("b")
        before, resident = tab_memory(page), renderer_memory(page)
        for n in range(masks):
            box = page.locator(".stage").bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + 300, box["y"] + 200)
            page.mouse.down()
            page.mouse.move(box["x"] + 420, box["y"] + 300)
            page.mouse.up()
            page.keyboard.press("n")
            page.locator(f"h1:has-text('copy_{n + 1:06d}')").wait_for()
            page.locator(".stage[data-mask=ready]").wait_for()
        saved = page.request.get(f"{server.address}api/changes").json()["counts"]["masks"]
        say(f"heap of the tab before and after {saved} corrected masks", before, f"MiB, {tab_memory(page):.0f} MiB")
        say("its process before and after", resident, f"MiB, {renderer_memory(page):.0f} MiB")


def stroke_handlers(page: Page) -> list[float]:
    """Milliseconds that the browser spent in each `pointermove` of a stroke, from its trace."""
    page.keyboard.press("b")
    box = page.locator(".stage").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    done: list[object] = []
    session.on("Tracing.dataCollected", lambda sent: events.extend(sent["value"]))
    session.on("Tracing.tracingComplete", lambda sent: done.append(sent))
    session.send("Tracing.start", {"categories": "devtools.timeline", "transferMode": "ReportEvents"})
    page.mouse.move(box["x"] + 150, box["y"] + 300)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(box["x"] + 150 + 5 * step, box["y"] + 300 + 120 * np.sin(step / 8))
    page.mouse.up()
    session.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    moves = [one for one in events if one["name"] == "EventDispatch" and one["args"]["data"]["type"] == "pointermove"]
    return [one["dur"] / 1000 for one in moves]


def drawn(folder: Path, count: int) -> Path:
    """A data set of `count` files that contain some hundred drawn lesions."""
    write_synthetic("lesions", folder, count=min(count, DRAWN), size=SIDE, seed=1)
    header, *rows = (folder / "manifest.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    lines = [header]
    for n in range(count):
        row = list(cells[n % len(cells)])
        for column, place in ((1, "images"), (2, "masks")):
            name = f"{place}/copy_{n:06d}.png"
            os.link(folder / cells[n % len(cells)][column], folder / name)
            row[column] = name
        row[0] = f"copy_{n:06d}"
        row[4] = f"patient_{n // 3:06d}"
        lines.append(",".join(row))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def large(folder: Path) -> Path:
    """Two lesions enlarged to 4,000 × 3,000 pixels, with grain, as JPEG as cameras write it."""
    write_synthetic("lesions", folder, count=2, size=256, seed=1)
    rng = np.random.default_rng(0)
    manifest = folder / "manifest.csv"
    text = manifest.read_text()
    for n in range(2):
        for place, way in (("images", cv2.INTER_CUBIC), ("masks", cv2.INTER_NEAREST)):
            path = folder / place / f"lesion_{n:04d}.png"
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert pixels is not None
            big = cv2.resize(pixels, LARGE[::-1], interpolation=way)
            if place == "images":
                grain = rng.integers(-6, 7, big.shape, dtype=np.int16)
                big = np.clip(big + grain, 0, 255).astype(np.uint8)
                text = text.replace(f"images/lesion_{n:04d}.png", f"images/lesion_{n:04d}.jpg")
                path.unlink()
                path = path.with_suffix(".jpg")
            cv2.imwrite(str(path), big)
    manifest.write_text(text)
    return folder


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """Start `s4mi view` with a cache of its own, and end it."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "s4mi", "view", str(data), "--no-browser", "--port", "0"],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"XDG_CACHE_HOME": cache},
        )  # fmt: skip
        assert process.stdout is not None
        try:
            url = next(line for line in process.stdout if "token=" in line).strip()
            yield Server(process, url, time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextmanager
def opened(server: Server) -> Iterator[Page]:
    """A tab that has the server's cookie."""
    path = os.environ.get("S4MI_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.url)
        yield page
        browser.close()


def tab_memory(page: Page) -> float:
    """MiB of the JavaScript heap after a collection."""
    page.evaluate("window.gc?.()")
    return float(page.evaluate("performance.memory.usedJSHeapSize")) / 2**20


def renderer_memory(page: Page) -> float:
    """Resident MiB of the largest process that renders pages of this browser."""
    browser = page.context.browser
    assert browser is not None
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max(_resident(one["id"]) for one in processes if one["type"] == "renderer")


def _resident(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0]) / 1024


def say(what: str, value: float, unit: str) -> None:
    """Print a measurement."""
    print(f"{what}: {value:.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
