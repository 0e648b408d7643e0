"""PiCIE as in the paper's code: four clustering passes over the images before each epoch, then a training pass.

    1, 2   k-means of the pixel features of view 1, of view 2: faiss on the first batches, then running means
    3, 4   the labels of view 1, of view 2, a file an image
    5      training, with the labels read back

In each pass images are decoded and its views are made again, in a `DataLoader`. Jitter, crop and flip of an image are
drawn once per epoch, so that all passes see the same views; the geometric transform of view 1 is applied to the
features of view 2.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import functional as TF

from s4mi.contract import Batch, ViewSpec
from s4mi.nets.pixel_features import PixelFeatures
from s4mi.settings.optim import OptimConfig

GEOMETRY = slice(0, 6)
"""Geometric parameters of an image: top, left, height and width of the crop, flipped left-right and up-down."""
JITTER = (slice(6, 10), slice(10, 14))
"""Colour parameters of view 1 and view 2: factors of brightness, contrast and saturation, shift of the hue."""
UNCHANGED = (1.0, 1.0, 1.0, 0.0)


class Supply(Protocol):
    """Source of views for the passes."""

    def renew(self) -> None:
        """Draw new views, for the next epoch."""

    def views(self, *numbers: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
        """Yield batches: (B,) image indices, and (B, 3, S, S) in [0, 1] for each of these views."""

    def geometry(self, images: Tensor) -> Tensor:
        """(B, 6) geometric parameters of view 1 of these images, in pixels of S."""


class Photographs(Dataset[tuple[int, Tensor]]):
    """Image files, some of their views, with the parameters `drawn`."""

    def __init__(self, paths: Sequence[Path], size: int, drawn: Tensor, views: tuple[int, ...]) -> None:
        self.paths, self.size, self.drawn, self.views = paths, size, drawn, views

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        with Image.open(self.paths[number]) as file:
            image = file.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        drawn = self.drawn[number]
        pictures = [_jittered(image, drawn[JITTER[view]].tolist()) for view in self.views]
        pixels = [TF.to_tensor(picture) for picture in pictures]
        moved = [_moved(x, drawn[GEOMETRY]) if view == 0 else x for view, x in zip(self.views, pixels, strict=True)]
        return number, torch.stack(moved)


class Files:
    """Views decoded and augmented again in each pass, by processes."""

    def __init__(self, paths: Sequence[Path], *, size: int, batch: int, views: ViewSpec, workers: int) -> None:
        self.size, self.spec = size, views
        self.drawn = torch.zeros(len(paths), JITTER[-1].stop)
        self.drawn.share_memory_()  # type: ignore[no-untyped-call]  # shared with the worker processes
        passes: tuple[tuple[int, ...], ...] = ((0,), (1,), (0, 1))
        self.loaders = {
            numbers: DataLoader(
                Photographs(paths, size, self.drawn, numbers),
                batch,
                shuffle=True,
                num_workers=workers,
                persistent_workers=True,
            )
            for numbers in passes
        }

    def renew(self) -> None:
        self.drawn.copy_(torch.tensor([_draw(self.spec, self.size) for _ in self.drawn]))

    def views(self, *numbers: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
        for images, views in self.loaders[numbers]:
            yield images, views.unbind(dim=1)

    def geometry(self, images: Tensor) -> Tensor:
        return self.drawn[images, GEOMETRY]


class Held:
    """Both views of each image, made beforehand and always the same, at most cropped and flipped."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        size, count = batches[0].images.shape[-1], sum(len(batch.rows) for batch in batches)
        self.batches = [(batch.rows, tuple(view.contiguous() for view in batch.images.chunk(2))) for batch in batches]
        self.done = torch.zeros(count, GEOMETRY.stop)
        for batch in batches:
            self.done[batch.rows] = _crops(batch.known_affine[: len(batch.rows)], size)

    def renew(self) -> None:
        pass

    def views(self, *numbers: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
        for images, views in self.batches:
            yield images, tuple(views[number] for number in numbers)

    def geometry(self, images: Tensor) -> Tensor:
        return self.done[images]


class FourPasses:
    """A network, and the passes over views that train it for an epoch."""

    def __init__(
        self,
        net: PixelFeatures,
        supply: Supply,
        *,
        clusters: int,
        first_batches: int,
        optim: OptimConfig,
        folder: Path,
    ) -> None:
        """Write labels into `folder`; faiss is fitted on the first `first_batches` batches."""
        self.net, self.supply, self.clusters, self.folder = net, supply, clusters, folder
        self.first_batches = first_batches
        trained = [weight for weight in net.parameters() if weight.requires_grad]
        self.optimizer = SGD(trained, lr=optim.lr, momentum=optim.momentum, weight_decay=optim.weight_decay)

    def epoch(self) -> float:
        """Run all passes; return the mean loss of the last."""
        self.supply.renew()
        centroids = [self.cluster(view) for view in (0, 1)]
        counts = [self.label(view, centroids[view]) for view in (0, 1)]
        losses = []
        for images, views in self.supply.views(0, 1):
            z = [self.features(view, number, images) for number, view in enumerate(views)]
            labels = [self.read(view, images) for view in (0, 1)]
            loss = self.loss(z, labels, centroids, counts)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def cluster(self, view: int) -> Tensor:
        """(K, D) centroids of a view."""
        kept: list[Tensor] = []
        centroids = counts = torch.zeros(())
        for images, (pixels,) in self.supply.views(view):
            points = as_points(self.features(pixels, view, images))
            if len(kept) < self.first_batches:
                kept.append(points)
                if len(kept) == self.first_batches:
                    centroids = faiss_centroids(torch.cat(kept), self.clusters)
                    counts = torch.bincount(nearest(torch.cat(kept), centroids), minlength=self.clusters)
                continue
            labels = nearest(points, centroids)
            for k in range(self.clusters):
                own = points[labels == k]
                counts[k] += len(own)
                centroids[k] += (own - centroids[k]).sum(dim=0) / counts[k].clamp_min(1)
            centroids = F.normalize(centroids, dim=1)
        return centroids if len(kept) == self.first_batches else faiss_centroids(torch.cat(kept), self.clusters)

    @torch.no_grad()
    def label(self, view: int, centroids: Tensor) -> Tensor:
        """Write the labels of a view; return (K,) pixel counts of the clusters."""
        counts = torch.zeros(self.clusters)
        for images, (pixels,) in self.supply.views(view):
            z = self.features(pixels, view, images)
            labels = nearest(as_points(z), centroids)
            counts += torch.bincount(labels, minlength=self.clusters)
            for image, own in zip(images.tolist(), labels.reshape(len(z), *z.shape[2:]), strict=True):
                np.save(self.file(view, image), own.byte().numpy())
        return counts

    def read(self, view: int, images: Tensor) -> Tensor:
        """(B, h, w) labels of a view."""
        labels = np.stack([np.load(self.file(view, image)) for image in images.tolist()])
        return torch.from_numpy(labels).long()

    def file(self, view: int, image: int) -> Path:
        """Return the path of the labels."""
        return self.folder / f"{image}_{view}.npy"

    def features(self, pixels: Tensor, view: int, images: Tensor) -> Tensor:
        """(B, D, h, w) unit-length features of a view, in the geometry of view 1."""
        z: Tensor = self.net(pixels)
        if view == 1:
            geometry = self.supply.geometry(images) * torch.tensor([z.shape[-1] / pixels.shape[-1]] * 4 + [1, 1])
            z = torch.stack([_moved(one, own) for one, own in zip(z, geometry, strict=True)])
        return F.normalize(z - z.mean(dim=(2, 3), keepdim=True), dim=1)

    def loss(
        self, z: Sequence[Tensor], labels: Sequence[Tensor], centroids: Sequence[Tensor], counts: Sequence[Tensor]
    ) -> Tensor:
        """Loss within and across views, a quarter each."""
        total = torch.zeros(())
        for one in (0, 1):
            for other in (0, 1):
                logits = F.conv2d(z[one], centroids[other][:, :, None, None])
                total = total + F.cross_entropy(logits, labels[other], _weight(counts[other])) / 4
        return total


def faiss_centroids(points: Tensor, clusters: int, *, all_points: bool = False) -> Tensor:
    """(K, D) unit-length centroids of (N, D) points; faiss samples 256 points per cluster unless `all_points`."""
    most = {"max_points_per_centroid": len(points)} if all_points else {}
    kmeans = faiss.Kmeans(points.shape[1], clusters, niter=20, spherical=True, **most)
    kmeans.train(np.ascontiguousarray(points.numpy()))
    return torch.from_numpy(np.array(kmeans.centroids))


def as_points(z: Tensor) -> Tensor:
    """(B, D, h, w) → (B·h·w, D)."""
    return z.permute(0, 2, 3, 1).flatten(0, 2)


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """(N,) index of the centroid with the largest cosine similarity."""
    return (points @ centroids.T).argmax(dim=1)


def _weight(counts: Tensor) -> Tensor:
    return torch.where(counts > 0, counts.sum() / counts.clamp_min(1), 0)


def _draw(spec: ViewSpec, size: int) -> list[float]:
    """Draw the parameters of one image for an epoch."""
    blank = torch.empty(3, size, size)
    crop = transforms.RandomResizedCrop.get_params(blank, scale=list(spec.scale), ratio=list(spec.aspect))
    flips = (torch.rand(2) < 0.5).tolist() if spec.flip else (0, 0)
    return [*crop, *flips, *_draw_jitter(spec), *_draw_jitter(spec)]


def _draw_jitter(spec: ViewSpec) -> Sequence[float]:
    if torch.rand(()) >= spec.jitter:
        return UNCHANGED
    low, high = (
        torch.tensor(UNCHANGED) + sign * torch.tensor([spec.brightness, spec.contrast, spec.saturation, spec.hue])
        for sign in (-1, 1)
    )
    jitter: list[float] = (low + (high - low) * torch.rand(4)).tolist()
    return jitter


def _jittered(image: Image.Image, jitter: list[float]) -> Image.Image:
    if tuple(jitter) == UNCHANGED:
        return image
    adjust = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
    for change, factor in zip(adjust, jitter, strict=True):
        image = change(image, factor)
    return image


def _moved(pixels: Tensor, geometry: Tensor) -> Tensor:
    """(C, H, W) → its crop, resized to H × W, and flipped; in whole pixels."""
    top, left, height, width, left_right, up_down = geometry.round().int().tolist()
    size = list(pixels.shape[-2:])
    moved: Tensor = TF.resized_crop(pixels, top, left, max(height, 1), max(width, 1), size, antialias=False)
    return moved.flip([axis for axis, flip in ((-1, left_right), (-2, up_down)) if flip])


def _crops(affine: Tensor, size: int) -> Tensor:
    """(B, 2, 3) matrices of crops and flips, as for `affine_grid` → (B, 6) as `GEOMETRY`, in pixels of `size`."""
    sides = affine[:, [1, 0], [1, 0]]  # height, width; negative where flipped
    corner = (affine[:, [1, 0], 2] - sides.abs() + 1) / 2
    return torch.cat([corner * size, sides.abs() * size, (sides < 0).flip(dims=[1])], dim=1)
