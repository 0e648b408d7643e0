"""Training time of planned runs, estimated from finished runs of the same kind."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from s4mi.config import RunConfig
from s4mi.contract import SemiSupervisedConfig
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.training.progress import Progress

RELATIVE_COST = {"dedl": 1.5, "picie": 3.0, "mdc": 1.5, "dino": 1.2, "cass": 1.2}
"""Approximate cost of an image relative to `finetune`; see docs/benchmarks.md. Other semi-supervised methods have
`SEMI_SUPERVISED_COST`."""
SEMI_SUPERVISED_COST = 3.0
WARM_UP = 2.0
"""Seconds of training whose steps are not counted: the first ones are slow."""


@dataclass
class _Totals:
    """Sums over the finished runs of one kind."""

    runs: int = 0
    seconds: float = 0.0
    images: float = 0.0
    epochs: int = 0

    def add(self, record: RunRecord | PretrainingRecord) -> None:
        fit = record.fit if isinstance(record, RunRecord) else None
        seconds = record.cost.seconds if fit is None else fit.seconds  # features are computed once for all runs
        self.runs += 1
        self.seconds += seconds
        self.images += seconds * record.cost.images_per_second
        self.epochs += record.epochs


@dataclass
class CostModel:
    """Estimates training time from finished runs. Validation, scoring and decoding are not counted."""

    _by_settings: defaultdict[str, _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _by_kind: defaultdict[tuple[object, ...], _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _by_data: defaultdict[tuple[object, ...], _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _annotated: dict[tuple[object, ...], float] = field(default_factory=dict)
    _active_seconds_per_image: dict[tuple[object, ...], float] = field(default_factory=dict)
    _active_epoch_images: dict[tuple[object, ...], float] = field(default_factory=dict)

    def add_record(self, config: RunConfig, record: RunRecord | PretrainingRecord) -> None:
        """Learn from a finished run."""
        self._by_settings[_settings_without_seed(config)].add(record)
        self._by_kind[_kind(config)].add(record)
        self._active_seconds_per_image.pop(_kind(config), None)
        if config.epoch_steps is None:
            self._by_data[(config.data.path, _training_images(config))].add(record)
        if isinstance(record, RunRecord) and record.label_fraction and record.labels.train_labelled:
            annotated = 100 * record.labels.train_labelled / record.label_fraction
            self._annotated[(config.data.path, record.task)] = annotated

    def add_progress(self, config: RunConfig, progress: Progress) -> None:
        """Learn from the steps of an active run, which count until a run of its kind has finished."""
        if progress.phase != "train" or progress.images_per_second <= 0 or not progress.epochs:
            return
        if progress.done * config.batch_size / progress.images_per_second < WARM_UP:
            return
        if not self._by_kind[_kind(config)].images:
            self._active_seconds_per_image[_kind(config)] = 1 / progress.images_per_second
        if config.epoch_steps is None:
            images = progress.total / progress.epochs * config.batch_size
            self._active_epoch_images[(config.data.path, _training_images(config))] = images

    def seconds(self, config: RunConfig) -> float | None:
        """Return the estimated seconds of training; None if no finished run is of the same kind.

        The mean over runs that differ only in their seed; else the time per image of runs of the same networks, image
        size and batch size, times the number of images that training will process.
        """
        same, similar = self._by_settings.get(_settings_without_seed(config)), self._by_kind.get(_kind(config))
        if same is not None:
            return same.seconds / same.runs
        if similar is None or not similar.images:
            return None
        images = self._images_per_epoch(config)
        if images is None:
            images = similar.images / similar.epochs
        return images * _passes(config) * similar.seconds / similar.images

    def estimate(self, config: RunConfig) -> float | None:
        """Return `seconds`, or else an estimate from an active run of the same kind, or else from all other kinds.

        The last uses the median over kinds, each scaled by its relative cost, and assumes the same networks and image
        size, so that it is rough where they differ. None if no run has been measured.
        """
        known = self.seconds(config)
        if known is not None:
            return known
        images = self._images_per_epoch(config)
        if images is None:
            images = self._active_epoch_images.get((config.data.path, _training_images(config)))
        seconds_per_image = self._active_seconds_per_image.get(_kind(config))
        if seconds_per_image is None:
            finished = {kind: one.seconds / one.images for kind, one in self._by_kind.items() if one.images}
            costs = [each / _cost_of(kind) for kind, each in {**self._active_seconds_per_image, **finished}.items()]
            seconds_per_image = median(costs) * _relative_cost(config) if costs else None
        return images * _passes(config) * seconds_per_image if images is not None and seconds_per_image else None

    def _images_per_epoch(self, config: RunConfig) -> float | None:
        """Return the images of an epoch; None: as many as in runs of the same kind, or unknown."""
        if config.epoch_steps is not None and not config.method.fitted:
            return config.epoch_steps * config.batch_size
        totals = self._by_data.get((config.data.path, _training_images(config)))
        if _training_images(config) != "labelled":  # all training images, whatever the labels
            return None if totals is None or not totals.images else totals.images / totals.epochs
        if config.amount.unit == "images":
            return config.amount.value
        tasks = ((config.data.path, task) for task in sorted(config.method.tasks))
        annotated = next((self._annotated[task] for task in tasks if task in self._annotated), None)
        return config.amount.value / 100 * annotated if annotated and config.amount.unit == "percent" else None


def _passes(config: RunConfig) -> int:
    """Number of times that training uses each of its images; a fitted method sees them once."""
    return 1 if config.method.fitted else config.epochs


def _settings_without_seed(config: RunConfig) -> str:
    return f"{config.data.path} {config.model_copy(update={'seed': 0}).hash}"


def _kind(config: RunConfig) -> tuple[object, ...]:
    """Key of runs with the same cost per image; its last item is their relative cost."""
    method = config.method.model_dump(mode="json", exclude={"pretrained", "weights", "classes"})
    return (str(sorted(method.items())), config.data.image_size, config.batch_size, _relative_cost(config))


def _training_images(config: RunConfig) -> str:
    """Which images an epoch covers."""
    if config.method.unlabelled:
        return "all"
    return "both" if isinstance(config.method, SemiSupervisedConfig) else "labelled"


def _cost_of(kind: tuple[object, ...]) -> float:
    cost = kind[-1]
    assert isinstance(cost, float)
    return cost


def _relative_cost(config: RunConfig) -> float:
    semi_supervised = isinstance(config.method, SemiSupervisedConfig)
    return RELATIVE_COST.get(config.method.name, SEMI_SUPERVISED_COST if semi_supervised else 1.0)
