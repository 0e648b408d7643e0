"""How long the runs of a study will train, by what finished runs that are alike have taken for a step."""

from collections import defaultdict
from dataclasses import dataclass, field

from s4mi.config import RunConfig
from s4mi.contract import SemiSupervisedConfig
from s4mi.records import PretrainingRecord, RunRecord


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
class Pace:
    """Learns from finished runs what others will take. Validation and scoring are not counted, nor is decoding."""

    _same: defaultdict[str, _Measured] = field(default_factory=lambda: defaultdict(_Measured))
    _alike: defaultdict[tuple[object, ...], _Measured] = field(default_factory=lambda: defaultdict(_Measured))
    _annotated: dict[object, float] = field(default_factory=dict)

    def learn(self, config: RunConfig, record: RunRecord | PretrainingRecord) -> None:
        """A run has finished."""
        self._same[_but_for_the_seed(config)].add(record)
        self._alike[_kind(config)].add(record)
        if isinstance(record, RunRecord) and record.label_fraction and record.labels.train_labelled:
            self._annotated[record.task] = 100 * record.labels.train_labelled / record.label_fraction

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

    def _images_of_an_epoch(self, config: RunConfig) -> float | None:
        """None: as many as in those that are alike, or nobody knows."""
        if config.epoch_steps is not None:
            return config.epoch_steps * config.batch_size
        if config.method.unlabelled or isinstance(config.method, SemiSupervisedConfig):
            return None  # all training images, whatever the labels
        if config.amount.unit == "images":
            return config.amount.value
        annotated = next(
            (self._annotated[task] for task in sorted(config.method.tasks) if task in self._annotated), None
        )
        return config.amount.value / 100 * annotated if annotated and config.amount.unit == "percent" else None


def _but_for_the_seed(config: RunConfig) -> str:
    return config.model_copy(update={"seed": 0}).hash


def _kind(config: RunConfig) -> tuple[object, ...]:
    """Runs that cost the same per image have the same."""
    method = config.method.model_dump(mode="json", exclude={"pretrained", "weights", "classes"})
    return (str(sorted(method.items())), config.data.image_size, config.batch_size)
