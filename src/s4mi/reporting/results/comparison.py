"""Comparisons: the runs of one data set and task, one per technique, backbone, label fraction and seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from s4mi.formatting import plural
from s4mi.maths.stats import Interval, mean_interval
from s4mi.records import RunRecord, TaskKind
from s4mi.reporting.results.label_names import amount_in_words, amount_name, amount_of, asked_count
from s4mi.reporting.results.notes import shortened
from s4mi.reporting.results.scores import TASK_NAMES, Metric, baseline_value, majority_value, percent, score_of
from s4mi.reporting.results.technique_names import technique_name

COUNTING = {False: ", labels counted the paper's way", True: ", validation labels counted"}


@dataclass(frozen=True, order=True)
class Technique:
    """A method with its start, on a backbone: one row of a table, one colour in a figure."""

    method: str
    backbone: str

    @property
    def name(self) -> str:
        """The method as readers know it."""
        return technique_name(self.method, self.backbone)

    @property
    def label(self) -> str:
        return f"{self.name} · {self.backbone}"


@dataclass(frozen=True)
class Comparison:
    """Runs that can be compared with each other, one per cell and seed; built by `compare`.

    Attributes:
        records: sorted by technique, label fraction and seed; never empty. They count labels alike.
        suffix: how they count labels, where other runs on the same data set and task count otherwise.
    """

    dataset: str
    task: TaskKind
    records: tuple[RunRecord, ...]
    suffix: str = ""

    @property
    def title(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}{self.suffix}"

    @property
    def key(self) -> tuple[str, TaskKind, bool]:
        """Data set, task and whether validation labels count; a report has one comparison of each."""
        return self.dataset, self.task, self.records[0].labels.counted

    @property
    def synthetic(self) -> bool:
        """Whether any of the images are synthetic."""
        return any(record.synthetic for record in self.records)

    @property
    def techniques(self) -> tuple[Technique, ...]:
        return tuple(sorted({technique_of(record) for record in self.records}))

    @property
    def fractions(self) -> tuple[float, ...]:
        """Label fractions in percent, smallest first."""
        return tuple(sorted({record.label_fraction for record in self.records}))

    @cached_property
    def _cells(self) -> dict[tuple[Technique, float], tuple[RunRecord, ...]]:
        """Records by cell: a report asks for each many times."""
        cells: dict[tuple[Technique, float], list[RunRecord]] = {}
        for record in self.records:
            cells.setdefault((technique_of(record), record.label_fraction), []).append(record)
        return {cell: tuple(records) for cell, records in cells.items()}

    def at(self, technique: Technique, fraction: float) -> tuple[RunRecord, ...]:
        """The runs of one cell, by seed."""
        return self._cells.get((technique, fraction), ())

    def labelled(self, fraction: float) -> tuple[int, int]:
        """Fewest and most labels among the runs at `fraction`, as they count them; seeds may differ by an image."""
        counts = [record.labels.n for record in self.records if record.label_fraction == fraction]
        return min(counts), max(counts)

    def asked(self, fraction: float) -> str:
        """The number of images or patients that the runs at `fraction` asked for; empty for a share of the labels."""
        return asked_count(record for record in self.records if record.label_fraction == fraction)

    def amount_name(self, fraction: float) -> str:
        """Name of a label fraction: `10 %`, or `5 patients (12.3 %)`."""
        return amount_name(self.asked(fraction), fraction)

    def short_amount(self, fraction: float) -> str:
        """`10 %`, or `5 patients`."""
        return self.asked(fraction) or percent(fraction)

    def amount_in_words(self, fraction: float) -> str:
        """`10 % of the labels`, or `5 patients (12.3 % of the labels)`."""
        return amount_in_words(self.asked(fraction), fraction)

    def interval(self, technique: Technique, fraction: float, metric: Metric) -> Interval | None:
        """Mean test score over seeds, or None where no run of the cell has one."""
        return interval_over(
            self.at(technique, fraction), lambda record: score_of(record, metric), limits=metric.limits
        )

    def majority(self, fraction: float, metric: Metric) -> Interval | None:
        """Score of always predicting the majority; one value per seed, as techniques share their labelled images."""
        return self._of_constant(fraction, metric, majority_value)

    def baseline(self, fraction: float, metric: Metric) -> Interval | None:
        """Score of the baseline without training (`baseline_name`), like `majority`."""
        return self._of_constant(fraction, metric, baseline_value)

    def _of_constant(
        self, fraction: float, metric: Metric, value_of: Callable[[RunRecord, Metric], float | None]
    ) -> Interval | None:
        by_seed = {
            record.seed: value
            for record in self.records
            if record.label_fraction == fraction and (value := value_of(record, metric)) is not None
        }
        return mean_interval(list(by_seed.values()), limits=metric.limits) if by_seed else None


def technique_of(record: RunRecord) -> Technique:
    """The row a run belongs to."""
    return Technique(record.technique or record.method, record.backbone)


def interval_over(
    records: Sequence[RunRecord], value: Callable[[RunRecord], float | None], *, limits: tuple[float, float]
) -> Interval | None:
    """Mean and interval of the values that are not None, within the limits of such values; None without any."""
    known = [number for record in records if (number := value(record)) is not None]
    return mean_interval(known, limits=limits) if known else None


def compare(records: Sequence[RunRecord]) -> tuple[Comparison, ...]:
    """Group runs into comparisons, in any order; of several runs of one cell and seed only the last finished counts."""
    latest: dict[tuple[object, ...], RunRecord] = {}
    for record in sorted(records, key=lambda r: (r.finished, r.config_hash)):
        latest[cell_and_seed(record)] = record
    kept = sorted(_in_columns(list(latest.values())), key=cell_and_seed)
    groups = sorted({(record.dataset, record.task, record.labels.counted) for record in kept})
    return tuple(
        Comparison(
            dataset, task, tuple(r for r in kept if (r.dataset, r.task, r.labels.counted) == (dataset, task, counted)),
            suffix=COUNTING[counted] if (dataset, task, not counted) in groups else "",
        )
        for dataset, task, counted in groups
    )  # fmt: skip


def comparison_warnings(records: Sequence[RunRecord]) -> list[str]:
    """Return what limits the comparison of these runs, one line each: repeated runs, leaks, restarts, unequal data."""
    repeated, warnings = [], []
    last = {cell_and_seed(record): record for record in records}
    for cell, count in sorted(Counter(cell_and_seed(record) for record in records).items()):
        if count > 1:
            dataset, task, _, technique, _, seed = cell
            repeated.append(
                f"{dataset}, {task}, {technique.label}, {amount_of(last[cell])}, seed {seed}: "
                f"{count} runs; only the last finished one is included"
            )
    warnings += shortened(repeated, like="repeated runs")
    for comparison in compare(records):
        warnings += _leaks(comparison) + _unequal_splits(comparison) + _restarts(comparison)
        hashes = {record.data_hash for record in comparison.records}
        if len(hashes) > 1:
            warnings.append(
                f"{comparison.title}: the data set changed between runs, which have {len(hashes)} different data "
                f"hashes ({', '.join(sorted(digest[:8] for digest in hashes))}); compare them with care"
            )
        elif len({record.labels_hash for record in comparison.records if record.labels_hash}) > 1:
            warnings.append(f"{comparison.title}: labels changed between runs; compare them with care")
    return warnings


def _leaks(comparison: Comparison) -> list[str]:
    """Warnings on leaking splits and on pre-training that used validation or test images."""
    warnings = []
    total = f"{len(comparison.records)} runs"
    leaks = [record.leaks for record in comparison.records if record.leaks]
    if leaks:
        warnings.append(
            f"{comparison.title}: {len(leaks)} of {total} evaluated on a split with up to "
            f"{plural(max(leaks), 'pair')} of the same image or patient in two parts; their scores are too optimistic"
        )
    contaminated = [r for r in comparison.records if r.pretraining is not None and r.pretraining.contaminated]
    if contaminated:
        warnings.append(
            f"{comparison.title}: {len(contaminated)} of {total} started from pre-training that used their validation "
            "or test images, as their settings allow; their scores are too optimistic"
        )
    return warnings


def _restarts(comparison: Comparison) -> list[str]:
    restarted = [record for record in comparison.records if record.restarts]
    if not restarted:
        return []
    seeds: dict[str, set[int]] = {}
    for record in restarted:
        seeds.setdefault(technique_of(record).label, set()).add(record.seed)
    names = ", ".join(f"{label} seed {', '.join(map(str, sorted(those)))}" for label, those in seeds.items())
    most = plural(max(record.restarts for record in restarted), "time")
    return [
        f"{comparison.title}: {plural(len(restarted), 'run')} collapsed and restarted from new weights, up to {most} "
        f"({names})"
    ]


def _unequal_splits(comparison: Comparison) -> list[str]:
    """Warnings on each seed and label fraction whose runs have other test images or unequal numbers of labels."""
    warnings = []
    for seed in sorted({record.seed for record in comparison.records}):
        for fraction in comparison.fractions:
            records = [r for r in comparison.records if (r.seed, r.label_fraction) == (seed, fraction)]
            where = f"{comparison.title}, seed {seed} at {comparison.amount_name(fraction)}"
            splits = len({part_tested(record) for record in records})
            if splits > 1:
                warnings.append(
                    f"{where}: {splits} different splits; these runs were not all trained and tested on the same images"
                )
            counts = sorted({record.labels.n for record in records})
            if len(counts) > 1:
                warnings.append(f"{where}: runs with {', '.join(map(str, counts))} labels are not compared")
    return shortened(warnings, like=f"unequal splits of {comparison.title}")


def part_tested(record: RunRecord) -> str:
    """Identity of the images that a run was tested on; of its whole split where the record knows no more."""
    return record.split_hash if record.data is None else record.data.parts["test"].hash


def _in_columns(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Set the mean label fraction where runs requested the same number of labels, so that they share a column."""
    shares: dict[tuple[str, TaskKind, bool, str], list[float]] = {}
    for record in records:
        if record.labels_asked and not record.labels_asked.endswith("%"):
            column = (record.dataset, record.task, record.labels.counted, record.labels_asked)
            shares.setdefault(column, []).append(record.label_fraction)
    return [
        record if share is None else record.model_copy(update={"label_fraction": sum(share) / len(share)})
        for record in records
        for share in [shares.get((record.dataset, record.task, record.labels.counted, record.labels_asked))]
    ]


def cell_and_seed(record: RunRecord) -> tuple[str, TaskKind, bool, Technique, float, int]:
    """What tells runs of a comparison apart; of several with the same, the last finished counts."""
    counted = record.labels.counted
    return (record.dataset, record.task, counted, technique_of(record), record.label_fraction, record.seed)
