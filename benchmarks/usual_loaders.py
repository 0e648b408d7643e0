"""Common image loading: the peers' transforms and `DataLoader`s, which decode in every epoch.

    photographs   PIL and torchvision: resize, crop, rotate and shift, flip, jitter
    crops         PIL and lightly's `DINOTransform`
    arrays        `.npy` files and scipy.ndimage, as common in semi-supervised segmentation since SSL4MIS; or PIL and
                  scipy with the augmentation of s4mi
    monai         its dictionary transforms, from files or from its cache

Each loader yields lists of tensors: all views of the images, or the images and their targets. Worker processes persist
over epochs.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import monai.data
import monai.transforms as mt
import numpy as np
import scipy.ndimage
import torch
from lightly.transforms.dino_transform import DINOTransform
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from s4mi.contract import ViewSpec
from s4mi.data.manifest import Manifest
from s4mi.nets.backbone import IMAGENET_MEAN, IMAGENET_STD

Pixels = NDArray[np.uint8]


class Loader(Protocol):
    """The batches of one epoch, each time it is iterated."""

    def __iter__(self) -> Iterator[list[Tensor]]: ...


def loader(dataset: Dataset[Any], *, batch: int, workers: int) -> Loader:
    """Torch's `DataLoader`, with common options."""
    return DataLoader(dataset, batch, shuffle=True, num_workers=workers, persistent_workers=True)


class Photographs(Dataset[tuple[Tensor, int]]):
    """Images augmented according to `views`, (3, S, S) normalised, and class indices."""

    def __init__(self, manifest: Manifest, size: int, views: ViewSpec) -> None:
        self.paths = [row.image for row in manifest.rows]
        self.labels = [manifest.spec.classes.index(label) for row in manifest.rows for label in row.labels or ()]
        bilinear = transforms.InterpolationMode.BILINEAR
        shift = (views.translation, views.translation)
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.RandomResizedCrop(size, scale=views.scale, ratio=views.aspect),
                transforms.RandomAffine(views.rotation, translate=shift, interpolation=bilinear),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.ColorJitter(views.brightness, views.contrast, views.saturation, views.hue),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[number]) as image:
            return self.transform(image.convert("RGB")), self.labels[number]


class Crops(Dataset[list[Tensor]]):
    """Two large and six small crops of each image by lightly, (3, S, S) and (3, s, s), normalised."""

    def __init__(self, manifest: Manifest, size: int, local_size: int) -> None:
        self.paths = [row.image for row in manifest.rows]
        self.transform = DINOTransform(global_crop_size=size, local_crop_size=local_size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> list[Tensor]:
        with Image.open(self.paths[number]) as image:
            return [crop for crop in self.transform(image.convert("RGB")) if isinstance(crop, Tensor)]


class AsSsl4mis(Dataset[tuple[Tensor, Tensor]]):
    """Half of the images rotated by multiples of 90° and flipped, half by up to 20°, then zoomed: (3, S, S) and (S, S).

    Everything uses nearest-neighbour interpolation, the fastest of scipy.
    """

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.manifest, self.size = manifest, size

    def __len__(self) -> int:
        return len(self.manifest.rows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        image, mask = _arrays(self.manifest, number)
        if random.random() > 0.5:
            quarters, axis = random.randrange(4), random.randrange(2)
            image, mask = (np.flip(np.rot90(pixels, quarters), axis) for pixels in (image, mask))
        if random.random() > 0.5:
            angle = random.randrange(-20, 20)
            image, mask = (scipy.ndimage.rotate(pixels, angle, order=0, reshape=False) for pixels in (image, mask))
        zoom = [self.size / side for side in mask.shape]
        return _tensors(scipy.ndimage.zoom(image, (*zoom, 1), order=0), scipy.ndimage.zoom(mask, zoom, order=0))


class SameViews(Dataset[tuple[Tensor, Tensor]]):
    """PIL resizes, scipy rotates by any angle, bilinearly, like the views of s4mi: (3, S, S) and (S, S)."""

    def __init__(self, manifest: Manifest, size: int) -> None:
        self.manifest, self.size = manifest, (size, size)

    def __len__(self) -> int:
        return len(self.manifest.rows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        page, outline = (Image.fromarray(pixels) for pixels in _arrays(self.manifest, number))
        image = np.asarray(page.resize(self.size, Image.Resampling.BILINEAR))
        mask = np.asarray(outline.resize(self.size, Image.Resampling.NEAREST))
        for axis in (0, 1):
            if random.random() < 0.5:
                image, mask = np.flip(image, axis), np.flip(mask, axis)
        angle = random.uniform(-180, 180)
        image = scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode="reflect")
        mask = scipy.ndimage.rotate(mask, angle, reshape=False, order=0, mode="reflect")
        return _tensors(image, mask)


class Monai:
    """MONAI's loader with the views of s4mi; `cached`: deterministic transforms run once and are kept in memory."""

    def __init__(self, manifest: Manifest, size: int, *, batch: int, workers: int, cached: bool) -> None:
        files = [{"image": str(row.image), "mask": str(row.mask)} for row in manifest.rows]
        transform = _monai_views(size)
        if cached:
            dataset = monai.data.CacheDataset(files, transform, num_workers=workers, progress=False)
        else:
            dataset = monai.data.Dataset(files, transform)
        self.batches: Any = monai.data.DataLoader(
            dataset, batch_size=batch, shuffle=True, num_workers=workers, persistent_workers=True
        )

    def __iter__(self) -> Iterator[list[Tensor]]:
        for batch in self.batches:
            yield [batch["image"], batch["mask"][:, 0].long()]


def _monai_views(size: int) -> Any:
    """Deterministic transforms first, so that they are cached, and resizing first, so that rotation is cheap."""
    both = ["image", "mask"]
    return mt.Compose(
        [
            mt.LoadImaged(both, reader="PILReader"),
            mt.EnsureChannelFirstd(both),
            mt.ScaleIntensityRanged(both, a_min=0, a_max=255, b_min=0, b_max=1),
            mt.Resized(both, spatial_size=(size, size), mode=("area", "nearest")),
            mt.RandFlipd(both, prob=0.5, spatial_axis=0),
            mt.RandFlipd(both, prob=0.5, spatial_axis=1),
            mt.RandRotated(both, range_x=math.pi, prob=1, mode=("bilinear", "nearest"), padding_mode="reflection"),
            mt.EnsureTyped(both, track_meta=False),
        ]
    )


def _arrays(manifest: Manifest, number: int) -> tuple[Pixels, Pixels]:
    """(H, W, 3) image and (H, W) mask, as stored."""
    row = manifest.rows[number]
    assert row.mask is not None
    return np.load(row.image.with_suffix(".npy")), np.load(row.mask.with_suffix(".npy"))


def _tensors(image: Pixels, mask: Pixels) -> tuple[Tensor, Tensor]:
    """(S, S, 3) image and (S, S) mask of 0 and 255 → (3, S, S) in [0, 1], and (S, S) class indices."""
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
    return pixels, torch.from_numpy(mask // 255).long()


def epochs_of(batch: Sequence[Tensor], steps: int) -> Loader:
    """A loader that repeats a batch in memory."""
    return [list(batch)] * steps
