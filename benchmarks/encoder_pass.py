"""Time the features of image files by a frozen encoder: `s4mi`'s store against timm and a `DataLoader`.

    python benchmarks/encoder_pass.py [--images N] [--rounds R] [--weights NAME=FILE …] [--counts A,B] [--quick]

Our side decodes the files into a cache, computes their features and stores them, all in an empty folder; the peer is
timm's network in inference mode over a `DataLoader` with processes that keeps the features in memory. Both alternate in
one process, on the clock and in processor time, which other load on the machine disturbs less. The rows "the network
alone" use a batch in memory and one thread. The cosine similarity to the peer's features is the least of all images,
and "same nearest" is the share of images whose nearest other image is the same.

The last table is the growth of time and peak memory with the number of drawn images, each number in its own process.
Without weights the networks are random, which is as fast but says less about the similarity.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from measured import Pair, machine, report, turn_by_turn
from s4mi.contract.feature_names import POOLED
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.engine.cpu.frozen_network import Arithmetic, frozen_network, has_bfloat16, input_dtype
from s4mi.engine.runtime import PlainRuntime
from s4mi.nets.backbone import Backbone
from s4mi.nets.frozen_encoder import FrozenEncoder
from s4mi.training.features import BATCH, Precision, StoredFeatures

PAGE = 512
SIZE = 224
ROWS = {"float32": 0, "mixed": 11, "bfloat16": 12}
"""Rows of the summary; where the processor does not multiply in bfloat16, float32 has the first."""
PACKAGES = ("torch", "timm", "opencv-python-headless", "safetensors")
CPU = PlainRuntime(torch.device("cpu"))
TINY = "tiny_resnet"
TINY_SIZE = 32


@dataclass(frozen=True)
class InBfloat16:
    """The CPU, as a run with `hardware.precision=bf16-mixed` has it."""

    device: torch.device

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which a forward pass runs at this precision."""
        return torch.autocast("cpu", torch.bfloat16)


class Files(Dataset[Tensor]):
    """Image files, loaded as is common for a network."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor:
        with Image.open(self.paths[number]) as file:
            image = np.asarray(file.convert("RGB"))
        resized = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(resized).permute(2, 0, 1).float().div_(255)


@dataclass(frozen=True)
class Sides:
    """Both sides on one data set and one network."""

    name: str
    weights: str
    size: int
    dataset: Path
    workers: int

    def ours(self, precision: Precision) -> np.ndarray:
        """Decode, compute, store, and read the features back."""
        encoder = FrozenEncoder(self.name, weights=self.weights, image_size=self.size)
        with tempfile.TemporaryDirectory() as folder:
            cache = open_cache(
                load_manifest(self.dataset), Preprocessing(self.size), folder=Path(folder), with_masks=False
            )
            entries = np.arange(len(cache.images))
            runtime = InBfloat16(CPU.device) if precision == "bf16-mixed" else CPU
            store = StoredFeatures(Path(folder) / "features", runtime, precision=precision)
            store.fill(encoder, cache, entries)
            return store.of_entries(encoder, cache, entries)[POOLED].numpy()

    def theirs(self, network: Backbone, part: slice = slice(None)) -> np.ndarray:
        """Compute the features of all images, or of a part, in a usual loop."""
        paths = [row.image for row in load_manifest(self.dataset).rows][part]
        loader = DataLoader(Files(paths, self.size), batch_size=BATCH, num_workers=self.workers)
        features = []
        with torch.inference_mode():
            for images in loader:
                tokens = network.net.forward_features(network.normalise(images))  # type: ignore[operator]
                features.append(_pooled(network.net, tokens))
        return torch.cat(features).numpy()


def _pooled(net: nn.Module, tokens: Tensor) -> Tensor:
    pooled: Tensor = net.forward_head(tokens, pre_logits=True)  # type: ignore[operator]
    if tokens.ndim == 3:
        prefix: int = net.num_prefix_tokens  # type: ignore[assignment]
        pooled = torch.cat([pooled, tokens[:, prefix:].mean(dim=1)], dim=1)
    return pooled


def main() -> None:
    """Draw the images, run the measurements, print the tables."""
    arguments = _arguments()
    torch.manual_seed(0)
    weights = dict(one.split("=", 1) for one in arguments.weights)
    names = [TINY] if arguments.quick else [*(weights or ("vit_small_patch16_224", "resnet50"))]
    size = 64 if arguments.quick else SIZE
    pairs: list[Pair] = []
    lines = ["| network | precision | least cosine | same nearest |", "|---|---|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments.data or _drawn(Path(folder) / "drawn", arguments.images)
        for name in names:
            sides = Sides(name, weights.get(name, "none"), size, dataset, arguments.workers)
            for pair, line in _compare(sides, arguments.rounds):
                pairs.append(pair)
                lines += [line] * (line not in lines)
                print(pair.row(), line, flush=True)
    setting = (
        f"{machine(PACKAGES)} {arguments.images} JPEGs of {PAGE}×{PAGE} at {size} pixels, batches of {BATCH}, the "
        f"loader with {arguments.workers} processes; bfloat16 {'' if has_bfloat16() else 'not '}in the processor."
    )
    report("encoder-pass", setting, pairs, text="\n".join(lines) + "\n\n" + _growth(arguments.counts))


def _compare(sides: Sides, rounds: int) -> Iterator[tuple[Pair, str]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # as `FrozenEncoder` does
        network = Backbone(sides.name, image_size=sides.size, weights=sides.weights).eval().requires_grad_(False)
    precisions: dict[str, Precision] = {"float32": "32"}
    if has_bfloat16():
        precisions |= {"mixed": "auto", "bfloat16": "bf16-mixed"}
    made: dict[str, np.ndarray] = {}
    processor: dict[str, list[float]] = {side: [] for side in ("peer", *precisions)}

    def work(side: str, compute: Callable[[], np.ndarray]) -> int:
        began = _processor_seconds()
        made[side] = compute()
        processor[side].append(len(made[side]) / (_processor_seconds() - began))
        return len(made[side])

    works = {"peer": partial(work, "peer", partial(sides.theirs, network))}
    works |= {word: partial(work, word, partial(sides.ours, precision)) for word, precision in precisions.items()}
    speed = turn_by_turn(works, rounds)
    alone = _alone(network.net, sides.size, rounds)
    for word in precisions:
        number = ROWS[word] if has_bfloat16() else ROWS["mixed"]
        cosine = F.cosine_similarity(torch.from_numpy(made[word]), torch.from_numpy(made["peer"]))
        same = float((_nearest(made[word]) == _nearest(made["peer"])).mean())
        line = f"| {sides.name} | {word} | {float(cosine.min()):.6f} | {same:.1%} |"
        title = f"features of files, {sides.name}, {word}"
        yield Pair(title, "timm, DataLoader", "images/s", speed[word], speed["peer"], number), line
        title = f"the same in images per second of processor time, {sides.name}, {word}"
        ours, theirs = (tuple(processor[side][1:]) for side in (word, "peer"))  # without the warm-up
        yield Pair(title, "timm, DataLoader", "images/s", ours, theirs), line
        title = f"the network alone, processor time, {sides.name}, {word}"
        yield Pair(title, "timm, eager, float32", "images/s", alone[word], alone["peer"]), line


def _alone(network: nn.Module, size: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Images per second of processor time with one thread, by precision."""
    threads, images = torch.get_num_threads(), torch.rand(8, 3, size, size)
    torch.set_num_threads(1)
    kinds: tuple[Arithmetic, ...] = ("float32", "mixed", "bfloat16") if has_bfloat16() else ("float32",)
    networks = {"peer": network}
    networks |= {kind: frozen_network(network, kind, image_size=size, batch=8) for kind in kinds}
    taken: dict[str, list[float]] = {side: [] for side in networks}
    with torch.inference_mode():
        for number in range(rounds + 1):
            for side, one in networks.items():
                began = time.process_time()
                one(images.to(input_dtype(one)))
                if number:
                    taken[side].append(len(images) / (time.process_time() - began))
    torch.set_num_threads(threads)
    return {side: tuple(own) for side, own in taken.items()}


def _processor_seconds() -> float:
    """Seconds of processor time so far, with those of processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _nearest(features: np.ndarray) -> np.ndarray:
    unit = F.normalize(torch.from_numpy(features - features.mean(axis=0)), dim=1)
    return (unit @ unit.T).fill_diagonal_(-1).argmax(dim=1).numpy()


def _growth(counts: list[int]) -> str:
    """A table: time on the clock, and processor time, which other load on the machine disturbs less."""
    lines = [
        f"| images, {TINY} at {TINY_SIZE} pixels | seconds | processor time | grown | peak MiB |",
        "|---:|---:|---:|---:|---:|",
    ]
    first = 0.0
    for count in counts:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            seconds, processor, peak = pool.submit(_fill_drawn, count).result()
        first = first or processor
        lines.append(f"| {count:,} | {seconds:.1f} | {processor:.1f} | {processor / first:.1f}× | {peak:,.0f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def _fill_drawn(count: int) -> tuple[float, float, float]:
    """Seconds and processor time for storing the features of drawn images, and the peak MiB of the process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = np.lib.format.open_memmap(
            folder / "images.npy", mode="w+", dtype=np.uint8, shape=(count, TINY_SIZE, TINY_SIZE, 3)
        )
        generator = np.random.default_rng(0)
        for start in range(0, count, 1000):
            block = images[start : start + 1000]
            block[:] = generator.integers(0, 256, block.shape, dtype=np.uint8)
        images.flush()
        del images, block
        nothing: Any = np.zeros(0)
        cache = Cache(
            "drawn", np.load(folder / "images.npy", mmap_mode="r"), None, np.arange(count), nothing, nothing, nothing,
            nothing, nothing, False,
        )  # fmt: skip
        encoder = FrozenEncoder(TINY, weights="none", image_size=TINY_SIZE)
        StoredFeatures(folder / "warm-up", CPU).fill(encoder, cache, np.arange(BATCH))
        began, processor = time.perf_counter(), time.process_time()
        StoredFeatures(folder / "features", CPU).fill(encoder, cache, np.arange(count))
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return seconds, processor, next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _drawn(folder: Path, count: int) -> Path:
    """Draw a data set of JPEG files without labels."""
    (folder / "images").mkdir(parents=True)
    lines = ["image"]
    for number, drawing in enumerate(draw_lesions(count, size=PAGE, seed=0)):
        Image.fromarray(drawing.image).save(folder / "images" / f"{number:04d}.jpg", quality=90)
        lines.append(f"images/{number:04d}.jpg")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "dataset.yaml").write_text("name: drawn\ntasks: []\n", encoding="utf-8")
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256, help="number of drawn JPEG files")
    parser.add_argument("--data", type=Path, help="a data set folder instead of drawn files")
    parser.add_argument("--rounds", type=int, default=3, help="rounds after the warm-up")
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    parser.add_argument("--weights", nargs="*", default=[], help="NAME=FILE: timm name and weight file")
    parser.add_argument("--counts", default="1000,10000,100000", help="numbers of drawn images for the growth")
    parser.add_argument("--quick", action="store_true", help="a tiny network, to try the benchmark")
    arguments = parser.parse_args()
    arguments.counts = [int(one) for one in arguments.counts.split(",") if one]
    return arguments


if __name__ == "__main__":
    main()
