"""What tests do on the page: open an image, paint, read masks back."""

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

Mask = NDArray[np.uint8]
Point = tuple[float, float]


def open_image(page: "Page", address: str, n: int, query: str = "") -> None:
    """Open image `n` and wait until its mask can be painted."""
    page.goto("about:blank")
    page.goto(f"{address}#/image/{n}{query}")
    page.wait_for_selector(".stage[data-mask=ready]")


def diameter(page: "Page") -> int:
    """The brush's diameter in image pixels."""
    return int(page.locator(".size").inner_text().split()[0])


def set_diameter(page: "Page", wanted: int) -> None:
    """Press the keys of the brush size until it is `wanted`."""
    for _ in range(40):
        now = diameter(page)
        if now == wanted:
            return
        page.keyboard.press("]" if now < wanted else "[")
    raise AssertionError(f"no brush of {wanted} pixels")


def to_screen(page: "Page", points: Sequence[Point]) -> list[Point]:
    """Client coordinates of image coordinates."""
    stage = page.locator(".stage").first
    box = stage.bounding_box()
    assert box is not None
    zoom, x, y = (float(stage.get_attribute(f"data-{name}") or "nan") for name in ("zoom", "x", "y"))
    ratio = page.evaluate("window.devicePixelRatio")
    return [(box["x"] + (px * zoom + x) / ratio, box["y"] + (py * zoom + y) / ratio) for px, py in points]


def paint(page: "Page", points: Sequence[Point]) -> None:
    """Drag the pointer along points in image coordinates, and wait until the stroke is saved."""
    drag(page, to_screen(page, points))
    saved(page)


def drag(page: "Page", points: Sequence[Point]) -> None:
    """Drag the pointer along client coordinates."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


def saved(page: "Page") -> None:
    """Wait until nothing waits to be saved or to be read."""
    page.wait_for_timeout(50)
    until(page, "document.querySelector('.saving')?.textContent === ''")
    until(page, "!document.querySelector('.stage[data-mask=loading]')")


def until(page: "Page", condition: str, seconds: float = 30) -> None:
    """Wait for a condition in JavaScript; Playwright's own waiting for functions needs eval, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(30)


def mask_of(page: "Page", address: str, n: int, source: str = "edited") -> Mask:
    """The mask as the server has it."""
    answer = page.request.get(f"{address}api/images/{n}/mask?source={source}")
    assert answer.ok, answer.text()
    return np.asarray(Image.open(io.BytesIO(answer.body())))


def truth_of(folder: Path, n: int) -> Mask:
    """The mask in the folder of drawn lesions, as class indices."""
    pixels = np.asarray(Image.open(folder / "masks" / f"lesion_{n:04d}.png"))
    return (pixels > 0).astype(np.uint8)


def unlabel(folder: Path, count: int) -> None:
    """Take the labels of the first images away."""
    lines = (folder / "manifest.csv").read_text().splitlines()
    place = lines[0].split(",").index("label")
    for n in range(1, count + 1):
        cells = lines[n].split(",")
        cells[place] = ""
        lines[n] = ",".join(cells)
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def swept(mask: Mask, points: Sequence[Point], across: int, value: int = 1) -> Mask:
    """`mask` after a brush of `across` pixels was drawn along points, by the distance of each pixel's centre."""
    out = mask.copy()
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    centres = [_snapped(point, across) for point in points]
    for a, b in zip(centres, centres[1:] or centres, strict=False):
        way = np.subtract(b, a)
        length = way @ way
        along = np.clip(((x - a[0]) * way[0] + (y - a[1]) * way[1]) / length, 0, 1) if length else np.zeros_like(x)
        distance = np.hypot(x - a[0] - along * way[0], y - a[1] - along * way[1])
        out[distance <= across / 2 + 1e-9] = value
    return out


def _snapped(point: Point, across: int) -> Point:
    """A pixel's centre for brushes of odd size, a corner for even ones."""
    x, y = point
    if across % 2:
        return float(np.floor(x) + 0.5), float(np.floor(y) + 0.5)
    return float(np.floor(x + 0.5)), float(np.floor(y + 0.5))
