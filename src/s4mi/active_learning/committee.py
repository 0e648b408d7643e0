"""A committee of models that predict the same images: the seeds of a technique, the networks of a run, or one run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from s4mi.contract import Segmenter
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.parallel import in_parallel
from s4mi.engine.runtime import Runtime
from s4mi.inference.load import LoadedModels, load_models
from s4mi.inference.predictor import Model, ModelInfo, Predictor, Probabilities, classes_of
from s4mi.inference.run_model import RunModel
from s4mi.maths.acquisition import binary, disagreement, entropy
from s4mi.nets.ensemble import AVERAGE
from s4mi.records import CONFIG_NAME, TaskKind
from s4mi.records.calibration import Calibration
from s4mi.training.run_method import load_method, make_runtime


@dataclass(frozen=True)
class CommitteeOutput:
    """Uncertainty and mean prediction of the members for an image.

    Attributes:
        entropy: normalised entropy of the mean prediction, in [0, 1]; the mean over pixels for segmentation, over
            labels for multi-label tasks.
        disagreement: mutual information of prediction and member, averaged likewise; None for a single member.
        labels: classes decided by the mean prediction; for segmentation the foreground classes it contains.
        likely: probability of each class; for segmentation its share of the pixels.
    """

    entropy: float
    disagreement: float | None
    labels: tuple[str, ...]
    likely: NDArray[np.float64]


class Committee:
    """Ensemble members that predict the same images.

    Attributes:
        info: description of the first model. runs: the run folders. members: names of the members.
        why: how the runs were selected; empty if there was no choice.
    """

    def __init__(self, source: Path, *, task: TaskKind | None = None) -> None:
        """Load a run, or from a folder of runs of one task all seeds of the technique with the best validation score.

        Raises:
            S4miError: there is none, or it does not predict.
        """
        is_study = source.is_dir() and not (source / CONFIG_NAME).exists()
        loaded = load_models(source, ensemble=is_study, task=task)
        self.runs, self.why = loaded.runs, loaded.why
        models = _member_networks(loaded) or loaded.models
        self.info: ModelInfo = loaded.models[0].info
        self.members = tuple(model.info.name for model in models)
        self._ensemble = Predictor(models)
        self._predictors = tuple(Predictor((model,)) for model in models)

    def score(
        self, files: Sequence[Path], *, progress: Callable[[int, int], None] = lambda *_: None
    ) -> Iterator[CommitteeOutput | str]:
        """Yield the committee's output for each file, or why it cannot be read, in order."""
        for decoded in self._decoded(files, progress):
            yield decoded if isinstance(decoded, str) else self._output(self._predict(*decoded))

    def masks(self, files: Sequence[Path]) -> Iterator[Pixels | str]:
        """Segment each file by the mean prediction, (H, W) classes, or yield why it cannot be read."""
        for decoded in self._decoded(files, lambda *_: None):
            yield decoded if isinstance(decoded, str) else classes_of(self._predict(*decoded).mean(axis=0))

    def _decoded(
        self, files: Sequence[Path], progress: Callable[[int, int], None]
    ) -> Iterator[tuple[Pixels, tuple[int, int]] | str]:
        work = partial(_decode, predictor=self._ensemble)
        yield from in_parallel(work, list(files), progress=progress, thread_limit=len(files))

    def _predict(self, inputs: Pixels, size: tuple[int, int]) -> Probabilities:
        """Probabilities by member: (M, K), or (M, K, H, W)."""
        outputs = self._ensemble.infer(np.require(inputs, requirements=["C", "W"]))  # torch shares writable memory
        return np.stack(
            [predictor.postprocess([output], size) for predictor, output in zip(self._predictors, outputs, strict=True)]
        )

    def _output(self, predictions: Probabilities) -> CommitteeOutput:
        mean = predictions.mean(axis=0)
        # In multi-label tasks each label is a binary prediction: (M, 2, K).
        p = binary(predictions).swapaxes(0, 1) if self._ensemble.multilabel else predictions.astype(np.float64)
        mean_entropy = float(entropy(p.mean(axis=0)).mean())
        mean_disagreement = float(disagreement(p).mean()) if len(predictions) > 1 else None
        if self._ensemble.segments:
            classes = classes_of(mean)
            likely = np.bincount(classes.ravel(), minlength=len(mean)) / classes.size
            labels = tuple(name for name, share in zip(self.info.classes[1:], likely[1:], strict=True) if share)
        else:
            likely, labels = mean.astype(np.float64), self._ensemble.labels(mean)
        return CommitteeOutput(mean_entropy, mean_disagreement, labels, likely)


class _MemberNetwork:
    """One network of a run with several, as a `Model`."""

    calibration: Calibration | None = None

    def __init__(self, name: str, members: Callable[[Pixels], dict[str, NDArray[np.float32]]], info: ModelInfo) -> None:
        self.info = replace(info, name=name)
        self._name, self._members = name, members

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) → (B, K, S, S)."""
        return self._members(inputs)[self._name]


class _MemberLogits:
    """Logits of all networks of a segmentation run, by name; cached for repeated calls with the same inputs."""

    def __init__(self, runtime: Runtime, method: Segmenter) -> None:
        self._runtime, self._method = runtime, method
        self._last: tuple[Pixels, dict[str, NDArray[np.float32]]] | None = None

    @torch.inference_mode()
    def __call__(self, inputs: Pixels) -> dict[str, NDArray[np.float32]]:
        if self._last is None or self._last[0] is not inputs:
            assert self._method.members is not None
            images = torch.tensor(inputs, device=self._runtime.device).permute(0, 3, 1, 2).float().div_(255)
            with self._runtime.autocast():
                outputs = self._method.members.member_logits(images)
            self._last = inputs, {name: logits.float().cpu().numpy() for name, logits in outputs.items()}
        return self._last[1]


def _member_networks(loaded: LoadedModels) -> tuple[Model, ...]:
    """The networks of a run that averages several, such as cross teaching's CNN and transformer; else empty."""
    model = loaded.models[0]
    if len(loaded.models) > 1 or not isinstance(model, RunModel) or model.task.kind != "segmentation":
        return ()
    runtime = make_runtime(model.config)
    method = load_method(runtime, model.config, model.task, model.run.best)
    if not isinstance(method, Segmenter) or method.members is None:
        return ()
    members = _MemberLogits(runtime, method)
    size = model.task.image_size
    names = list(members(np.zeros((1, size, size, 3), dtype=np.uint8)))
    if AVERAGE not in names:  # e.g. student and teacher: a moving average of a network is not independent of it
        return ()
    return tuple(_MemberNetwork(name, members, model.info) for name in names if name != AVERAGE)


def _decode(file: Path, *, predictor: Predictor) -> tuple[Pixels, tuple[int, int]] | str:
    try:
        pixels = predictor.read(file)
    except ImageError as error:
        return str(error)
    return predictor.preprocess(pixels), (pixels.shape[0], pixels.shape[1])
