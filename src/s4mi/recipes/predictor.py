"""A trained run, loaded to answer images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import METHOD_CONFIGS
from s4mi.contract import Classifier, Segmenter, Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.recipes.evaluate import page_classes
from s4mi.recipes.prepare import answer_spec, task_kind
from s4mi.recipes.run_dir import RunDir, load_method, make_fabric

TILES_AT_ONCE = 32


class Predictor:
    """The best weights of a run, with the data set's description that it was trained with.

    Attributes:
        unnamed: what it answers are clusters, which nobody has named.
    """

    def __init__(self, run: Path, *, clusters: bool = False) -> None:
        """Load the run in the folder `run`.

        Args:
            clusters: of a method that finds clusters, answer these, whatever classes they are.

        Raises:
            S4miError: this is no run, it has no weights, its settings do not fit them, or its method answers nothing,
                or no clusters where these are asked for.
        """
        self.run = RunDir(run)
        self.config = self.run.config()
        own = self.config.method.own_classes
        if clusters and not own:
            raise S4miError(
                f"{run}: is a run of {self.config.method.name}, which finds no clusters; leave out --clusters, or give "
                f"a run of {' or '.join(_with_clusters())}"
            )
        self.spec = answer_spec(self.config, load_spec(run))
        kind = task_kind(self.config, self.spec)
        size = self.config.data.image_size
        self.task = Task(kind=kind, classes=self.spec.classes_of(kind), image_size=size, counts=(), labelled=0)
        self._fabric = make_fabric(self.config)
        self._method = self._load()
        self._give = self._method.logits
        self.unnamed = clusters or (bool(own) and not self.config.method.named and self.task.classes == own)
        if clusters:
            assert isinstance(self._method, Segmenter)
            assert self._method.matching is not None
            self._give = self._method.matching.clusters
            names = {number: f"cluster {number}" for number in range(self._method.matching.count)}
            self.spec = self.spec.model_copy(update={"tasks": ("segmentation",), "mask_values": names})
            self.task = replace(self.task, classes=self.spec.mask_classes)

    def _load(self) -> Classifier | Segmenter:
        try:
            return load_method(self._fabric, self.config, self.task, self.run.best)
        except S4miError as error:
            if str(error).startswith(str(self.run.path)):
                raise
            # A setting that fits nothing else names no place; people edit this one, where clusters get their names.
            raise S4miError(f"{self.run.config_path}: {error}") from error

    def read(self, path: Path) -> Pixels:
        """(H, W, 3) of an image file, its numbers read as in training.

        Raises:
            ImageError: the file is missing or no image.
        """
        return read_image(path, self.spec.rule)

    def tiles(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) → (T, S, S, 3), as the network takes them."""
        return self.config.data.preprocessing.images(pixels)

    @torch.inference_mode()
    def logits(self, tiles: Pixels) -> Tensor:
        """(T, S, S, 3) → (T, K, ...) float32."""
        images = torch.tensor(tiles, device=self._fabric.device).permute(0, 3, 1, 2).float().div_(255)
        with self._fabric.autocast():
            logits = torch.cat([self._give(chunk) for chunk in torch.split(images, TILES_AT_ONCE)])
        return logits.float()

    def page(self, logits: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Of a segmenter: the logits of an image's tiles → (height, width) classes at the image's own size."""
        return page_classes(logits, self.config, size)

    def mask(self, path: Path) -> NDArray[np.uint8]:
        """Of a segmenter: an image file → (H, W) classes at its own size.

        Raises:
            ImageError: the file is missing or no image.
        """
        pixels = self.read(path)
        return self.page(self.logits(self.tiles(pixels)), (pixels.shape[0], pixels.shape[1]))


def _with_clusters() -> list[str]:
    """Names of the methods that find clusters, which have classes of their own where a data set has none."""
    configs = [config for config in METHOD_CONFIGS if config.model_construct().own_classes]
    return [str(config.model_fields["name"].default) for config in configs]
