"""Training time of planned runs, estimated from finished and active runs, at the present speed of the machine.

pace         seconds per image of a kind of run: the best that was measured
slowdown     the present pace over the best of its kind: 4 while another program has three quarters of the machine
estimate     what a run takes at the present slowdown
at best      what it takes without any, and if a guess from other kinds is too high by `DOUBT`
"""

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
DOUBT = 4.0
"""A guess from runs of other kinds, or at another speed of the machine, may be wrong by this factor."""
MOST_SLOWDOWN = 50.0
"""A run that is stopped for a while, e.g. by its terminal, says no more about the others than this."""


@dataclass
class _Totals:
    """Sums over the finished runs of one kind; `fast_seconds` are those without the slowdown at their end."""

    runs: int = 0
    seconds: float = 0.0
    fast_seconds: float = 0.0
    images: float = 0.0
    epochs: int = 0

    def add(self, record: RunRecord | PretrainingRecord, *, slowdown: float) -> None:
        seconds = _own_seconds(record)
        self.runs += 1
        self.seconds += seconds
        self.fast_seconds += seconds / slowdown
        self.images += seconds * record.cost.images_per_second
        self.epochs += record.epochs


@dataclass
class CostModel:
    """Estimates training time from finished and active runs. Validation, scoring and decoding are not counted."""

    _by_settings: defaultdict[str, _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _by_kind: defaultdict[tuple[object, ...], _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _by_data: defaultdict[tuple[object, ...], _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _annotated: dict[tuple[object, ...], float] = field(default_factory=dict)
    _active_seconds_per_image: dict[tuple[object, ...], float] = field(default_factory=dict)
    _active_epoch_images: dict[tuple[object, ...], float] = field(default_factory=dict)
    _best_pace: dict[tuple[object, ...], float] = field(default_factory=dict)
    _slowdown: float = 1.0
    _keys: dict[int, tuple[RunConfig, tuple[object, ...], str]] = field(default_factory=dict)

    @property
    def slowdown(self) -> float:
        """Present seconds per image over the fewest that were measured, at least 1."""
        return self._slowdown

    def add_record(self, config: RunConfig, record: RunRecord | PretrainingRecord) -> None:
        """Learn from a finished run."""
        kind, settings = self._kind(config), self._settings(config)
        self._by_settings[settings].add(record, slowdown=self._slowdown)
        self._by_kind[kind].add(record, slowdown=self._slowdown)
        self._active_seconds_per_image.pop(kind, None)
        if record.cost.images_per_second > 0:
            self._best(kind, 1 / record.cost.images_per_second)
        if config.epoch_steps is None:
            self._by_data[(config.data.path, _training_images(config))].add(record, slowdown=self._slowdown)
        if isinstance(record, RunRecord) and record.label_fraction and record.labels.train_labelled:
            annotated = 100 * record.labels.train_labelled / record.label_fraction
            self._annotated[(config.data.path, record.task)] = annotated

    def add_progress(self, config: RunConfig, progress: Progress) -> None:
        """Learn from the steps of an active run, which count until a run of its kind has finished."""
        if progress.phase != "train" or progress.images_per_second <= 0 or not progress.epochs:
            return
        if progress.done * config.batch_size / progress.images_per_second < WARM_UP:
            return
        kind = self._kind(config)
        if not self._by_kind[kind].images:
            self._active_seconds_per_image[kind] = 1 / progress.images_per_second
        if config.epoch_steps is None:
            images = progress.total / progress.epochs * config.batch_size
            self._active_epoch_images[(config.data.path, _training_images(config))] = images

    def add_pace(self, config: RunConfig, seconds_per_image: float) -> None:
        """Learn how fast the machine is now from the last steps of an active run."""
        best = self._best(self._kind(config), seconds_per_image)
        self._slowdown = min(max(1.0, seconds_per_image / best), MOST_SLOWDOWN)

    def _best(self, kind: tuple[object, ...], seconds_per_image: float) -> float:
        """Return the best pace of a kind, this one included; the first one was measured at the present slowdown."""
        best = self._best_pace.get(kind, seconds_per_image / self._slowdown)
        self._best_pace[kind] = min(best, seconds_per_image)
        return self._best_pace[kind]

    def seconds(self, config: RunConfig) -> float | None:
        """Return the estimated seconds of training; None if no finished run is of the same kind.

        The mean over runs that differ only in their seed; else the time per image of runs of the same networks, image
        size and batch size, times the number of images that training will process.
        """
        same, similar = self._by_settings.get(self._settings(config)), self._by_kind.get(self._kind(config))
        if same is not None:
            return same.seconds / same.runs
        if similar is None or not similar.images:
            return None
        images = self._images_per_epoch(config)
        if images is None:
            images = similar.images / similar.epochs
        return images * _passes(config) * similar.seconds / similar.images

    def estimate(self, config: RunConfig) -> float | None:
        """Return the seconds of training at the present speed of the machine; None if no run has been measured.

        From runs that differ only in their seed; else from the time per image of runs of the same kind, active ones
        too; else from the median over all other kinds that are trained, or fitted, alike, each scaled by its relative
        cost, which assumes the same networks and image size.
        """
        same, images = self._by_settings.get(self._settings(config)), self._images(config)
        if same is not None:
            return same.fast_seconds / same.runs * self._slowdown
        pace = self._pace(config)
        return None if images is None or pace is None else images * pace

    def at_best(self, config: RunConfig) -> float | None:
        """Return the fewest seconds of training that are plausible, however slow the machine is now; None: unknown."""
        estimate, images = self.estimate(config), self._images(config)
        if estimate is None:
            return None
        best = self._best_pace.get(self._kind(config))
        if best is None or images is None or config.method.fitted:
            return estimate / DOUBT / self._slowdown
        return min(images * best, estimate)

    def _pace(self, config: RunConfig) -> float | None:
        """Seconds per image at the present speed."""
        kind = self._kind(config)
        similar = self._by_kind.get(kind)
        if similar is not None and similar.images:
            return similar.fast_seconds / similar.images * self._slowdown
        if (active := self._active_seconds_per_image.get(kind)) is not None:
            return active
        # A fitted method sees an image once, and takes as long for it as training does for many epochs, or no time.
        finished = {
            other: one.fast_seconds / one.images * self._slowdown
            for other, one in self._by_kind.items()
            if one.images and _is_fitted(other) == config.method.fitted
        }
        costs = [each / _cost_of(other) for other, each in {**self._active_seconds_per_image, **finished}.items()]
        return median(costs) * _relative_cost(config) if costs else None

    def _images(self, config: RunConfig) -> float | None:
        """Images that training will process, repeated ones included; None: unknown."""
        images = self._images_per_epoch(config)
        if images is None:
            images = self._active_epoch_images.get((config.data.path, _training_images(config)))
        similar = self._by_kind.get(self._kind(config))
        if images is None and similar is not None and similar.images:
            images = similar.images / similar.epochs
        return None if images is None else images * _passes(config)

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

    def _kind(self, config: RunConfig) -> tuple[object, ...]:
        return self._key(config)[1]

    def _settings(self, config: RunConfig) -> str:
        return self._key(config)[2]

    def _key(self, config: RunConfig) -> tuple[RunConfig, tuple[object, ...], str]:
        """Kind and settings, computed once for each configuration, which is kept so that no other gets its id."""
        key = self._keys.get(id(config))
        if key is None:
            key = self._keys[id(config)] = (config, _kind(config), _settings_without_seed(config))
        return key


def _own_seconds(record: RunRecord | PretrainingRecord) -> float:
    """Seconds of training; features are computed once for all runs that are fitted to them."""
    fit = record.fit if isinstance(record, RunRecord) else None
    return record.cost.seconds if fit is None else fit.seconds


def _passes(config: RunConfig) -> int:
    """Number of times that training uses each of its images; a fitted method sees them once."""
    return 1 if config.method.fitted else config.epochs


def _settings_without_seed(config: RunConfig) -> str:
    return f"{config.data.path} {config.model_copy(update={'seed': 0}).hash}"


def _kind(config: RunConfig) -> tuple[object, ...]:
    """Key of runs with the same cost per image; its last items are whether they are fitted, and their relative cost."""
    method = config.method.model_dump(mode="json", exclude={"pretrained", "weights", "classes"})
    sizes = config.data.image_size, config.batch_size
    return (str(sorted(method.items())), *sizes, config.method.fitted, _relative_cost(config))


def _training_images(config: RunConfig) -> str:
    """Which images an epoch covers."""
    if config.method.unlabelled:
        return "all"
    return "both" if isinstance(config.method, SemiSupervisedConfig) else "labelled"


def _is_fitted(kind: tuple[object, ...]) -> bool:
    return bool(kind[-2])


def _cost_of(kind: tuple[object, ...]) -> float:
    cost = kind[-1]
    assert isinstance(cost, float)
    return cost


def _relative_cost(config: RunConfig) -> float:
    semi_supervised = isinstance(config.method, SemiSupervisedConfig)
    return RELATIVE_COST.get(config.method.name, SEMI_SUPERVISED_COST if semi_supervised else 1.0)
