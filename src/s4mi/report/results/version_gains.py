"""What the annotations merged into a data set brought: each technique on the newest version beside itself on an older.

Two runs make a pair where they differ in the version alone: the same data set, technique, settings, pre-training and
seed, and the same test images with the same truth. Then what is left of a difference is the labels, and chance.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from s4mi.maths.paired import holm, paired_seeds
from s4mi.maths.stats import mean_interval
from s4mi.records import RunRecord, TaskKind
from s4mi.report.results.comparison import Comparison, Technique, compare, technique_of
from s4mi.report.results.paired_tests import ALPHA, TestResult, over_shared_patients, unit_of_all
from s4mi.report.results.runs import ReportRun, run_key
from s4mi.report.results.scores import TASK_NAMES, Metric, metric_of, percent, score_of
from s4mi.report.results.tables import MeanScore, span

FEW = 3
"""Fewer seeds than these tell nearly nothing."""
TITLE = "What the new annotations brought"


@dataclass(frozen=True)
class VersionGain:
    """One technique with one amount of labels, on an older version and on the newest; the same seeds in both.

    Attributes:
        labels: labelled training images before and after, as text. amount: of the labels, such as `100 %`.
        seeds: after less before, over seeds; one alone has no interval and no test.
        patients: over the patients, or images, that both were tested on; None where a run left no scores of images.
        tested: test images of each seed.
    """

    technique: Technique
    amount: str
    version: int
    labels: tuple[str, str]
    before: MeanScore
    after: MeanScore
    seeds: TestResult
    patients: TestResult | None
    tested: tuple[int, ...]

    @property
    def line(self) -> str:
        """As a line of text."""
        return (
            f"{self.technique.label}, {self.amount}: {self.labels[0]} → {self.labels[1]} labels, {self.before.value} → "
            f"{self.after.value}, {self.seeds.difference} (n = {self.seeds.n})"
        )


@dataclass(frozen=True)
class VersionGains:
    """All such pairs of one data set and task; `rows` is never empty. `alone` runs of older versions have no pair."""

    dataset: str
    task: TaskKind
    version: int
    metric: Metric
    rows: tuple[VersionGain, ...]
    alone: int

    @property
    def title(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}"

    @property
    def over_patients(self) -> bool:
        return any(row.patients for row in self.rows)

    @property
    def unit(self) -> str:
        """Over whom the second test is."""
        return unit_of_all(row.patients for row in self.rows)

    @property
    def sentence(self) -> str:
        """What may be said, which with few seeds is little."""
        last = self.rows[-1]
        since = self._since
        told = (
            f"with {last.labels[1]} labels instead of {last.labels[0]} (version {self.version} after {last.version}) "
        )
        if len(since) == 1:
            told += (
                f"{last.technique.label} has {self.metric.label} {last.after.value} instead of {last.before.value}, "
                f"{last.seeds.difference}"
            )
        else:
            better = sum(self._better(row) for row in since)
            worse = sum(self._better(row, sign=-1) for row in since)
            told += (
                f"the mean {self.metric.label} is better in {better} and worse in {worse} of {len(since)} comparisons"
            )
        return f"{told}; {self._sureness(since)}. {self.caution}".strip()

    @property
    def brief(self) -> str:
        """The same in fewer words, without the caution."""
        since = self._since
        before, after = since[-1].labels
        better, worse = (sum(self._better(row, sign=sign) for row in since) for sign in (1, -1))
        sure = sum(row.seeds.told_apart for row in since)
        return (
            f"{self.metric.label} with {after} labels instead of {before} better in {better} and worse in {worse} of "
            f"{len(since)}, {sure or 'none'} beyond chance"
        )

    @property
    def caution(self) -> str:
        """What to do where there are few seeds; empty where there are not."""
        n, old = max(row.seeds.n for row in self._since), self._since[-1].version
        if n >= FEW:
            return ""
        return (
            f"{n} seed{'s tell' if n > 1 else ' tells'} nearly nothing: make more on both versions (seeds=…, and once "
            f"with data.version={old})."
        )

    @property
    def tested(self) -> str:
        """Test images of a seed."""
        return span([count for row in self.rows for count in row.tested])

    @property
    def _since(self) -> list[VersionGain]:
        """The rows on the newest of the older versions."""
        return [row for row in self.rows if row.version == self.rows[-1].version]

    def _better(self, row: VersionGain, *, sign: int = 1) -> bool:
        """Whether the mean is, or with `sign` -1 worse."""
        return sign * row.seeds.test.difference.mean * (1 if self.metric.higher_is_better else -1) > 0

    def _sureness(self, rows: Sequence[VersionGain]) -> str:
        ns = [row.seeds.n for row in rows]
        seeds = f"n = {span(ns)} seed{'' if max(ns) == 1 else 's'}"
        sure = [row for row in rows if row.seeds.told_apart]
        words = f"paired over {seeds}, p < {ALPHA:g} after Holm's correction"
        if max(ns) == 1:
            told = "with n = 1 seed nothing can be tested"
        elif not sure:
            told = f"none of it is beyond chance ({words})" if len(rows) > 1 else f"that may be chance ({words})"
        else:
            better = sum(self._better(row) for row in sure)
            whole = f"better in {better}" + (f", worse in {len(sure) - better}" if better < len(sure) else "")
            if len(rows) == 1:
                whole = "that it is better" if better else "that it is worse"
            told = f"beyond chance: {whole} ({words})"
        return told


ByTask = Mapping[tuple[str, TaskKind], VersionGains]
"""By data set, with its version, and task."""


def gains_of(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> VersionGains | None:
    """What the newest version of a comparison's data set brought over the first one, and over the one before it.

    Args:
        runs: those of the comparison, and of older versions.

    Returns:
        None where no run of an older version makes a pair with one of the comparison.
    """
    there = {run_key(record) for record in comparison.records}
    own = [run for run in runs if run_key(run.record) in there]
    if not own:
        return None
    name, version = data_set_of(own[0].record)
    older = [
        run
        for run in runs
        if (run.record.task, data_set_of(run.record)[0]) == (comparison.task, name)
        and data_set_of(run.record)[1] < version
    ]
    pairs: dict[tuple[int, float, str, Technique], list[tuple[ReportRun, ReportRun]]] = {}
    paired: set[str] = set()
    for before in sorted(older, key=lambda run: run.record.finished):
        for after in own:
            if _alike(before.record, after.record, metric):
                record = after.record
                key = (data_set_of(before.record)[1], record.label_fraction, _amount(record), technique_of(record))
                kept = [pair for pair in pairs.get(key, []) if pair[1] is not after]  # made again: the last one counts
                pairs[key] = [*kept, (before, after)]
                paired.add(before.directory)
    versions = {key[0] for key in pairs}
    if not versions:
        return None
    shown = sorted(key for key in pairs if key[0] in (min(versions), max(versions)))
    rows = [_gain(old, amount, technique, pairs[key], metric) for key in shown for old, _, amount, technique in [key]]
    over_seeds = holm([row.seeds.test.p for row in rows])
    over_patients = holm([None if row.patients is None else row.patients.test.p for row in rows])
    corrected = tuple(
        replace(row, seeds=replace(row.seeds, holm=s), patients=row.patients and replace(row.patients, holm=p))
        for row, s, p in zip(rows, over_seeds, over_patients, strict=True)
    )
    return VersionGains(
        dataset=name,
        task=comparison.task,
        version=version,
        metric=metric,
        rows=corrected,
        alone=sum(run.directory not in paired for run in older),
    )


def gains_by_task(runs: Sequence[ReportRun], older: Sequence[ReportRun] = ()) -> ByTask:
    """Of every data set and task of `runs`, by the score that leads the task; those without any are not there.

    Args:
        older: runs on older versions of the data sets, which count for nothing else.
    """
    found = (
        (comparison, gains_of(comparison, metric_of(comparison.task), [*runs, *older]))
        for comparison in compare([run.record for run in runs])
    )
    return {(comparison.dataset, comparison.task): one for comparison, one in found if one is not None}


def older_versions(runs: Sequence[ReportRun], named: Collection[str]) -> list[ReportRun]:
    """Those of runs that are on an older version of a data set than any run in the folders `named`."""
    oldest: dict[tuple[str, TaskKind], int] = {}
    for run in runs:
        if run.directory in named:
            name, version = data_set_of(run.record)
            key = (name, run.record.task)
            oldest[key] = min(version, oldest.get(key, version))
    return [
        run
        for run in runs
        if run.directory not in named
        for name, version in [data_set_of(run.record)]
        if version < oldest.get((name, run.record.task), 1)
    ]


def head_sentence(gains: Sequence[VersionGains]) -> list[str]:
    """For the head of a report: one on all that is known of new annotations, none where nothing is."""
    if not gains:
        return []
    if len(gains) == 1:
        return [f"New annotations: {gains[0].sentence}"]
    told = "; ".join(f"{one.title}, {one.brief}" for one in gains)
    return [f"New annotations: {told}. {next((one.caution for one in gains if one.caution), '')}".strip()]


def data_set_of(record: RunRecord) -> tuple[str, int]:
    """The data set of a run without its version, and that; runs that do not know theirs are of the first."""
    version = 1 if record.data is None else record.data.version
    return record.dataset.removesuffix(f", version {version}"), version


def _alike(before: RunRecord, after: RunRecord, metric: Metric) -> bool:
    """Whether two runs of different versions differ in nothing but the labels that they learnt from."""
    if before.data is None or after.data is None or not after.label_fraction:
        return False
    if score_of(before, metric) is None or score_of(after, metric) is None:
        return False
    return _settings(before) == _settings(after) and _tested_on(before) == _tested_on(after)


def _settings(record: RunRecord) -> tuple[object, ...]:
    start = None if record.pretraining is None else record.pretraining.weights_hash
    return technique_of(record), record.config_hash, record.seed, start


def _tested_on(record: RunRecord) -> tuple[object, ...]:
    """Images and truth: a class more, or a corrected mask, would be another test."""
    assert record.data is not None
    assert record.test is not None
    truth = {name: scores.support for name, scores in record.test.per_class.items()}
    return record.classes, record.data.parts["test"], truth


def _amount(record: RunRecord) -> str:
    return record.labels_asked or percent(record.label_fraction)


def _gain(
    version: int,
    amount: str,
    technique: Technique,
    pairs: Sequence[tuple[ReportRun, ReportRun]],
    metric: Metric,
) -> VersionGain:
    before, after = [before.record for before, _ in pairs], [after.record for _, after in pairs]
    scores = [[score_of(record, metric) or 0.0 for record in records] for records in (before, after)]
    differences = [new - old for old, new in zip(*scores, strict=True)]
    cells = [MeanScore.of(mean_interval(values), len(values), metric) for values in scores]
    return VersionGain(
        technique=technique,
        amount=amount,
        version=version,
        labels=(_labels(before), _labels(after)),
        before=cells[0],
        after=cells[1],
        seeds=TestResult(paired_seeds(differences), metric.digits, bounded=metric.bounded),
        patients=over_shared_patients([(new, old) for old, new in pairs], metric),
        tested=tuple(record.labels.test for record in after),
    )


def _labels(records: Sequence[RunRecord]) -> str:
    return span([record.labels.train_labelled for record in records])
