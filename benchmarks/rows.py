"""What a data set of very many tiny images costs: `s4mi data check`, `data split`, and `train` to its first step.

    python benchmarks/rows.py FOLDER [--rows 30000,100000,300000] [--task classification|segmentation]

Draws PNG files of 24 × 24 pixels with patients into FOLDER, unless they are there, and runs the commands one after the
other, with an empty cache and again with the cache that they filled. Printed are processor seconds of all processes,
seconds by the clock with the load of the machine, the largest proportional memory of all processes together (PSS,
looked at every two seconds), and the size of what is kept beside the files. Not part of `make bench`, as 300,000 rows
take a quarter of an hour on two idle cores.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIDE, CLASSES, IMAGES_PER_PATIENT, FILES_PER_FOLDER = 24, 4, 3, 1000
EVERY = 2.0
"""Seconds between two looks at the memory."""
KEPT = ("thumbnails.sqlite", "fingerprints.sqlite", "copies")
"""What the cache keeps of a data set beside decoded images."""
FIRST_STEP = """
import sys
from pathlib import Path
from torch.optim.optimizer import register_optimizer_step_post_hook
from s4mi.config import make_run_config
from s4mi.recipes.train import train

folder, out, cache = sys.argv[1:]
method = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
if "mask" in Path(folder).name:
    method = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8]}
data = {"path": folder, "image_size": 32, "cache": cache, "allow_leakage": True}
settings = {"data": data, "method": method, "epochs": 1, "batch_size": 32, "hardware": {"accelerator": "cpu"}}

def stop(*_):
    raise SystemExit(0)

register_optimizer_step_post_hook(stop)
train(make_run_config(settings, origin="rows.py"), Path(out))
"""


@dataclass(frozen=True)
class Cost:
    """What a command cost: processor seconds, seconds by the clock, PSS in GB, and the load of the machine."""

    processor: float
    wall: float
    memory: float
    load: float


def draw(folder: Path, count: int, *, masks: bool) -> None:
    """Draw a data set of discs on colour gradients, of one colour per class."""
    if (folder / "manifest.csv").is_file():
        return
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        below = f"{number // FILES_PER_FOLDER:04}"
        name = f"{below}/{number:06}.png"
        for kind in ("images", "masks") if masks else ("images",):
            (folder / kind / below).mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(40, 220, (4, 4, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        label = int(generator.integers(CLASSES))
        disc = np.zeros((SIDE, SIDE), dtype=np.uint8)
        cv2.circle(disc, tuple(generator.integers(8, 16, 2).tolist()), 4 + label, 1, -1)
        image[disc > 0] = image[disc > 0] // 2 + np.array([20 * label, 60, 120 - 20 * label], dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / name), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if masks:
            cv2.imwrite(str(folder / "masks" / name), disc)
        cells = [f"masks/{name}", ""] if masks else ["", f"c{label}"]
        rows.append([f"{number:06}", f"images/{name}", *cells, f"p{number // IMAGES_PER_PATIENT:06}", ""])
    task = "tasks: [segmentation]\nmask_values: {0: background, 1: disc}\n"
    if not masks:
        task = f"tasks: [multiclass]\nclasses: [{', '.join(f'c{label}' for label in range(CLASSES))}]\n"
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\n{task}")
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["id", "image", "mask", "label", "group", "split"], *rows])


def cost(command: Sequence[str]) -> Cost:
    """Run a command to its end; findings and leaks are no failure."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended, most = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(EVERY):
            most[0] = max(most[0], sum(map(_pss, _tree(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    ended.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(processor, time.perf_counter() - since, most[0] / 1e6, os.getloadavg()[0])


def _tree(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        found.append(one := todo.pop())
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += map(int, children.read_text().split())
            except OSError:  # it has ended
                continue
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(file.stat().st_size for file in files)


def measure(folder: Path, count: int) -> None:
    """Print what the commands cost, one line each."""
    cache = folder.parent / f"{folder.name}-cache"
    s4mi = [sys.executable, "-m", "s4mi"]
    out = str(folder.parent / f"{folder.name}-run")
    first_step = [sys.executable, "-c", FIRST_STEP, str(folder), out, str(cache)]
    split = [*s4mi, "data", "split", str(folder), "--cache", str(cache), "--allow-leakage", "-o", f"{out}.json"]
    for what, command in (
        ("check, empty cache", [*s4mi, "data", "check", str(folder), "--cache", str(cache)]),
        ("split after the check", split),
        ("train to its first step, images to be decoded", first_step),
        ("train to its first step", first_step),
        ("check again", [*s4mi, "data", "check", str(folder), "--cache", str(cache)]),
    ):
        subprocess.run(["rm", "-rf", out], check=True)
        one = cost(command)
        print(
            f"{count:>9,} {what:46} {one.processor:7.1f} s {one.wall:7.1f} s {one.memory:5.2f} GB  load {one.load:.1f}"
        )
    images = _bytes(folder / "images")
    sizes = ", ".join(f"{name} {_bytes(cache / name) / 1e6:.1f} MB" for name in KEPT)
    print(f"{count:>9,} images {images / 1e6:.0f} MB; {sizes}", flush=True)


def main() -> None:
    """Draw and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", default="30000,100000,300000")
    parser.add_argument("--task", choices=("classification", "segmentation"), default="classification")
    given = parser.parse_args()
    for count in map(int, given.rows.split(",")):
        masks = given.task == "segmentation"
        folder = given.folder.resolve() / f"{'mask' if masks else 'label'}-{count}"
        draw(folder, count, masks=masks)
        measure(folder, count)


if __name__ == "__main__":
    main()
