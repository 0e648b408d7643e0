"""The page's server on many drawn images: start, first grid, scrolling to any place, memory; and one large image.

Run:  python benchmarks/view_scale.py [--images 100000] [--out FOLDER]

A server is started as a process of its own, as `s4mi view` starts it. Times are those of a client on the same machine:
`first grid` from the start of the process to the last of the first 60 thumbnails, `place` for the list and the
60 thumbnails of a random place that no cache has. Processor time is given too, as wall time depends on what else runs.
"""

import argparse
import csv
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from urllib.parse import urlsplit

import cv2
import numpy as np

VISIBLE = 60
"""Thumbnails that a window of 1280 × 800 pixels shows."""
CONNECTIONS = 6
"""Connections of a browser to one server."""
KINDS = 64
"""Different pictures; each image is a file of its own with one of them."""


@dataclass(frozen=True)
class Client:
    """Asks the server as a page does."""

    address: str
    threads: ThreadPoolExecutor
    connections: local

    def get(self, path: str) -> bytes:
        """Return the body of a response."""
        parts = urlsplit(self.address)
        connection = getattr(self.connections, "one", None)
        if connection is None:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=60)
            self.connections.one = connection
        connection.request("GET", path, headers={"Authorization": f"Bearer {parts.query.partition('=')[2]}"})
        answer = connection.getresponse()
        body: bytes = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return body

    def screen(self, offset: int, query: str = "") -> list[int]:
        """Ask for the list and the thumbnails of a place; return the numbers of its images."""
        grid = json.loads(self.get(f"/api/grid?offset={offset}&limit={VISIBLE}{query}"))
        numbers = [item["n"] for item in grid["items"]]
        list(self.threads.map(lambda n: self.get(f"/api/images/{n}/picture?size=160"), numbers))
        return numbers


def write_images(folder: Path, count: int) -> None:
    """Write a data set of small drawn images, each a file of its own."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(KINDS):
        image = np.full((96, 128, 3), rng.integers(60, 200, 3), dtype=np.uint8)
        centre, radius = (int(rng.integers(20, 100)), int(rng.integers(20, 70))), int(rng.integers(8, 25))
        cv2.circle(image, centre, radius, rng.integers(0, 255, 3).tolist(), -1)
        pictures.append(cv2.imencode(".png", image)[1].tobytes())
    names = ["nevus", "melanoma", "keratosis", ""]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", "image", "mask", "label", "group", "split"))
        for n in range(count):
            name = f"images/{n // 1000:03d}/{n:06d}.png"
            if n % 1000 == 0:
                (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(pictures[n % KINDS])
            table.writerow((f"image{n:06d}", name, "", names[n % 4], f"patient{n // 3}", ""))
    (folder / "dataset.yaml").write_text(
        "name: drawn\ntasks: [multiclass]\nclasses: [nevus, melanoma, keratosis]\nsynthetic: true\n"
    )


def write_large(folder: Path) -> None:
    """Write a data set of one image of 4,000 × 3,000 pixels."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    (folder / "images").mkdir(parents=True)
    large = cv2.GaussianBlur(cv2.resize(small, (4000, 3000), interpolation=cv2.INTER_CUBIC), (0, 0), 2)
    cv2.imwrite(str(folder / "images" / "page.png"), large)
    (folder / "manifest.csv").write_text("id,image\npage,images/page.png\n")
    (folder / "dataset.yaml").write_text(
        "name: page\ntasks: [segmentation]\nmask_values: {0: background, 255: lesion}\nsynthetic: true\n"
    )


def start(data: Path) -> tuple[subprocess.Popen[str], Client]:
    """Start a server and wait until it prints its address."""
    command = [sys.executable, "-m", "s4mi", "view", str(data), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    return process, Client(address, ThreadPoolExecutor(CONNECTIONS), local())


def memory_mib(process: subprocess.Popen[str], field: str) -> float:
    """Return a field of the memory of a process, such as its largest resident size."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def seconds_of(process: subprocess.Popen[str]) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_many(data: Path, count: int, places: int) -> None:
    """Print start, first grid, places and memory."""
    begun = time.perf_counter()
    process, client = start(data)
    try:
        ready = time.perf_counter() - begun
        client.get("/api/session")
        client.screen(0)
        first, processor = time.perf_counter() - begun, seconds_of(process)
        print(f"start of the process to its address    {ready:6.2f} s")
        print(f"start of the process to the first grid {first:6.2f} s   ({processor:.2f} s of processor)")
        rng = random.Random(0)
        for title, query in (("manifest order", ""), ("sorted by name, one class", "&sort=name&label=nevus")):
            times, before = [], seconds_of(process)
            for _ in range(places):
                offset = rng.randrange((count if not query else count // 4) - VISIBLE)
                moment = time.perf_counter()
                client.screen(offset, query)
                times.append(time.perf_counter() - moment)
            times.sort()
            median, late = statistics.median(times), times[int(0.95 * len(times))]
            processor = (seconds_of(process) - before) / places
            spread = f"{median:6.3f} s median, {late:.3f} s 95th of {places}"
            print(f"place, {title:<31} {spread}   ({processor:.3f} s of processor)")
        peak, now = memory_mib(process, "VmHWM"), memory_mib(process, "VmRSS")
        print(f"memory of the server {now:24.0f} MiB, {peak:.0f} MiB at most")
    finally:
        process.terminate()
        process.wait(20)


def measure_large(data: Path) -> None:
    """Print the time from opening a large image to all tiles of the whole and of one detail at full size."""
    process, client = start(data)
    try:
        moment, before = time.perf_counter(), seconds_of(process)
        image = json.loads(client.get("/api/images/0"))
        level = image["levels"] - 1
        while max(image["width"], image["height"]) / 2**level < 1000:  # fits a window of 1280 × 800
            level -= 1
        columns = [-(-side // (2**level * 512)) for side in (image["width"], image["height"])]
        tiles = [f"{level}/{x}/{y}" for x in range(columns[0]) for y in range(columns[1])]
        list(client.threads.map(lambda tile: client.get(f"/api/images/0/tiles/{tile}"), tiles))
        whole, processor = time.perf_counter() - moment, seconds_of(process) - before
        detail = [f"0/{x}/{y}" for x in (2, 3, 4) for y in (2, 3)]
        list(client.threads.map(lambda tile: client.get(f"/api/images/0/tiles/{tile}"), detail))
        both = time.perf_counter() - moment
        print(f"4,000 × 3,000: opened {whole:23.2f} s   ({len(tiles)} tiles; {processor:.2f} s of processor)")
        print(f"a detail of it at full size {both - whole:17.2f} s more")
        print(f"memory of the server {memory_mib(process, 'VmHWM'):24.0f} MiB at most")
    finally:
        process.terminate()
        process.wait(20)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the images, if they are not there, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, help="number of images (default: 100000)")
    parser.add_argument("--places", type=int, default=40, help="places to scroll to (default: 40)")
    parser.add_argument("--out", type=Path, default=None, help="folder to keep the images in (default: none is kept)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        home = options.out or Path(temporary)
        many, large = home / f"many-{options.images}", home / "large"
        if not many.exists():
            many.mkdir(parents=True)
            write_images(many, options.images)
        if not large.exists():
            large.mkdir(parents=True)
            write_large(large)
        print(f"{options.images:,} images of 128 × 96 pixels, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        measure_many(many, options.images, options.places)
        measure_large(large)


if __name__ == "__main__":
    main()
