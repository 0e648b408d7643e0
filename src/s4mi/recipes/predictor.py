"""A trained run, loaded to answer images."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.spec import load_spec
from s4mi.recipes.evaluate import page_classes
from s4mi.recipes.prepare import answer_spec, task_kind
from s4mi.recipes.run_dir import RunDir, load_method, make_fabric

TILES_AT_ONCE = 32


class Predictor:
    """The best weights of a run, with the data set's description that it was trained with."""

    def __init__(self, run: Path) -> None:
        """Load the run in the folder `run`.

        Raises:
            S4miError: this is no run, it has no weights, or its method answers nothing.
        """
        self.run = RunDir(run)
        self.config = self.run.config()
        self.spec = answer_spec(self.config, load_spec(run))
        kind = task_kind(self.config, self.spec)
        size = self.config.data.image_size
        self.task = Task(kind=kind, classes=self.spec.classes_of(kind), image_size=size, counts=(), labelled=0)
        self._fabric = make_fabric(self.config)
        self._method = load_method(self._fabric, self.config, self.task, self.run.best)

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
        images = torch.from_numpy(tiles).to(self._fabric.device).permute(0, 3, 1, 2).float().div_(255)
        with self._fabric.autocast():
            logits = torch.cat([self._method.logits(chunk) for chunk in torch.split(images, TILES_AT_ONCE)])
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
