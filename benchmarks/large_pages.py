"""Peak memory of commands on one drawn TIFF page that does not fit in memory, for docs/explanation/reliability.md.

Run:  python benchmarks/large_pages.py [--side 40000] [--out FOLDER] [--only explain]

The page is RGB in 512 × 512 Deflate tiles, drawn from 16 different ones; its mask is a disc in each. The memory is that
of a command and its processes together (PSS, looked at five times a second), processor time theirs.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import yaml

TILE = 512
KINDS = 16
"""Different tiles of a page."""
NETWORK = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
SEGMENTER = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8]}
RUNS = {"classes": (NETWORK, {}), "whole": (SEGMENTER, {}), "tiles": (SEGMENTER, {"tile": 1000})}
"""Methods, and what their runs set under `data`."""


@dataclass(frozen=True)
class Cost:
    """What a command took: GiB at its peak, seconds of processor time, and seconds."""

    peak: float
    processor: float
    seconds: float


def draw(folder: Path, side: int) -> None:
    """Write the page and its mask."""
    rng, tiles, masks = np.random.default_rng(0), [], []
    y, x = np.mgrid[:TILE, :TILE]
    for kind in range(KINDS):
        inside = (y - 200 - 5 * kind) ** 2 + (x - 250) ** 2 < 120**2
        pixels = rng.integers(0, 24, (TILE, TILE, 3)) + np.where(inside[:, :, None], (120, 60, 70), (200, 160, 150))
        tiles.append(zlib.compress(pixels.astype(np.uint8).tobytes(), 1))
        masks.append(zlib.compress(np.where(inside, 255, 0).astype(np.uint8).tobytes()))
    count = (-(-side // TILE)) ** 2
    order = rng.integers(0, KINDS, count).tolist()
    for name, kinds, shape in (("images", tiles, (side, side, 3)), ("masks", masks, (side, side))):
        (folder / name).mkdir(parents=True)
        tifffile.imwrite(
            folder / name / "a.tif", (kinds[number] for number in order), shape=shape, dtype=np.uint8,
            tile=(TILE, TILE), compression="zlib", photometric="rgb" if len(shape) == 3 else "minisblack",
            metadata=None, bigtiff=True,
        )  # fmt: skip


def train(folder: Path) -> None:
    """Train small networks for an epoch on drawn images."""
    from s4mi.data.sources.synthetic import write_synthetic

    write_synthetic("lesions", folder / "data", count=24, size=1024, seed=0)
    for name, (method, data) in RUNS.items():
        contents = {
            "data": {"path": str(folder / "data"), "image_size": 64, "cache": str(folder / "cache"), **data},
            "method": method, "epochs": 1, "batch_size": 7, "hardware": {"accelerator": "cpu"},
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(contents))
        measured(["train", str(folder / f"{name}.yaml"), "-o", str(folder / name)])


def measured(words: list[str]) -> Cost:
    """Run a command and measure it."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-m", "s4mi", *words], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_pss, _tree(process.pid))))
            time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(peak / 2**30, processor, time.monotonic() - start)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _pss(pid: int) -> int:
    """Bytes of a process, shared ones by the number of processes that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def commands(folder: Path) -> dict[str, list[str]]:
    """The measured commands by the title of their row."""
    page, out = str(folder / "pairs" / "images"), str(folder / "out")
    return {
        "data import pairs": ["data", "import", "pairs", str(folder / "pairs"), "-o", str(folder / "set")],
        "data check": ["data", "check", str(folder / "set")],
        "predict, classifier of whole images": ["predict", str(folder / "classes"), page, "-o", f"{out}-classes"],
        "predict, segmenter of whole images": ["predict", str(folder / "whole"), page, "-o", f"{out}-whole"],
        "predict, segmenter of tiles of 1,000 pixels": ["predict", str(folder / "tiles"), page, "-o", f"{out}-tiles"],
        "explain": ["explain", str(folder / "classes"), page, "-o", f"{out}-maps", "--no-sanity"],
    }


def main() -> None:
    """Draw, train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="first words of rows")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="s4mi-pages-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["HF_HUB_OFFLINE"] = "1"
    if not (folder / "pairs").exists():
        draw(folder / "pairs", given.side)
    if not (folder / "tiles" / "record.json").exists():
        train(folder)
    sys.stdout.write("| | GiB | seconds of processor time | seconds |\n|---|---:|---:|---:|\n")
    for title, words in commands(folder).items():
        if given.only and not title.startswith(tuple(given.only)):
            continue
        cost = measured(words)
        sys.stdout.write(f"| {title} | {cost.peak:.2f} | {cost.processor:.0f} | {cost.seconds:.0f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
