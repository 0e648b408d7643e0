"""Time the data path against the loop that is usually written: both in one run, turn by turn.

Whatever else the machine is doing falls on both alike. Figures are medians over the rounds; the ratio is the median of
the ratios of the rounds.

    python benchmarks/data_path.py [--images N] [--size S] [--workers W] [--rounds R]

Images are drawn. A photograph is stored as a JPEG of 1024×768, an image with a mask as PNGs of 480×480. The peers
decode in every epoch, as they do; s4mi decodes once, and what that costs is printed. No network is trained: a batch is
made and counted.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from s4mi.contract import MultiCrop, ViewSpec
from s4mi.data.batches import TrainBatches
from s4mi.data.cache import open_cache
from s4mi.data.manifest import Manifest, Row, load_manifest, write_dataset
from s4mi.data.preprocessing import Preprocessing
from s4mi.data.sources.synthetic import Drawing, draw_lesions
from s4mi.data.spec import DatasetSpec
from s4mi.data.supply import Source
from s4mi.data.views import apply_on_cpu, apply_on_device, draw_views

PAGE = (768, 1024)
SQUARE = 480
DRAWINGS = 24
BATCH = 16
TURN_AND_FLIP = ViewSpec()
TURN_FLIP_AND_COLOUR = ViewSpec(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05)

Pixels = NDArray[np.uint8]
Work = Callable[[], int]


@dataclass(frozen=True)
class Setup:
    """How much is measured: `workers` is the loader's processes and s4mi's threads alike."""

    images: int
    size: int
    workers: int
    rounds: int


@dataclass(frozen=True)
class Comparison:
    """Images per second of both sides in each round."""

    title: str
    ours: list[float]
    theirs: list[float]

    def row(self) -> str:
        """One line of the table."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        ratios = [one / other for one, other in zip(self.ours, self.theirs, strict=True)]
        return (
            f"| {self.title} | {ours:,.0f} | {theirs:,.0f} | {statistics.median(ratios):.1f}× "
            f"| {min(ratios):.1f}–{max(ratios):.1f}× |"
        )


class Photographs(Dataset[tuple[Tensor, int]]):
    """Classification as it is usually written: PIL and torchvision, image by image."""

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.paths = [row.image for row in manifest.rows]
        self.labels = [manifest.spec.classes.index(label) for row in manifest.rows for label in row.labels or ()]
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.RandomRotation(180),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.ColorJitter(0.2, 0.2, 0.2, 0.05),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[number]) as image:
            return self.transform(image.convert("RGB")), self.labels[number]


class Outlines(Dataset[tuple[Tensor, Tensor]]):
    """Segmentation as it is usually written: PIL, and scipy turns image and mask by the same angle."""

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.rows = manifest.rows
        self.size = (size, size)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        row = self.rows[number]
        assert row.mask is not None
        with Image.open(row.image) as file:
            image = np.asarray(file.convert("RGB").resize(self.size, Image.Resampling.BILINEAR))
        with Image.open(row.mask) as file:
            mask = np.asarray(file.resize(self.size, Image.Resampling.NEAREST))
        for axis in (0, 1):
            if torch.rand(()) < 0.5:
                image, mask = np.flip(image, axis), np.flip(mask, axis)
        angle = float(torch.empty(()).uniform_(-180, 180))
        image = scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode="reflect")
        mask = scipy.ndimage.rotate(mask, angle, reshape=False, order=0, mode="reflect")
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy()).float() / 255
        return pixels, torch.from_numpy(mask // 255).long()


def main() -> None:
    """Draw the images, take the measurements, print the table."""
    setup = _arguments()
    torch.set_num_threads(setup.workers)
    torch.manual_seed(0)
    _print_machine(setup)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawings = list(draw_lesions(min(DRAWINGS, setup.images), size=SQUARE, seed=0))
        photographs = _write(folder / "photographs", _photographs(drawings, setup.images), suffix=".jpg")
        outlines = _write(folder / "outlines", _outlines(drawings, setup.images), suffix=".png")
        comparisons = [
            _training(
                f"classification, JPEG {PAGE[1]}×{PAGE[0]} → {setup.size}; PIL + torchvision + DataLoader",
                photographs,
                Photographs(photographs, setup.size),
                setup,
                views=TURN_FLIP_AND_COLOUR,
                cache=folder / "cache",
            ),
            _training(
                f"segmentation, PNG {SQUARE}×{SQUARE} → {setup.size}; PIL + scipy.ndimage + DataLoader",
                outlines,
                Outlines(outlines, setup.size),
                setup,
                views=TURN_AND_FLIP,
                cache=folder / "cache",
            ),
            _appliers(drawings, setup),
        ]
    print("\n| what; against | s4mi, images/s | peer, images/s | ratio | least–most |")
    print("|---|---:|---:|---:|---:|")
    for comparison in comparisons:
        print(comparison.row())


def _arguments() -> Setup:
    parser = argparse.ArgumentParser(description="Time the data path against the loop that is usually written.")
    parser.add_argument("--images", type=int, default=96, help="images of each kind")
    parser.add_argument("--size", type=int, default=224, help="side of the network input, pixels")
    parser.add_argument("--workers", type=int, default=2, help="processes of the loader, threads of s4mi")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    return Setup(**vars(parser.parse_args()))


def _print_machine(setup: Setup) -> None:
    names = ("torch", "torchvision", "opencv-python-headless", "Pillow", "scipy", "numpy")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(
        f"{setup.images} images, batches of {BATCH}, {setup.rounds} rounds; "
        f"DataLoader with {setup.workers} processes, s4mi with {setup.workers} threads\n"
    )


def _training(
    title: str,
    manifest: Manifest,
    dataset: Dataset[tuple[Tensor, object]],
    setup: Setup,
    *,
    views: ViewSpec,
    cache: Path,
) -> Comparison:
    """Batches of s4mi against those of a `DataLoader` over `dataset`; both have been through one epoch before."""
    began = time.perf_counter()
    preprocessing = Preprocessing(image_size=setup.size)
    decoded = open_cache(manifest, preprocessing, folder=cache, with_masks=manifest.rows[0].mask is not None)
    print(f"decoded once, {title.split(';')[0]}: {setup.images / (time.perf_counter() - began):,.0f} images/s")
    source = Source(cache=decoded, labels=torch.zeros(setup.images, dtype=torch.int64), device=torch.device("cpu"))
    stream = TrainBatches(source, np.arange(setup.images), batch_size=BATCH, crops=MultiCrop((views,)), seed=0)
    numbers = itertools.count(1)
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=setup.workers, persistent_workers=True)

    def ours() -> int:
        # An epoch of so few images is over in a moment; several are timed together.
        return sum(len(batch.images) for epoch in itertools.islice(numbers, 4) for batch in stream.epoch(epoch))

    def theirs() -> int:
        return sum(len(images) for images, _ in loader)

    return _turn_by_turn(title, ours, theirs, setup.rounds)


def _appliers(drawings: Sequence[Drawing], setup: Setup) -> Comparison:
    """The two appliers of one view on the CPU: a matter of which to take there."""
    chosen = [drawings[number % len(drawings)] for number in range(BATCH)]
    side = (setup.size, setup.size)
    images = np.stack([cv2.resize(drawing.image, side, interpolation=cv2.INTER_AREA) for drawing in chosen])
    masks = np.stack([cv2.resize(drawing.mask, side, interpolation=cv2.INTER_NEAREST) for drawing in chosen])
    tensors = torch.from_numpy(images), torch.from_numpy(masks)
    generator = torch.Generator().manual_seed(0)

    def ours() -> int:
        for _ in range(8):
            apply_on_cpu(images, masks, draw_views(TURN_FLIP_AND_COLOUR, BATCH, generator))
        return 8 * BATCH

    def theirs() -> int:
        for _ in range(8):
            apply_on_device(*tensors, draw_views(TURN_FLIP_AND_COLOUR, BATCH, generator))
        return 8 * BATCH

    title = f"views of images and masks at {setup.size} on the CPU, cv2 in threads; grid_sample"
    return _turn_by_turn(title, ours, theirs, setup.rounds)


def _turn_by_turn(title: str, ours: Work, theirs: Work, rounds: int) -> Comparison:
    ours(), theirs()  # the first time starts threads and processes
    rates: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for work, taken in zip((ours, theirs), rates, strict=True):
            began = time.perf_counter()
            images = work()
            taken.append(images / (time.perf_counter() - began))
    return Comparison(title, *rates)


def _photographs(drawings: Sequence[Drawing], count: int) -> Iterator[tuple[Pixels, None, str]]:
    for number, drawing in zip(range(count), itertools.cycle(drawings), strict=False):
        page = cv2.resize(drawing.image, (PAGE[1], PAGE[1]), interpolation=cv2.INTER_CUBIC)
        top = (PAGE[1] - PAGE[0]) // 2
        page = np.asarray(page[top : top + PAGE[0]], dtype=np.uint8)
        yield np.rot90(page, 2 * (number // len(drawings))), None, (drawing.labels or ("none",))[0]


def _outlines(drawings: Sequence[Drawing], count: int) -> Iterator[tuple[Pixels, Pixels, str]]:
    for number, drawing in zip(range(count), itertools.cycle(drawings), strict=False):
        quarters = number // len(drawings)
        yield np.rot90(drawing.image, quarters), np.rot90(drawing.mask, quarters), (drawing.labels or ("none",))[0]


def _write(folder: Path, pictures: Iterator[tuple[Pixels, Pixels | None, str]], *, suffix: str) -> Manifest:
    folder.mkdir()
    rows: list[Row] = []
    for number, (image, mask, label) in enumerate(pictures):
        path, mask_path = folder / f"{number:04d}{suffix}", folder / f"{number:04d}_mask.png"
        Image.fromarray(image).save(path, quality=90)
        if mask is not None:
            Image.fromarray(mask).save(mask_path)
        rows.append(
            Row(
                id=path.stem,
                image=path,
                mask=None if mask is None else mask_path,
                labels=(label,),
                group=None,
                split=None,
                line=number + 2,
            )
        )
    classes = tuple(sorted({label for row in rows for label in row.labels or ()}))
    spec = DatasetSpec(
        name=folder.name,
        tasks=(),
        classes=classes,
        mask_values={} if rows[0].mask is None else {0: "background", 255: "lesion"},
        synthetic=True,
    )
    write_dataset(folder, spec, rows)
    return load_manifest(folder)


if __name__ == "__main__":
    main()
