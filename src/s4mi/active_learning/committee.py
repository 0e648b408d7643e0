"""Whoever answers an image and may disagree: the seeds of a technique, the networks of cross teaching, or one run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from s4mi.contract import Segmenter
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.parallel import in_parallel
from s4mi.inference.load import LoadedModels, open_models
from s4mi.inference.predictor import Model, ModelInfo, Predictor, Probabilities, classes_of
from s4mi.inference.run_model import RunModel
from s4mi.maths.acquisition import binary, disagreement, entropy
from s4mi.nets.ensemble import AVERAGE
from s4mi.records import CONFIG_NAME, TaskKind
from s4mi.records.calibration import Calibration
from s4mi.training.run_dir import load_method, make_fabric


@dataclass(frozen=True)
class CommitteeOutput:
    """What the members say of an image.

    Attributes:
        entropy: of their mean answer, in [0, 1]. Of a segmenter it is the mean over pixels, of several labels over
            these.
        disagreement: mutual information of answer and member, likewise; None of one member.
        labels: classes of the image by the mean answer, or of a segmenter those that it shows.
        likely: the probability of each class, of a segmenter its share of the pixels.
    """

    entropy: float
    disagreement: float | None
    labels: tuple[str, ...]
    likely: NDArray[np.float64]


class Committee:
    """Members who answer the same images.

    Attributes:
        about: what they answer. runs: their folders. members: what they are called. why: why these, or empty.
    """

    def __init__(self, source: Path, *, task: TaskKind | None = None) -> None:
        """Open a run, or of a folder of runs, of one task, all seeds of the technique that is best by validation.

        Raises:
            S4miError: there is none, or it does not answer.
        """
        several = source.is_dir() and not (source / CONFIG_NAME).exists()
        opened = open_models(source, ensemble=several, task=task)
        self.runs, self.why = opened.runs, opened.why
        models = _networks_of(opened) or opened.models
        self.about: ModelInfo = opened.models[0].about
        self.members = tuple(model.about.name for model in models)
        self._all = Predictor(models)
        self._each = tuple(Predictor((model,)) for model in models)

    def opinions(
        self, files: Sequence[Path], *, progress: Callable[[int, int], None] = lambda *_: None
    ) -> Iterator[CommitteeOutput | str]:
        """What they say of each file, or why it cannot be read, in order."""
        for inputs in self._decoded(files, progress):
            yield inputs if isinstance(inputs, str) else self._opinion(self._answers(*inputs))

    def masks(self, files: Sequence[Path]) -> Iterator[Pixels | str]:
        """Of segmenters: the (H, W) classes of each file by their mean answer, or why it cannot be read."""
        for inputs in self._decoded(files, lambda *_: None):
            yield inputs if isinstance(inputs, str) else classes_of(self._answers(*inputs).mean(axis=0))

    def _decoded(
        self, files: Sequence[Path], progress: Callable[[int, int], None]
    ) -> Iterator[tuple[Pixels, tuple[int, int]] | str]:
        yield from in_parallel(
            partial(_decode, answerer=self._all), list(files), progress=progress, thread_limit=len(files)
        )

    def _answers(self, inputs: Pixels, size: tuple[int, int]) -> Probabilities:
        """(M, K), or (M, K, H, W)."""
        given = self._all.infer(np.require(inputs, requirements=["C", "W"]))  # as torch wants memory that it shares
        return np.stack([own.finish([one], size) for own, one in zip(self._each, given, strict=True)])

    def _opinion(self, answers: Probabilities) -> CommitteeOutput:
        mean = answers.mean(axis=0)
        # Of several labels, whether each is there: (M, 2, K).
        apart = binary(answers).swapaxes(0, 1) if self._all.multilabel else answers.astype(np.float64)
        unsure = float(entropy(apart.mean(axis=0)).mean())
        unlike = float(disagreement(apart).mean()) if len(answers) > 1 else None
        if self._all.segments:
            classes = classes_of(mean)
            likely = np.bincount(classes.ravel(), minlength=len(mean)) / classes.size
            labels = tuple(name for name, share in zip(self.about.classes[1:], likely[1:], strict=True) if share)
        else:
            likely, labels = mean.astype(np.float64), self._all.labels(mean)
        return CommitteeOutput(unsure, unlike, labels, likely)


class _Network:
    """One network of a run that has several, as the `Model` of an `Predictor`."""

    calibration: Calibration | None = None

    def __init__(
        self, name: str, members: Callable[[Pixels], dict[str, NDArray[np.float32]]], about: ModelInfo
    ) -> None:
        self.about = replace(about, name=name)
        self._name, self._members = name, members

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) → (B, K, S, S)."""
        return self._members(inputs)[self._name]


class _MemberLogits:
    """All answers of a segmenter of several networks; asked again for the same inputs, it does not compute again."""

    def __init__(self, fabric: Fabric, method: Segmenter) -> None:
        self._fabric, self._method = fabric, method
        self._last: tuple[Pixels, dict[str, NDArray[np.float32]]] | None = None

    @torch.inference_mode()
    def __call__(self, inputs: Pixels) -> dict[str, NDArray[np.float32]]:
        if self._last is None or self._last[0] is not inputs:
            assert self._method.members is not None
            images = torch.tensor(inputs, device=self._fabric.device).permute(0, 3, 1, 2).float().div_(255)
            with self._fabric.autocast():
                given = self._method.members.member_logits(images)
            self._last = inputs, {name: logits.float().cpu().numpy() for name, logits in given.items()}
        return self._last[1]


def _networks_of(opened: LoadedModels) -> tuple[Model, ...]:
    """The networks of a run whose answers are averaged, as cross teaching's CNN and transformer; empty of others."""
    model = opened.models[0]
    if len(opened.models) > 1 or not isinstance(model, RunModel) or model.task.kind != "segmentation":
        return ()
    fabric = make_fabric(model.config)
    method = load_method(fabric, model.config, model.task, model.run.best)
    if not isinstance(method, Segmenter) or method.members is None:
        return ()
    members = _MemberLogits(fabric, method)
    size = model.task.image_size
    names = list(members(np.zeros((1, size, size, 3), dtype=np.uint8)))
    if AVERAGE not in names:  # one that follows the other is no second opinion
        return ()
    return tuple(_Network(name, members, model.about) for name in names if name != AVERAGE)


def _decode(file: Path, *, answerer: Predictor) -> tuple[Pixels, tuple[int, int]] | str:
    try:
        pixels = answerer.read(file)
    except ImageError as error:
        return str(error)
    return answerer.inputs(pixels), (pixels.shape[0], pixels.shape[1])
