"""A trained run as a `Model`, ready for a `Predictor`."""

import hashlib
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import METHODS
from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Segmenter, Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.spec import load_spec
from s4mi.engine.cpu.bfloat16 import gains_from_bfloat16, in_bfloat16
from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.engine.cpu.optimise import optimise_for_device
from s4mi.errors import S4miError
from s4mi.inference.careful_bfloat16 import CarefulBfloat16, Comparison
from s4mi.inference.predictor import ModelInfo, Precision, Predictor, classes_of
from s4mi.maths.calibration import THRESHOLD
from s4mi.nets.feature_tap import FeatureTap
from s4mi.records.calibration import Calibration, read_calibration
from s4mi.records.precision import PrecisionCheck, read_precision, write_precision
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_runtime
from s4mi.training.run_task import prediction_spec, task_kind


class RunModel:
    """The best weights of a run, with the description of the data set it was trained on.

    Attributes:
        info: what it predicts, and how an image becomes its input.
        calibration: that of the run; None if it has none for these classes.
        unnamed: it predicts clusters without names.
        precision: "bf16": on a CPU, in bfloat16 where that changes no decision; see `careful_bfloat16`.
    """

    def __init__(self, run: Path, *, clusters: bool = False, precision: Precision = "32") -> None:
        """Load the run in the folder `run`.

        Args:
            clusters: predict the clusters that the run found instead of their classes.
            precision: on a CPU; "auto": "bf16" where it is faster and the run's own setting is auto.

        Raises:
            S4miError: this is not a run, it has no weights, its settings do not fit them, its method predicts
                nothing, or it has no clusters although they are requested.
        """
        self.run = RunDir(run)
        self.config = self.run.config()
        cluster_classes = self.config.method.own_classes
        if clusters and not cluster_classes:
            raise S4miError(
                f"{run}: method {self.config.method.name} finds no clusters; leave out --clusters, or use a run of "
                f"{' or '.join(_clustering_methods())}"
            )
        self.spec = prediction_spec(self.config, load_spec(run))
        kind = task_kind(self.config, self.spec)
        size = self.config.data.image_size
        self.task = Task(kind=kind, classes=self.spec.classes_of(kind), image_size=size, counts=(), labelled=0)
        self._runtime = make_runtime(self.config)
        method = self._load()
        unnamed = bool(cluster_classes) and not self.config.method.named and self.task.classes == cluster_classes
        self.unnamed = clusters or unnamed
        self._forward: Callable[[Tensor], Tensor] = method.logits
        if clusters:
            assert isinstance(method, Segmenter)
            assert method.matching is not None
            self._forward = method.matching.clusters
            names = {number: f"cluster {number}" for number in range(method.matching.count)}
            self.spec = self.spec.model_copy(update={"tasks": ("segmentation",), "mask_values": names})
            self.task = replace(self.task, classes=self.spec.mask_classes)
        self._method = method
        self._tap = FeatureTap.of(method, size)  # before layers are replaced, so that it is that of training
        self.info = ModelInfo(
            name=str(run), kind=kind, classes=self.task.classes, spec=self.spec,
            preprocessing=self.config.data.preprocessing, unnamed=self.unnamed,
            digest=_digest(self.run.best, clusters=clusters),
        )  # fmt: skip
        self._optimise()
        calibration = None if self.unnamed else read_calibration(run)
        fits = calibration is not None and (calibration.task, tuple(calibration.classes)) == (kind, self.task.classes)
        self.calibration: Calibration | None = calibration if fits else None
        self.precision: Precision = "32"
        self._use_bfloat16(precision)

    def _load(self) -> Classifier | Segmenter:
        try:
            return load_method(self._runtime, self.config, self.task, self.run.best)
        except S4miError as error:
            if str(error).startswith(str(self.run.path)):
                raise
            # A setting that does not fit names no file; users edit this one to name clusters.
            raise S4miError(f"{self.run.config_path}: {error}") from error

    def _optimise(self) -> None:
        """Choose the memory layout for the device and fold batch normalisation into the preceding convolutions."""
        device, size = self._runtime.device, self.task.image_size
        optimise_for_device(self._method, device)
        fold_batch_norm(
            self._method,
            self._forward,
            torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device),
        )

    def _use_bfloat16(self, asked: Precision) -> None:
        """Compute in bfloat16 if that is asked for, gains anything, and has not been found to change decisions."""
        method = self._method
        own = self._runtime.device.type == "cpu" and self.config.hardware.precision == "auto"
        if asked == "32" or not own or self._forward != method.logits:
            return
        if isinstance(method, FittedClassifier | FittedSegmenter) or next(method.parameters(), None) is None:
            return  # features have a precision of their own
        known = read_precision(self.run.path, self.info.digest)
        if (known is not None and not known.used) or (asked == "auto" and not gains_from_bfloat16(method)):
            return
        size = self.task.image_size
        shared = {} if self._tap is None else {id(self._tap): self._tap}
        self._forward = CarefulBfloat16(
            exact=method.logits,
            fast=in_bfloat16(method, "logits", torch.zeros(2, 3, size, size), shared=shared),
            kind=self.task.kind,
            boundaries=self._boundaries(),
            error=None if known is None else known.error,
            checked=self._record,
        )
        self.precision = "bf16"

    def _boundaries(self) -> list[Tensor]:
        """Logits at which labels are decided: 0, and those of the thresholds of calibrated probabilities."""
        boundaries = [torch.zeros(len(self.task.classes))]
        if self.calibration is not None:
            thresholds = [self.calibration.thresholds.get(name, THRESHOLD) for name in self.task.classes]
            boundaries.append(self.calibration.temperature * torch.tensor(thresholds).logit(eps=1e-6))
        return boundaries

    def _record(self, found: Comparison) -> None:
        check = PrecisionCheck(
            weights=self.info.digest,
            images=found.images,
            equal=found.equal,
            error=found.error if math.isfinite(found.error) else -1.0,
            used=found.good(self.task.kind),
        )
        with suppress(OSError):  # a run that cannot be written to is checked each time
            write_precision(check, self.run.path)

    @torch.inference_mode()
    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32."""
        stored = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._runtime.device)
        images = stored.permute(0, 3, 1, 2).float().div_(255)  # keeps the channels-last memory layout
        with self._runtime.autocast():
            logits = self._forward(images)
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)

    def take_features(self) -> NDArray[np.float32] | None:
        """(B, D) pooled features of the first inputs since the last call; None if the method has none."""
        features = None if self._tap is None else self._tap.take()
        return None if features is None else features.numpy()

    def mask(self, path: Path) -> NDArray[np.uint8]:
        """Segment an image file: (H, W) classes at its own size, as `evaluate` scores them.

        Raises:
            ImageError: the file does not exist or is not an image.
        """
        predictor = Predictor((self,), overlap=0.0)
        return classes_of(next(predictor.predict([predictor.read(path)])))


def _digest(weights: Path, *, clusters: bool) -> str:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").hexdigest()[:16]
    return f"{digest}, clusters" if clusters else digest


def _clustering_methods() -> list[str]:
    """Names of the methods that find clusters, and thus have classes of their own on data sets without any."""
    methods = METHODS.working().items()
    return [name for name, method in methods if method.config.model_construct(name=name).own_classes]
