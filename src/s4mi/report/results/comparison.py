"""What is set side by side: the runs of one data set and task, one per technique, backbone, label fraction and seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s4mi.maths.stats import Interval, mean_interval
from s4mi.records import RunRecord, TaskKind
from s4mi.report.results.scores import TASK_NAMES, Metric, majority_value, percent, score_of


@dataclass(frozen=True, order=True)
class Technique:
    """A method with its start, on a backbone: one row of a table, one colour in a figure."""

    method: str
    backbone: str

    @property
    def label(self) -> str:
        return f"{self.method} · {self.backbone}"


@dataclass(frozen=True)
class Comparison:
    """Runs that may be compared with each other. Made by `compare`, which leaves one run per seed in every cell.

    Attributes:
        records: sorted by technique, label fraction and seed; never empty.
    """

    dataset: str
    task: TaskKind
    records: tuple[RunRecord, ...]

    @property
    def title(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}"

    @property
    def synthetic(self) -> bool:
        """Whether any image behind these numbers was drawn."""
        return any(record.synthetic for record in self.records)

    @property
    def techniques(self) -> tuple[Technique, ...]:
        return tuple(sorted({technique_of(record) for record in self.records}))

    @property
    def fractions(self) -> tuple[float, ...]:
        """Label fractions in percent, smallest first."""
        return tuple(sorted({record.label_fraction for record in self.records}))

    def at(self, technique: Technique, fraction: float) -> tuple[RunRecord, ...]:
        """The runs of one cell, by seed."""
        return tuple(r for r in self.records if r.label_fraction == fraction and technique_of(r) == technique)

    def labelled(self, fraction: float) -> tuple[int, int]:
        """Fewest and most labelled training images among the runs at `fraction`; seeds may differ by an image."""
        counts = [record.labels.train_labelled for record in self.records if record.label_fraction == fraction]
        return min(counts), max(counts)

    def interval(self, technique: Technique, fraction: float, metric: Metric) -> Interval | None:
        """Mean test score over seeds, or None where no run of the cell has one."""
        return interval_over(self.at(technique, fraction), lambda record: score_of(record, metric))

    def majority(self, fraction: float, metric: Metric) -> Interval | None:
        """What the most frequent answer scores; one value per seed, for techniques share their labelled images."""
        by_seed = {
            record.seed: value
            for record in self.records
            if record.label_fraction == fraction and (value := majority_value(record, metric)) is not None
        }
        return mean_interval(list(by_seed.values())) if by_seed else None


def technique_of(record: RunRecord) -> Technique:
    """The row a run belongs to."""
    return Technique(record.technique or record.method, record.backbone)


def interval_over(records: Sequence[RunRecord], value: Callable[[RunRecord], float | None]) -> Interval | None:
    """Mean and interval of the values that exist, or None where none does."""
    known = [number for record in records if (number := value(record)) is not None]
    return mean_interval(known) if known else None


def compare(records: Sequence[RunRecord]) -> tuple[Comparison, ...]:
    """Sort runs into comparisons, whatever their order; of several runs of one cell and seed the latest counts."""
    latest: dict[tuple[object, ...], RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.finished, r.config_hash)):
        latest[_seat(record)] = record
    kept = sorted(_in_columns(list(latest.values())), key=_seat)
    groups = sorted({(record.dataset, record.task) for record in kept})
    return tuple(
        Comparison(dataset, task, tuple(r for r in kept if (r.dataset, r.task) == (dataset, task)))
        for dataset, task in groups
    )


def doubts(records: Sequence[RunRecord]) -> list[str]:
    """What a reader must know before trusting the comparison of these runs, one line each."""
    notes = []
    for seat, count in sorted(Counter(_seat(record) for record in records).items()):
        if count > 1:
            dataset, task, technique, fraction, seed = seat
            notes.append(
                f"{dataset}, {task}, {technique.label}, {percent(fraction)}, seed {seed}: "
                f"{count} runs; only the one that finished last counts"
            )
    for comparison in compare(records):
        leaking = [record.leaks for record in comparison.records if record.leaks]
        if leaking:
            notes.append(
                f"{comparison.title}: {len(leaking)} of {len(comparison.records)} runs were scored on a split with up "
                f"to {max(leaking)} pairs of the same image or patient on two sides; their scores are too good"
            )
        spoilt = [r for r in comparison.records if r.pretraining is not None and r.pretraining.contaminated]
        if spoilt:
            notes.append(
                f"{comparison.title}: {len(spoilt)} of {len(comparison.records)} runs started from pre-training that "
                "had seen their validation or test images, which was allowed; their scores are too good"
            )
        notes += _unequal_splits(comparison)
        again = [record for record in comparison.records if record.restarts]
        if again:
            named = ", ".join(f"{technique_of(record).label} seed {record.seed}" for record in again)
            notes.append(
                f"{comparison.title}: {len(again)} runs collapsed and began again with other weights, up to "
                f"{max(record.restarts for record in again)} times ({named})"
            )
        contents = {record.data_hash for record in comparison.records}
        if len(contents) > 1:
            notes.append(
                f"{comparison.title}: the runs saw {len(contents)} different contents of the data set "
                f"({', '.join(sorted(digest[:8] for digest in contents))}); compare them with care"
            )
    return notes


def _unequal_splits(comparison: Comparison) -> list[str]:
    """A line for each seed and label fraction whose runs did not learn from, and be tested on, the same images."""
    notes = []
    for seed in sorted({record.seed for record in comparison.records}):
        for fraction in comparison.fractions:
            own = [r for r in comparison.records if (r.seed, r.label_fraction) == (seed, fraction)]
            splits = len({record.split_hash for record in own})
            if splits > 1:
                notes.append(
                    f"{comparison.title}, seed {seed} at {percent(fraction)}: {splits} different splits; these runs "
                    "were not all trained and tested on the same images"
                )
    return notes


def _in_columns(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs that asked for the same number of images or patients as one column, whatever share it was for each seed."""
    shares: dict[tuple[str, TaskKind, str], list[float]] = {}
    for record in records:
        if record.labels_asked and not record.labels_asked.endswith("%"):
            shares.setdefault((record.dataset, record.task, record.labels_asked), []).append(record.label_fraction)
    return [
        record if column is None else record.model_copy(update={"label_fraction": sum(column) / len(column)})
        for record in records
        for column in [shares.get((record.dataset, record.task, record.labels_asked))]
    ]


def _seat(record: RunRecord) -> tuple[str, TaskKind, Technique, float, int]:
    return (record.dataset, record.task, technique_of(record), record.label_fraction, record.seed)
