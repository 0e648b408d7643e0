"""Time the data path against typical user code: both in one run, alternately.

    python benchmarks/data_path.py [--images N] [--size S] [--workers W] [--rounds R] [--quick]

Images are synthetic. A photograph is stored as a JPEG of 1024×768, an image with a mask as PNGs of 480×480. The peers
decode in every epoch, as usual; s4mi decodes once, and the time for that is printed. No network is trained: batches are
made and counted.

Both sides draw their own augmentation, so no two batches are the same. Before timing, images and masks without
augmentation must agree up to their resampling methods, batches must have the same shape, range and labels, and the two
appliers must give the same pixels for the same views.
"""

import argparse
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
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

from drawn import PAGE, SQUARE, outlined, photographs
from measured import Pair, Work, machine, report, turn_by_turn
from s4mi.contract import MultiCrop, ViewSpec
from s4mi.data.loading.augment import TOLERANCE, apply_on_cpu, apply_on_device, draw_views
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cache import open_cache
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.loader import TrainBatches
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import draw_lesions

BATCH = 16
SAME_IMAGE = 4.0
"""Largest mean difference in grey levels between two methods of downsampling."""
SAME_MASK = 0.99
"""Least share of equal pixels in masks from two methods of downsampling, or from two appliers."""
PACKAGES = ("torch", "torchvision", "opencv-python-headless", "Pillow", "scipy", "numpy")
TURN_AND_FLIP = ViewSpec()
TURN_FLIP_AND_COLOUR = ViewSpec(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Setup:
    """Size of the benchmark; `workers` is the number of the loader's processes and of s4mi's threads."""

    images: int
    size: int
    workers: int
    rounds: int


class Photographs(Dataset[tuple[Tensor, int]]):
    """Classification as commonly written: PIL and torchvision, image by image."""

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.paths = [row.image for row in manifest.rows]
        self.labels = [manifest.spec.classes.index(label) for row in manifest.rows for label in row.labels or ()]
        self.resize = transforms.Resize((size, size))
        self.vary = transforms.Compose(
            [
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
        return self.vary(self.small(number)), self.labels[number]

    def small(self, number: int) -> Image.Image:
        """Return the image without augmentation."""
        with Image.open(self.paths[number]) as image:
            resized: Image.Image = self.resize(image.convert("RGB"))
        return resized

    def unvaried(self, number: int) -> tuple[Pixels, None]:
        return np.asarray(self.small(number)), None


class Outlines(Dataset[tuple[Tensor, Tensor]]):
    """Segmentation as commonly written: PIL, and scipy rotates image and mask by the same angle."""

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.rows = manifest.rows
        self.size = (size, size)

    def __len__(self) -> int:
        return len(self.rows)

    def unvaried(self, number: int) -> tuple[Pixels, Pixels]:
        row = self.rows[number]
        assert row.mask is not None
        with Image.open(row.image) as file:
            image = np.asarray(file.convert("RGB").resize(self.size, Image.Resampling.BILINEAR))
        with Image.open(row.mask) as file:
            return image, np.asarray(file.resize(self.size, Image.Resampling.NEAREST))

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        image, mask = self.unvaried(number)
        for axis in (0, 1):
            if torch.rand(()) < 0.5:
                image, mask = np.flip(image, axis), np.flip(mask, axis)
        angle = float(torch.empty(()).uniform_(-180, 180))
        image = scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode="reflect")
        mask = scipy.ndimage.rotate(mask, angle, reshape=False, order=0, mode="reflect")
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy()).float() / 255
        return pixels, torch.from_numpy(mask // 255).long()


def main() -> None:
    """Generate the images, run the measurements, print the table."""
    setup = _arguments()
    torch.set_num_threads(setup.workers)
    torch.manual_seed(0)
    setting = (
        f"{machine(PACKAGES)} {setup.images} images, batches of {BATCH}; DataLoader with {setup.workers} processes, "
        f"s4mi with {setup.workers} threads."
    )
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages, outlines = photographs(folder / "pages", setup.images), outlined(folder / "outlines", setup.images)
        pairs = [
            _training(
                f"classification, JPEG {PAGE[1]}×{PAGE[0]} → {setup.size}",
                "PIL, torchvision, DataLoader",
                pages,
                Photographs(pages, setup.size),
                setup,
                views=TURN_FLIP_AND_COLOUR,
                cache=folder / "cache",
                notes=notes,
            ),
            _training(
                f"segmentation, PNG {SQUARE}×{SQUARE} → {setup.size}",
                "PIL, scipy.ndimage, DataLoader",
                outlines,
                Outlines(outlines, setup.size),
                setup,
                views=TURN_AND_FLIP,
                cache=folder / "cache",
                notes=notes,
            ),
            _appliers(setup, notes),
        ]
    report("data-path", setting, pairs, text="\n".join(f"- {line}" for line in notes))


def _arguments() -> Setup:
    parser = argparse.ArgumentParser(description="Time the data path against typical user code.")
    parser.add_argument("--images", type=int, help="number of images of each kind (default: 96; 48 with --quick)")
    parser.add_argument("--size", type=int, default=224, help="side of the network input in pixels")
    parser.add_argument("--workers", type=int, default=2, help="processes of the loader, threads of s4mi")
    parser.add_argument("--rounds", type=int, help="measurements of each side (default: 5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="few images, few rounds")
    given = parser.parse_args()
    images, rounds = (48, 2) if given.quick else (96, 5)
    return Setup(given.images or images, given.size, given.workers, given.rounds or rounds)


def _training(
    what: str,
    against: str,
    manifest: Manifest,
    dataset: Photographs | Outlines,
    setup: Setup,
    *,
    views: ViewSpec,
    cache: Path,
    notes: list[str],
) -> Pair:
    """Compare batches of s4mi with those of a `DataLoader` over `dataset`, both after one epoch of warm-up."""
    began = time.perf_counter()
    preprocessing = Preprocessing(image_size=setup.size)
    decoded = open_cache(manifest, preprocessing, folder=cache, with_masks=manifest.rows[0].mask is not None)
    notes.append(f"{what}: decoded once, {setup.images / (time.perf_counter() - began):,.0f} images/s")
    classes = [manifest.spec.classes.index(label) for row in manifest.rows for label in row.labels or ()]
    source = CachedTargets(cache=decoded, labels=torch.tensor(classes), device=torch.device("cpu"))
    stream = TrainBatches(source, np.arange(setup.images), batch_size=BATCH, crops=MultiCrop((views,)), seed=0)
    numbers = itertools.count(1)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        dataset,  # type: ignore[arg-type]  # two element types
        BATCH,
        shuffle=True,
        num_workers=setup.workers,
        persistent_workers=True,
    )
    notes.append(f"{what}: {_check(decoded, dataset)}")
    of_ours = ((batch.images, batch.labels if batch.masks is None else batch.masks) for batch in stream.epoch(1))
    if (one := _form(of_ours)) != (other := _form(loader)):
        raise SystemExit(f"{what}: batches of s4mi are {one}, the peer's {other}, so nothing is timed")

    def ours() -> int:
        # An epoch of so few images is short, so several are timed together.
        return sum(len(batch.images) for epoch in itertools.islice(numbers, 4) for batch in stream.epoch(epoch))

    def theirs() -> int:
        return sum(len(images) for images, _ in loader)

    return _pair(what, against, ours, theirs, setup.rounds)


def _check(decoded: Cache, dataset: Photographs | Outlines) -> str:
    """Describe in one line how much images and masks of both sides differ without augmentation.

    Raises:
        SystemExit: they do not agree.
    """
    apart, alike = 0.0, 1.0
    for number, image in enumerate(decoded.images):
        other, mask = dataset.unvaried(number)
        apart = max(apart, float(np.abs(image.astype(int) - other).mean()))
        if mask is not None and decoded.masks is not None:
            alike = min(alike, float((decoded.masks[number] == mask // 255).mean()))
    line = f"images differ by at most {apart:.1f} grey levels on average, at least {alike:.1%} of mask pixels agree"
    if apart > SAME_IMAGE or alike < SAME_MASK:
        raise SystemExit(f"{line}: the inputs do not agree, so nothing is timed")
    return line


def _form(batches: Iterable[tuple[Tensor, Tensor | None]]) -> tuple[object, ...]:
    """Return what both sides' batches must share: number of images, images per class, shapes and types."""
    images, classes, forms = 0, Counter[int](), set()
    for pixels, target in batches:
        assert target is not None
        assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
        images += len(pixels)
        classes.update(label for one in target for label in one.unique().tolist())
        forms.add((tuple(pixels.shape[1:]), pixels.dtype, tuple(target.shape[1:]), target.dtype))
    return images, classes, forms


def _appliers(setup: Setup, notes: list[str]) -> Pair:
    """Compare the two appliers of views on the CPU, to choose one."""
    chosen = list(draw_lesions(BATCH, size=SQUARE, seed=0))
    side = (setup.size, setup.size)
    images = np.stack([cv2.resize(drawing.image, side, interpolation=cv2.INTER_AREA) for drawing in chosen])
    masks = np.stack([cv2.resize(drawing.mask, side, interpolation=cv2.INTER_NEAREST) for drawing in chosen])
    tensors = torch.from_numpy(images), torch.from_numpy(masks)
    generator = torch.Generator().manual_seed(0)
    views = draw_views(TURN_FLIP_AND_COLOUR, BATCH, generator)
    (one, classes), (other, others) = apply_on_cpu(images, masks, views), apply_on_device(*tensors, views)
    assert classes is not None
    assert others is not None
    apart, alike = 255 * float((one - other).abs().mean()), float((classes == others).float().mean())
    notes.append(
        f"views: the two appliers differ by {apart:.2f} grey levels on average, {alike:.1%} of mask pixels agree"
    )
    if apart > TOLERANCE or alike < SAME_MASK:
        raise SystemExit(f"{notes[-1]}: the views do not agree, so nothing is timed")

    def ours() -> int:
        for _ in range(8):
            apply_on_cpu(images, masks, draw_views(TURN_FLIP_AND_COLOUR, BATCH, generator))
        return 8 * BATCH

    def theirs() -> int:
        for _ in range(8):
            apply_on_device(*tensors, draw_views(TURN_FLIP_AND_COLOUR, BATCH, generator))
        return 8 * BATCH

    what = f"views of images and masks at {setup.size} on the CPU, cv2 in threads"
    return _pair(what, "grid_sample", ours, theirs, setup.rounds)


def _pair(what: str, against: str, ours: Work, theirs: Work, rounds: int) -> Pair:
    rates = turn_by_turn({"ours": ours, "theirs": theirs}, rounds)
    return Pair(what, against, "images/s", rates["ours"], rates["theirs"])


if __name__ == "__main__":
    main()
