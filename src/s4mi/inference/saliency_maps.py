"""A trained classifier that is asked where it looks, beside the same network with weights drawn anew."""

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
from s4mi.contract import Classifier, Method, Task
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.spec import load_spec
from s4mi.engine.inference import probabilities
from s4mi.errors import S4miError, nearest
from s4mi.inference.dataset_images import DatasetImage
from s4mi.maths.saliency import rank_correlation
from s4mi.nets.attribution import MapLayer, find_layer, grad_cam, input_gradient, smooth_grad
from s4mi.records import read_record
from s4mi.training.prepare import task_kind
from s4mi.training.run_dir import RunDir, build_method, load_method, make_runtime

MapName = Literal["input_gradient", "smooth_grad", "grad_cam"]
MAP_NAMES: tuple[MapName, ...] = get_args(MapName)
TITLES: dict[MapName, str] = {"input_gradient": "input gradient", "smooth_grad": "SmoothGrad", "grad_cam": "Grad-CAM"}
TRUTH = "truth"
"""Instead of the name of a class: the image's own."""


@dataclass(frozen=True)
class Explained:
    """Where a run looks in one image.

    Attributes:
        label: the class that is explained. probability: what the run gives it.
        maps: (H, W) at the image's own size, in [0, 1], the greatest value 1 unless all are 0.
        randomised: rank correlation with the map of the network with weights drawn anew; None where it is undefined.
    """

    label: str
    probability: float
    maps: dict[MapName, NDArray[np.float32]]
    randomised: dict[MapName, float | None]


def technique_label(run: Path, config: RunConfig) -> str:
    """What a column of the sheet is called: technique and network, as in a table where the run is finished."""
    technique = config.method.technique()
    if RunDir(run).finished:
        technique = read_record(run).technique or technique
    return f"{technique} {config.method.backbone_name}"


def run_names(runs: Sequence[Path]) -> list[str]:
    """A name for each run: of its folder, with the folder above where two are called the same.

    Raises:
        S4miError: they are one run twice.
    """
    folders = [run.resolve() for run in runs]
    for depth in (1, 2, 3):
        names = ["-".join(folder.parts[1:][-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise S4miError(f"{runs[0]}: two of the runs cannot be told apart by their folders; name each run once")


class Explainer:
    """A run, loaded. Everything is computed in 32 bits."""

    def __init__(self, run: Path, *, name: str, methods: Sequence[MapName], sanity: bool, seed: int) -> None:
        """Load the run in the folder `run`.

        Args:
            name: what it is called beside others.
            sanity: compare with weights drawn anew.
            seed: of SmoothGrad's noise, and of those weights.

        Raises:
            S4miError: this is no run of a classifier, it has no weights, or its network has no map for Grad-CAM.
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
        # Another seed than the run's own: that one gives the very weights that training began with.
        other = self.config.model_copy(update={"seed": self.config.seed + 1 + seed})
        self._redrawn = self._frozen(build_method(other, task, pretrained=False)) if sanity else None

    def check(self, target: str | None, pictures: Sequence[DatasetImage]) -> None:
        """Raise `S4miError` if `target`, or the label of a picture that is asked for, is no class of this run."""
        wanted = {target} if target != TRUTH else {label for one in pictures for label in one.labels or ()}
        for label in sorted(wanted - {None, *self.classes}, key=str):
            raise S4miError(
                f"{self.run.path}: has no class {label!r}{nearest(str(label), self.classes)}; "
                f"it has {', '.join(self.classes)}"
            )

    def explain(self, pixels: Pixels, target: str | None, labels: Sequence[str] = ()) -> Explained:
        """Explain an image (H, W, 3).

        Args:
            target: name of a class, `TRUTH` for the likeliest of `labels`, or None for the likeliest of all.
        """
        tiles = torch.from_numpy(self._preprocessing.images(pixels)).to(self._device)
        tiles = tiles.permute(0, 3, 1, 2).float().div_(255)
        given = self._probabilities(tiles)
        names = self.classes if target is None else labels if target == TRUTH else (target,)
        k = max((self.classes.index(name) for name in names), key=given.__getitem__)
        size = (pixels.shape[0], pixels.shape[1])
        maps, randomised = {}, {}
        for method in self._methods:
            of_tiles = self._trained.maps(method, tiles, k, seed=self._seed)
            maps[method] = self._page(of_tiles, size)
            if self._redrawn is not None:
                beside = self._redrawn.maps(method, tiles, k, seed=self._seed)
                randomised[method] = rank_correlation(of_tiles.cpu().numpy(), beside.cpu().numpy())
        return Explained(label=self.classes[k], probability=given[k], maps=maps, randomised=randomised)

    @torch.no_grad()
    def _probabilities(self, tiles: Tensor) -> list[float]:
        """Of each class: the mean over the tiles, as `s4mi predict` gives it."""
        logits = torch.cat([self._trained.method.logits(tile) for tile in torch.split(tiles, 1)])
        mean: list[float] = probabilities(logits, multilabel=self.multilabel).mean(dim=0).tolist()
        return mean

    def _page(self, of_tiles: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
        """(T, S, S) maps of the tiles of one image → (height, width): together, at its own size, the greatest value 1.

        Tiles keep their strengths among each other.
        """
        grid = self._preprocessing.grid(size)
        tile = size if self._preprocessing.tile is None else (grid.tile, grid.tile)
        resized = F.interpolate(of_tiles[:, None], size=tile, mode="bilinear", antialias=True).clamp_min_(0)
        pages = np.asarray(resized.cpu().numpy(), dtype=np.float32)
        page: NDArray[np.float32] = pages[0, 0] if self._preprocessing.tile is None else grid.stitch(pages)[0]
        greatest = float(page.max())
        return np.asarray(page / greatest, dtype=np.float32) if greatest > 0 else page

    def _frozen(self, method: Method) -> "_Network":
        assert isinstance(method, Classifier), "only classifiers come this far"
        method.to(self._device).eval().requires_grad_(False)
        wants_layer = "grad_cam" in self._methods
        return _Network(method, find_layer(method, self.config.data.image_size) if wants_layer else None)


@dataclass(frozen=True)
class _Network:
    """A classifier, and the layer of it that Grad-CAM is taken at, if it is."""

    method: Classifier
    layer: MapLayer | None

    def maps(self, method: MapName, tiles: Tensor, k: int, *, seed: int) -> Tensor:
        """(T, 3, S, S) → (T, S, S), not negative, of class `k`."""
        logits, classes = self.method.logits, [k] * len(tiles)
        if method == "input_gradient":
            return input_gradient(logits, tiles, classes)
        if method == "smooth_grad":
            return smooth_grad(logits, tiles, classes, seed=seed)
        assert self.layer is not None
        return grad_cam(logits, tiles, classes, layer=self.layer)


def _check_classifier(run: Path, config: RunConfig) -> None:
    if config.method.pretrains:
        raise S4miError(f"{run}: is a pre-training run and knows no classes; fine-tune it, then explain that run")
    if "segmentation" in config.method.tasks:
        raise S4miError(f"{run}: is a segmentation run, whose masks say where it looks; use: s4mi predict {run}")
