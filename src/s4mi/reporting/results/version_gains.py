"""Effect of new annotations: each technique on the newest version of a data set and on an older one.

Two runs are paired if they differ in the version alone: same data set, technique, settings, pre-training and seed, and
the same test images with the same ground truth. Any difference is then due to the labels, or chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from s4mi.formatting import plural
from s4mi.maths.paired import holm
from s4mi.records import RunRecord, TaskKind
from s4mi.reporting.results.comparison import Comparison, Technique, compare, technique_of
from s4mi.reporting.results.crossed_tests import crossed_test
from s4mi.reporting.results.dataset_versions import dataset_and_version, is_older
from s4mi.reporting.results.label_names import span
from s4mi.reporting.results.paired_tests import ALPHA, TestResult, over_shared_patients, unit_of_all
from s4mi.reporting.results.patient_effects import crossed_score, few_patients, patient_influences
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import TASK_NAMES, Metric, metric_of, percent, score_of
from s4mi.reporting.results.tables import MeanScore

FEW = 3
"""Fewer seeds are too few to conclude anything."""
TITLE = "Effect of new annotations"


@dataclass(frozen=True)
class VersionGain:
    """One technique at one label amount, on an older version and on the newest, with the same seeds.

    Attributes:
        amount: label amount as configured, such as `100 %`. labels: labelled images before and after, as text.
        seeds: after minus before, over seeds; a single seed has neither interval nor test.
        patients: after minus before, over shared patients or images; None if a run has no per-image results.
        tested: number of test images of each seed.
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
        """Labels, scores and difference in one line."""
        return (
            f"{self.technique.label}, {self.amount}: {self.labels[0]} → {self.labels[1]} labels, {self.before.value} → "
            f"{self.after.value}, {self.seeds.difference} (n = {self.seeds.n})"
        )


@dataclass(frozen=True)
class VersionGains:
    """All pairs of one data set and task; `rows` is never empty, `unpaired` counts runs on older versions.

    Attributes:
        suffix: how labels are counted, where other runs on the same data set and task count otherwise.
    """

    dataset: str
    task: TaskKind
    version: int
    metric: Metric
    rows: tuple[VersionGain, ...]
    unpaired: int
    suffix: str = ""

    @property
    def title(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}{self.suffix}"

    @property
    def over_patients(self) -> bool:
        return any(row.patients for row in self.rows)

    @property
    def unit(self) -> str:
        """What the second test counts: `patients` or `images`."""
        return unit_of_all(row.patients for row in self.rows)

    @property
    def sentence(self) -> str:
        """Effect of the newest annotations, its significance, and a caution if there are few seeds."""
        rows, name = self._latest, self.metric.label
        last = rows[-1]
        text = f"with {last.labels[1]} labels instead of {last.labels[0]} (version {last.version} → {self.version}) "
        if len(rows) == 1:
            scores = f"{last.after.value} instead of {last.before.value}, {last.seeds.difference}"
            text += f"{last.technique.label} reaches {name} {scores}"
        else:
            better, worse = self._directions(rows)
            text += f"the mean {name} is better in {better} and worse in {worse} of {len(rows)} comparisons"
        return f"{text}; {self._significance(rows)}. {self.caution}".strip()

    @property
    def brief(self) -> str:
        """The sentence in fewer words, without the caution."""
        rows = self._latest
        before, after = rows[-1].labels
        better, worse = self._directions(rows)
        count = sum(row.seeds.significant for row in rows)
        return (
            f"{self.metric.label} with {after} labels instead of {before} better in {better} and worse in {worse} of "
            f"{len(rows)}, {count or 'none'} significant"
        )

    @property
    def caution(self) -> str:
        """Advice to run more seeds; empty if there are enough."""
        n, old = max(row.seeds.n for row in self._latest), self._latest[-1].version
        if n >= FEW:
            return ""
        return (
            f"{plural(n, 'seed')} {'is' if n == 1 else 'are'} too few to conclude anything: run more on both versions "
            f"(seeds=…, and again with data.version={old})."
        )

    @property
    def tested(self) -> str:
        """Number of test images per seed."""
        return span([count for row in self.rows for count in row.tested])

    @property
    def _latest(self) -> list[VersionGain]:
        """Rows that compare with the newest of the older versions."""
        return [row for row in self.rows if row.version == self.rows[-1].version]

    def _directions(self, rows: Sequence[VersionGain]) -> tuple[int, int]:
        """Number of rows whose mean is better, and whose mean is worse."""
        sign = 1 if self.metric.higher_is_better else -1
        differences = [sign * row.seeds.test.difference.mean for row in rows]
        return sum(difference > 0 for difference in differences), sum(difference < 0 for difference in differences)

    def _significance(self, rows: Sequence[VersionGain]) -> str:
        ns = [row.seeds.n for row in rows]
        if max(ns) == 1:
            return "not tested (n = 1 seed)"
        significant = [row for row in rows if row.seeds.significant]
        test = f"(paired over n = {span(ns)} seeds, p < {ALPHA:g} after Holm's correction)"
        if not significant:
            return f"{'the difference is not' if len(rows) == 1 else 'no difference is'} significant {test}"
        better, worse = self._directions(significant)
        if len(rows) == 1:
            return f"significantly {'better' if better else 'worse'} {test}"
        return f"significantly better in {better}{f', significantly worse in {worse}' if worse else ''} {test}"


ByTask = Mapping[tuple[str, TaskKind, bool], VersionGains]
"""Gains by data set, with its version, task and whether validation labels count: by the `key` of a comparison."""


def gains_of(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> VersionGains | None:
    """Compare the newest version of a data set with the first one, and with the one before it.

    Args:
        runs: runs of the comparison, and of older versions.

    Returns:
        None if no run of an older version can be paired.
    """
    keys = {run_key(record) for record in comparison.records}
    newest = [run for run in runs if run_key(run.record) in keys]
    if not newest:
        return None
    name, version = dataset_and_version(newest[0].record)
    older = [run for run in runs if is_older(run.record, newest[0].record)]
    pairs: dict[tuple[int, float, str, Technique], list[tuple[ReportRun, ReportRun]]] = {}
    paired: set[str] = set()
    for before in sorted(older, key=lambda run: run.record.finished):
        for after in newest:
            if _comparable(before.record, after.record, metric):
                record = after.record
                old = dataset_and_version(before.record)[1]
                key = (old, record.label_fraction, _label_amount(record), technique_of(record))
                kept = [pair for pair in pairs.get(key, []) if pair[1] is not after]  # of repeated runs the last counts
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
        unpaired=sum(run.directory not in paired for run in older),
        suffix=comparison.suffix,
    )


def gains_by_task(runs: Sequence[ReportRun], older: Sequence[ReportRun] = ()) -> ByTask:
    """Compute the gains of every data set and task of `runs` that has any, by the primary metric.

    Args:
        older: further runs on older versions of the data sets.
    """
    gains = (
        (comparison, gains_of(comparison, metric_of(comparison.task), [*runs, *older]))
        for comparison in compare([run.record for run in runs])
    )
    return {comparison.key: gain for comparison, gain in gains if gain is not None}


def summary_sentences(gains: Sequence[VersionGains]) -> list[str]:
    """One sentence on the effect of new annotations for the head of a report; none without gains."""
    if not gains:
        return []
    if len(gains) == 1:
        return [f"New annotations: {gains[0].sentence}"]
    text = "; ".join(f"{one.title}, {one.brief}" for one in gains)
    return [f"New annotations: {text}. {next((one.caution for one in gains if one.caution), '')}".strip()]


def _comparable(before: RunRecord, after: RunRecord, metric: Metric) -> bool:
    """Whether two runs on different versions differ in their training labels alone."""
    if before.data is None or after.data is None or not after.label_fraction:
        return False
    if score_of(before, metric) is None or score_of(after, metric) is None:
        return False
    return _settings(before) == _settings(after) and _test_set(before) == _test_set(after)


def _settings(record: RunRecord) -> tuple[object, ...]:
    start = None if record.pretraining is None else record.pretraining.weights_hash
    return technique_of(record), record.config_hash, record.seed, start


def _test_set(record: RunRecord) -> tuple[object, ...]:
    """Test images and ground truth: with another class or a corrected mask, scores would not be comparable."""
    assert record.data is not None
    assert record.test is not None
    support = {name: scores.support for name, scores in record.test.per_class.items()}
    return record.classes, record.data.parts["test"], support


def _label_amount(record: RunRecord) -> str:
    return record.labels_asked or percent(record.label_fraction)


def _gain(
    version: int, amount: str, technique: Technique, pairs: Sequence[tuple[ReportRun, ReportRun]], metric: Metric
) -> VersionGain:
    before, after = [before.record for before, _ in pairs], [after.record for _, after in pairs]
    both = [run for pair in pairs for run in pair]
    influences, few = patient_influences(both, metric), few_patients(both, metric) if len(pairs) > 1 else {}
    cells = [
        MeanScore.of(crossed_score(records, metric, influences, few), len(records), metric)
        for records in (before, after)
    ]
    return VersionGain(
        technique=technique,
        amount=amount,
        version=version,
        labels=(_labels(before), _labels(after)),
        before=cells[0],
        after=cells[1],
        seeds=TestResult(crossed_test(list(zip(after, before, strict=True)), metric, influences), metric.digits),
        patients=over_shared_patients([(new, old) for old, new in pairs], metric),
        tested=tuple(record.labels.test for record in after),
    )


def _labels(records: Sequence[RunRecord]) -> str:
    return span([record.labels.n for record in records])
