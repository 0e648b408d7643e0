"""A trained run, loaded to answer images; the `Model` of an `Predictor`."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import METHOD_CONFIGS
from s4mi.contract import Classifier, Segmenter, Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.spec import load_spec
from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.engine.cpu.optimise import optimise_for_device
from s4mi.errors import S4miError
from s4mi.inference.predictor import ModelInfo, Predictor, classes_of
from s4mi.records.calibration import Calibration, read_calibration
from s4mi.training.prepare import prediction_spec, task_kind
from s4mi.training.run_dir import RunDir, load_method, make_runtime


class RunModel:
    """The best weights of a run, with the data set's description that it was trained with.

    Attributes:
        about: what it answers, and how an image becomes its input.
        calibration: as the run has it; None where it has none that is of these classes.
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
        self.spec = prediction_spec(self.config, load_spec(run))
        kind = task_kind(self.config, self.spec)
        size = self.config.data.image_size
        self.task = Task(kind=kind, classes=self.spec.classes_of(kind), image_size=size, counts=(), labelled=0)
        self._runtime = make_runtime(self.config)
        method = self._load()
        self.unnamed = clusters or (bool(own) and not self.config.method.named and self.task.classes == own)
        self._give: Callable[[Tensor], Tensor] = method.logits
        if clusters:
            assert isinstance(method, Segmenter)
            assert method.matching is not None
            self._give = method.matching.clusters
            names = {number: f"cluster {number}" for number in range(method.matching.count)}
            self.spec = self.spec.model_copy(update={"tasks": ("segmentation",), "mask_values": names})
            self.task = replace(self.task, classes=self.spec.mask_classes)
        self._method = method
        self.about = ModelInfo(
            name=str(run), kind=kind, classes=self.task.classes, spec=self.spec,
            preprocessing=self.config.data.preprocessing, unnamed=self.unnamed,
            digest=_digest(self.run.best, clusters=clusters),
        )  # fmt: skip
        self._make_fast()
        known = None if self.unnamed else read_calibration(run)
        fits = known is not None and (known.task, tuple(known.classes)) == (kind, self.task.classes)
        self.calibration: Calibration | None = known if fits else None

    def _load(self) -> Classifier | Segmenter:
        try:
            return load_method(self._runtime, self.config, self.task, self.run.best)
        except S4miError as error:
            if str(error).startswith(str(self.run.path)):
                raise
            # A setting that fits nothing else names no place; people edit this one, where clusters get their names.
            raise S4miError(f"{self.run.config_path}: {error}") from error

    def _make_fast(self) -> None:
        """Laid out for the device, and batch normalisation goes into the convolution before it."""
        device, size = self._runtime.device, self.task.image_size
        optimise_for_device(self._method, device)
        fold_batch_norm(
            self._method,
            self._give,
            torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device),
        )

    @torch.inference_mode()
    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32."""
        stored = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._runtime.device)
        images = stored.permute(0, 3, 1, 2).float().div_(255)  # channels stay last in memory
        with self._runtime.autocast():
            logits = self._give(images)
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)

    def mask(self, path: Path) -> NDArray[np.uint8]:
        """Of a segmenter: an image file → (H, W) classes at its own size, as `evaluate` scores them.

        Raises:
            ImageError: the file is missing or no image.
        """
        answerer = Predictor((self,), overlap=0.0)
        return classes_of(next(answerer.answer([answerer.read(path)])))


def _digest(weights: Path, *, clusters: bool) -> str:
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "blake2b").hexdigest()[:16]
    return f"{found}, clusters" if clusters else found


def _with_clusters() -> list[str]:
    """Names of the methods that find clusters, which have classes of their own where a data set has none."""
    configs = [config for config in METHOD_CONFIGS if config.model_construct().own_classes]
    return [str(config.model_fields["name"].default) for config in configs]
