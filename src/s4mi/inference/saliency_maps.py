"""Saliency maps of a trained classifier, and of the same network with randomised weights as a sanity check.

A head that is fitted to frozen features has no random weights to begin with, so that there is no such check of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.contract import Classifier, FittedClassifier, Method, Task
from s4mi.data.banded_page import BandedPage
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.spec import load_spec
from s4mi.engine.inference import probabilities
from s4mi.errors import S4miError, nearest
from s4mi.inference.dataset_images import DatasetImage
from s4mi.maths.saliency import rank_correlation
from s4mi.nets.attention_rollout import AttentionBlocks, attention_rollout, find_attention
from s4mi.nets.attribution import MIN_POSITIONS, MapLayer, find_layer, grad_cam, input_gradient, smooth_grad
from s4mi.records import read_record
from s4mi.training.feature_stores import attach
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import build_method, load_method, make_runtime
from s4mi.training.run_task import task_kind

MapName = Literal["input_gradient", "smooth_grad", "grad_cam", "attention_rollout"]
MAP_NAMES: tuple[MapName, ...] = get_args(MapName)
GRADIENTS: tuple[MapName, ...] = MAP_NAMES[:3]
"""Kinds of maps that nearly every network has."""
TITLES: dict[MapName, str] = {
    "input_gradient": "input gradient", "smooth_grad": "SmoothGrad", "grad_cam": "Grad-CAM",
    "attention_rollout": "attention roll-out",
}  # fmt: skip
TRUTH = "truth"
"""In place of a class name: the image's own label."""


@dataclass(frozen=True)
class Explanation:
    """Saliency maps of one image.

    Attributes:
        label: the explained class. probability: its predicted probability, uncalibrated.
        maps: (H, W) at the image's own size, in [0, 1]; the maximum is 1 unless all values are 0.
        randomised: rank correlation with the map of the network with randomised weights; None if undefined.
    """

    label: str
    probability: float
    maps: dict[MapName, NDArray[np.float32]]
    randomised: dict[MapName, float | None]


def default_methods(runs: Sequence[Path]) -> tuple[MapName, ...]:
    """Kinds of maps that all of the runs have: those of gradients, and attention roll-out of plain ViTs."""
    return MAP_NAMES if all(_has_attention(RunDir(run).config()) for run in runs) else GRADIENTS


def _has_attention(config: RunConfig) -> bool:
    if "segmentation" in config.method.tasks or not config.method.differentiable:
        return False
    task = Task(kind="multiclass", classes=("a", "b"), image_size=config.data.image_size, counts=(), labelled=0)
    method = build_method(config, task, pretrained=False)
    if not isinstance(method, Classifier):
        return False
    if isinstance(method, FittedClassifier):
        for extractor in method.extractors:
            extractor.materialise()
    try:
        find_attention(method.eval())
    except S4miError:
        return False
    return True


def technique_label(run: Path, config: RunConfig) -> str:
    """Technique and network, as column title; a finished run has the technique of its record, as in reports."""
    technique = config.method.technique()
    if RunDir(run).finished:
        technique = read_record(run).technique or technique
    return f"{technique} {config.method.backbone_name}"


def run_names(runs: Sequence[Path]) -> list[str]:
    """Unique names of runs: their folder names, with parent folders where two are equal.

    Raises:
        S4miError: a run is listed twice.
    """
    folders = [run.resolve() for run in runs]
    for depth in (1, 2, 3):
        names = ["-".join(folder.parts[1:][-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise S4miError(f"{runs[0]}: two of the runs have the same name; list each run once")


class Explainer:
    """A loaded run that computes saliency maps, in single precision."""

    def __init__(self, run: Path, *, name: str, methods: Sequence[MapName], sanity: bool, seed: int) -> None:
        """Load the run in the folder `run`.

        Args:
            name: its name among other runs.
            sanity: compare with the network with randomised weights.
            seed: random seed of SmoothGrad's noise and of the randomised weights.

        Raises:
            S4miError: this is not a run of a classifier, it has no weights, Grad-CAM finds no feature map, or attention
                roll-out no attention.
        """
        self.name, self._methods, self._seed = name, methods, seed
        self.run = RunDir(run)
        self.config = self.run.config()
        _check_classifier(run, self.config)
        spec = load_spec(run)
        kind = task_kind(self.config, spec)
        self.classes, self.multilabel = spec.classes_of(kind), kind == "multilabel"
        self.intensity: Intensity = spec.rule
        self.technique = technique_label(run, self.config)
        self._preprocessing = self.config.data.preprocessing
        task = Task(
            kind=kind, classes=self.classes, image_size=self.config.data.image_size, counts=(), labelled=0
        )  # fmt: skip
        runtime = make_runtime(self.config)
        self._device = runtime.device
        self._trained = self._frozen(load_method(runtime, self.config, task, self.run.best))
        # The run's own seed would give the very weights that training started from.
        randomised = self.config.model_copy(update={"seed": self.config.seed + 1 + seed})
        checked = sanity and not self.config.method.fitted
        self._randomised = self._frozen(build_method(randomised, task, pretrained=False)) if checked else None

    def coarse(self, method: MapName) -> str:
        """Say why maps of this kind are too coarse to be scored; empty if they are not."""
        found = {"grad_cam": self._trained.layer, "attention_rollout": self._trained.attention}.get(method)
        if found is None or found.positions >= MIN_POSITIONS:
            return ""
        side = math.isqrt(found.positions)
        places = f"{side} × {side}" if side * side == found.positions else f"{found.positions}"
        return (
            f"the feature map has {places} spatial positions, fewer than 7 × 7, so maps are too coarse to be scored; "
            "train with a larger data.image_size, or use another kind"
        )

    @property
    def finer(self) -> bool:
        """Whether Grad-CAM is that of an earlier stage, as the last one has too few positions."""
        return self._trained.layer is not None and self._trained.layer.finer

    def check_target(self, target: str | None, images: Sequence[DatasetImage]) -> None:
        """Raise `S4miError` if `target`, or for `TRUTH` the label of an image, is not a class of this run."""
        requested = {target} if target != TRUTH else {label for image in images for label in image.labels or ()}
        for label in sorted(requested - {None, *self.classes}, key=str):
            raise S4miError(
                f"{self.run.path}: unknown class {label!r}{nearest(str(label), self.classes)}; "
                f"its classes are {', '.join(self.classes)}"
            )

    def inputs_of(self, page: BandedPage) -> Pixels | None:
        """Network inputs (1, S, S, 3) of a large page; None if the run was trained on tiles.

        Raises:
            ImageError: the file cannot be decoded.
        """
        if self._preprocessing.tile is not None:
            return None
        return self._preprocessing.images(page.shrunk(self._preprocessing.first_size))

    def explain(
        self, pixels: Pixels, target: str | None, labels: Sequence[str] = (), *, inputs: Pixels | None = None
    ) -> Explanation:
        """Explain an image (H, W, 3).

        Args:
            inputs: (T, S, S, 3), if they are not to be made of `pixels`, as of a large page that is shown reduced.
            target: name of a class, `TRUTH` for the most likely of `labels`, or None for the most likely class.
        """
        inputs = self._preprocessing.images(pixels) if inputs is None else inputs
        tiles = torch.tensor(inputs, device=self._device)  # a copy: they may be read-only
        tiles = tiles.permute(0, 3, 1, 2).float().div_(255)
        predicted = self._probabilities(tiles)
        names = self.classes if target is None else labels if target == TRUTH else (target,)
        k = max((self.classes.index(name) for name in names), key=predicted.__getitem__)
        size = (pixels.shape[0], pixels.shape[1])
        maps, correlations = {}, {}
        for method in self._methods:
            tile_maps = self._trained.maps(method, tiles, k, seed=self._seed)
            maps[method] = self._stitch(tile_maps, size)
            if self._randomised is not None:
                randomised_maps = self._randomised.maps(method, tiles, k, seed=self._seed)
                correlations[method] = rank_correlation(tile_maps.cpu().numpy(), randomised_maps.cpu().numpy())
        return Explanation(label=self.classes[k], probability=predicted[k], maps=maps, randomised=correlations)

    @torch.no_grad()
    def _probabilities(self, tiles: Tensor) -> list[float]:
        """Probability of each class: the mean over the tiles, uncalibrated, as in `s4mi predict --raw`."""
        logits = torch.cat([self._trained.method.logits(tile) for tile in torch.split(tiles, 1)])
        mean: list[float] = probabilities(logits, multilabel=self.multilabel).mean(dim=0).tolist()
        return mean

    def _stitch(self, tile_maps: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
        """Combine the (T, S, S) maps of an image's tiles into one map of (height, width) `size` with maximum 1.

        The relative magnitudes of the tiles are kept.
        """
        grid = self._preprocessing.grid(size)
        tile = size if self._preprocessing.tile is None else (grid.tile, grid.tile)
        resized = F.interpolate(tile_maps[:, None], size=tile, mode="bilinear", antialias=True).clamp_min_(0)
        arrays = np.asarray(resized.cpu().numpy(), dtype=np.float32)
        whole: NDArray[np.float32] = arrays[0, 0] if self._preprocessing.tile is None else grid.stitch(arrays)[0]
        maximum = float(whole.max())
        return np.asarray(whole / maximum, dtype=np.float32) if maximum > 0 else whole

    def _frozen(self, method: Method) -> "_Network":
        assert isinstance(method, Classifier), "only classifiers can be explained"
        if isinstance(method, FittedClassifier):
            attach(method.extractors, None)  # stored features have no gradient
            for extractor in method.extractors:
                extractor.materialise()
        method.to(self._device).eval().requires_grad_(False)
        return _Network(
            method,
            layer=find_layer(method) if "grad_cam" in self._methods else None,
            attention=find_attention(method) if "attention_rollout" in self._methods else None,
        )


@dataclass(frozen=True)
class _Network:
    """A classifier, its layer for Grad-CAM, and its attention for roll-out, if these are computed."""

    method: Classifier
    layer: MapLayer | None
    attention: AttentionBlocks | None

    def maps(self, method: MapName, tiles: Tensor, k: int, *, seed: int) -> Tensor:
        """Non-negative maps of class `k`: (T, 3, S, S) → (T, S, S)."""
        logits, classes = self.method.logits, [k] * len(tiles)
        if method == "input_gradient":
            return input_gradient(logits, tiles, classes)
        if method == "smooth_grad":
            return smooth_grad(logits, tiles, classes, seed=seed)
        if method == "attention_rollout":
            assert self.attention is not None
            return attention_rollout(logits, tiles, blocks=self.attention)
        assert self.layer is not None
        return grad_cam(logits, tiles, classes, layer=self.layer)


def _check_classifier(run: Path, config: RunConfig) -> None:
    if config.method.pretrains:
        raise S4miError(f"{run}: a pre-training run has no classes; fine-tune it, then explain that run")
    if not config.method.differentiable:
        raise S4miError(f"{run}: {config.method.name} has no network and so no saliency maps; explain another run")
    if "segmentation" in config.method.tasks:
        raise S4miError(f"{run}: a segmentation run is explained by its masks; use: s4mi predict {run}")
