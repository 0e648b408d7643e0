"""How long the runs of a study will train, by what finished runs that are alike have taken for a step."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from s4mi.config import RunConfig
from s4mi.contract import SemiSupervisedConfig
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.training.progress import Progress

WEIGHT = {"dedl": 1.5, "picie": 3.0, "mdc": 1.5, "dino": 1.2, "cass": 1.2}
"""What an image costs beside one of `finetune`, about; see docs/benchmarks.md. Of others that learn from images
without masks, `SEMI` times as much."""
SEMI = 3.0
WARM = 2.0
"""Seconds of training before which steps tell nothing: the first ones are slow."""


@dataclass
class _Measured:
    """What runs of one kind have shown, summed."""

    runs: int = 0
    seconds: float = 0.0
    images: float = 0.0
    epochs: int = 0

    def add(self, record: RunRecord | PretrainingRecord) -> None:
        self.runs += 1
        self.seconds += record.cost.seconds
        self.images += record.cost.seconds * record.cost.images_per_second
        self.epochs += record.epochs


@dataclass
class CostModel:
    """Learns from finished runs what others will take. Validation and scoring are not counted, nor is decoding."""

    _same: defaultdict[str, _Measured] = field(default_factory=lambda: defaultdict(_Measured))
    _alike: defaultdict[tuple[object, ...], _Measured] = field(default_factory=lambda: defaultdict(_Measured))
    _of_set: defaultdict[tuple[object, ...], _Measured] = field(default_factory=lambda: defaultdict(_Measured))
    _annotated: dict[tuple[object, ...], float] = field(default_factory=dict)
    _under_way: dict[tuple[object, ...], float] = field(default_factory=dict)
    _epoch_under_way: dict[tuple[object, ...], float] = field(default_factory=dict)

    def learn(self, config: RunConfig, record: RunRecord | PretrainingRecord) -> None:
        """A run has finished."""
        self._same[_but_for_the_seed(config)].add(record)
        self._alike[_kind(config)].add(record)
        self._under_way.pop(_kind(config), None)
        if config.epoch_steps is None:
            self._of_set[(config.data.path, _what_trains(config))].add(record)
        if isinstance(record, RunRecord) and record.label_fraction and record.labels.train_labelled:
            annotated = 100 * record.labels.train_labelled / record.label_fraction
            self._annotated[(config.data.path, record.task)] = annotated

    def watch(self, config: RunConfig, progress: Progress) -> None:
        """A run has made steps; what they have taken counts until one like it has finished."""
        if progress.phase != "train" or progress.images_per_second <= 0 or not progress.epochs:
            return
        if progress.done * config.batch_size / progress.images_per_second < WARM:
            return
        if not self._alike[_kind(config)].images:
            self._under_way[_kind(config)] = 1 / progress.images_per_second
        if config.epoch_steps is None:
            images = progress.total / progress.epochs * config.batch_size
            self._epoch_under_way[(config.data.path, _what_trains(config))] = images

    def seconds(self, config: RunConfig) -> float | None:
        """Of training; None where no finished run is like it.

        The mean of runs that differ in their seed alone; else the time for an image of those that train the same
        networks on images of the same size in batches of the same size, times the images that training will see.
        """
        same, alike = self._same.get(_but_for_the_seed(config)), self._alike.get(_kind(config))
        if same is not None:
            return same.seconds / same.runs
        if alike is None or not alike.images:
            return None
        images = self._images_of_an_epoch(config)
        if images is None:
            images = alike.images / alike.epochs
        return images * config.epochs * alike.seconds / alike.images

    def guess(self, config: RunConfig) -> float | None:
        """As `seconds`; where none like it has finished, by the steps of one under way, or by those of all other kinds.

        In the last case, the median, networks and sizes of images are taken to be the same, so that it is rough where
        they differ. None where nothing is known to go by.
        """
        known = self.seconds(config)
        if known is not None:
            return known
        images = self._images_of_an_epoch(config)
        if images is None:
            images = self._epoch_under_way.get((config.data.path, _what_trains(config)))
        rate = self._under_way.get(_kind(config))
        if rate is None:
            measured = {kind: one.seconds / one.images for kind, one in self._alike.items() if one.images}
            rates = [each / _weight_of(kind) for kind, each in {**self._under_way, **measured}.items()]
            rate = median(rates) * _weight(config) if rates else None
        return images * config.epochs * rate if images is not None and rate else None

    def _images_of_an_epoch(self, config: RunConfig) -> float | None:
        """None: as many as in those that are alike, or nobody knows."""
        if config.epoch_steps is not None:
            return config.epoch_steps * config.batch_size
        shown = self._of_set.get((config.data.path, _what_trains(config)))
        if _what_trains(config) != "labelled":  # all training images, whatever the labels
            return None if shown is None or not shown.images else shown.images / shown.epochs
        if config.amount.unit == "images":
            return config.amount.value
        tasks = ((config.data.path, task) for task in sorted(config.method.tasks))
        annotated = next((self._annotated[task] for task in tasks if task in self._annotated), None)
        return config.amount.value / 100 * annotated if annotated and config.amount.unit == "percent" else None


def _but_for_the_seed(config: RunConfig) -> str:
    return f"{config.data.path} {config.model_copy(update={'seed': 0}).hash}"


def _kind(config: RunConfig) -> tuple[object, ...]:
    """Runs that cost the same per image have the same."""
    method = config.method.model_dump(mode="json", exclude={"pretrained", "weights", "classes"})
    return (str(sorted(method.items())), config.data.image_size, config.batch_size, _weight(config))


def _what_trains(config: RunConfig) -> str:
    if config.method.unlabelled:
        return "all"
    return "both" if isinstance(config.method, SemiSupervisedConfig) else "labelled"


def _weight_of(kind: tuple[object, ...]) -> float:
    """What is last in a kind."""
    weight = kind[-1]
    assert isinstance(weight, float)
    return weight


def _weight(config: RunConfig) -> float:
    semi = isinstance(config.method, SemiSupervisedConfig)
    return WEIGHT.get(config.method.name, SEMI if semi else 1.0)
