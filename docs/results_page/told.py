"""What the page says of packed studies: tables and sentences, with the functions of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from compact_records import ENDING, CompactStudy, read_compact

from s4mi.active_learning.strategies import RANDOM
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import TaskKind
from s4mi.reporting.results.comparison import Comparison, Technique, compare, technique_of
from s4mi.reporting.results.crossed_tests import crossed_test
from s4mi.reporting.results.external_tables import external_table
from s4mi.reporting.results.few import and_few
from s4mi.reporting.results.findings import findings_of
from s4mi.reporting.results.paired_tests import ALPHA, TestResult, compared, probability
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import Metric, metric_of, percent, score_of, spread
from s4mi.reporting.results.shared_seeds import in_common
from s4mi.reporting.results.simulation import SimulationCurve, curves_of
from s4mi.reporting.results.table_model import Table, counted_once
from s4mi.reporting.results.tables import ResultTable, result_table, score_table
from s4mi.reporting.results.verdict import finding_sentences
from s4mi.reporting.writers.markdown import markdown_text, table_markdown
from s4mi.reporting.writers.simulation import (
    read_simulation,
    sentences_markdown,
    simulation_sentences,
    simulation_tables,
)

FEWEST_AMOUNTS = 4
"""Label fractions that a question about amounts of labels needs; see `maths.label_efficiency`."""
OF_AMOUNTS = ("Full supervision: no supervised technique", "Labels needed")
Labels = int | str
"""A column of a table: a number of labels, or `10 %`."""


@dataclass(frozen=True)
class Told:
    """The runs of one data set and task, from one or several studies.

    Attributes:
        arms: technique of each arm, by its name in the study file.
    """

    comparison: Comparison
    runs: tuple[ReportRun, ...]
    metric: Metric
    arms: dict[str, Technique]

    @cached_property
    def results(self) -> ResultTable:
        return result_table(self.comparison, self.metric, self.runs)

    def table(self) -> str:
        """Scores by technique and label fraction, with a caption."""
        return _markdown(counted_once(score_table(self.results)))

    def external(self, name: str) -> str:
        """Internal and external scores, with a caption."""
        return _markdown(counted_once(external_table(self.comparison, self.metric, name)))

    def findings(self) -> str:
        """The sentences of a report on these runs, as a list; without those on what a study was not to answer."""
        sentences = finding_sentences(findings_of(self.comparison, self.results, self.runs))
        if len(self.comparison.fractions) < FEWEST_AMOUNTS:
            sentences = [one for one in sentences if not one.startswith(OF_AMOUNTS)]
        return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)

    def score(self, arm: str, labels: Labels) -> str:
        """`0.863 ± 0.016 (n = 5 seeds, 40 test images)`."""
        fraction, technique = self._fraction(labels), self._technique(arm)
        column = [each.fraction for each in self.results.columns].index(fraction)
        cell = next(row.cells[column] for row in self.results.rows if row.technique == technique)
        seeds = plural(cell.interval.n if cell.interval else 0, "seed")
        return f"{cell.value} (n = {and_few(f'{seeds}, {self._images(technique, fraction)}', cell.interval)})"

    def lead(self, one: str, other: str, labels: Labels, *, labels_of_other: Labels | None = None) -> str:
        """`A is ahead of B by 0.047 ± 0.012 (n = …)`, `A is behind …` or `A and B are not told apart: +0.003 ± …`."""
        first, second = self._technique(one), self._technique(other)
        result, images = self._paired(first, second, labels, labels_of_other)
        n = and_few(f"{plural(result.n, 'seed')}, {images}", result.test.difference)
        count = f"n = {n}, p {compared(result.p)}"
        if result.test.p is None or result.test.p >= ALPHA:
            return f"{result.difference} ({count}), not told apart"
        return f"{result.difference} ({count})"

    def leads(self, reference: str, labels: Labels) -> str:
        """The paired difference of every other technique from one, at one number of labels, as a table."""
        fraction, base = self._fraction(labels), self._technique(reference)
        lines = [f"| less {markdown_text(base.label)} | difference | seeds | p |", "| --- | --- | ---: | ---: |"]
        for technique in self.comparison.techniques:
            if technique == base or not in_common(self.comparison, self.metric, technique, base, fraction=fraction):
                continue
            result, _ = self._paired(technique, base, labels, None)
            own = markdown_text(technique.label)
            lines.append(f"| {own} | {result.difference} | {result.n} | {result.p} |")
        return "\n".join(lines)

    def has(self, *arms: str) -> bool:
        """Whether there are runs of all these arms."""
        return self.arms.keys() >= set(arms)

    def has_at(self, arm: str, labels: Labels) -> bool:
        """Whether there are runs of an arm at this number of labels."""
        try:
            return self.has(arm) and bool(self.comparison.at(self._technique(arm), self._fraction(labels)))
        except S4miError:  # no run of any arm is there
            return False

    def seconds(self, arm: str, labels: Labels) -> str:
        """Median seconds of a run, with the size of the machine's queue around its end."""
        records = self.comparison.at(self._technique(arm), self._fraction(labels))
        each = sorted(record.cost.seconds for record in records)
        return f"{each[len(each) // 2]:.3g} s"

    def _paired(
        self, one: Technique, other: Technique, labels: Labels, labels_of_other: Labels | None
    ) -> tuple[TestResult, str]:
        fraction = self._fraction(labels)
        if labels_of_other is None:
            pairs = in_common(self.comparison, self.metric, one, other, fraction=fraction)
        else:
            others = {r.seed: r for r in self.comparison.at(other, self._fraction(labels_of_other))}
            pairs = [(r, others[r.seed]) for r in self.comparison.at(one, fraction) if r.seed in others]
        if not pairs:
            raise S4miError(f"{self.comparison.title}: {one.label} and {other.label} share no seed at {labels} labels")
        test = crossed_test(pairs, self.metric, self.results.influences)
        return TestResult(test, self.metric.digits), self._images(one, fraction)

    def _images(self, technique: Technique, fraction: float) -> str:
        images = {record.labels.test for record in self.comparison.at(technique, fraction)}
        return plural(max(images), "test image")

    def _technique(self, arm: str) -> Technique:
        if arm not in self.arms:
            raise S4miError(f"{self.comparison.title}: no arm {arm!r}; there are {', '.join(sorted(self.arms))}")
        return self.arms[arm]

    def _fraction(self, labels: Labels) -> float:
        """Label fraction of a column, given as `10 %` or as a number of labels."""
        for fraction in self.comparison.fractions:
            fewest, most = self.comparison.labelled(fraction)
            if labels == percent(fraction) or (isinstance(labels, int) and fewest <= labels <= most):
                return fraction
        raise S4miError(f"{self.comparison.title}: no column of {labels} labels")


@dataclass(frozen=True)
class Simulated:
    """A simulation of strategies of annotation, compared with random choice.

    Attributes:
        runs: trained networks behind it; the start of a seed is one, whatever the number of strategies.
    """

    curves: tuple[SimulationCurve, ...]
    metric: Metric
    runs: int

    def tables(self) -> str:
        """Scores by number of labels, and their differences to random choice."""
        return "\n\n".join(simulation_tables(self.curves, self.metric, reference=RANDOM))

    @property
    def better(self) -> list[str]:
        """Strategies that are better than random choice beyond chance."""
        tested = [(one.strategy, one.gain.mean, one.p) for one in self.curves if one.gain and one.p is not None]
        return [strategy for strategy, gain, p in tested if gain > 0 and p < ALPHA]

    def gain(self, strategy: str) -> str:
        """`+0.012 ± 0.009 (n = 10 seeds, Holm-corrected p = 0.031)`."""
        curve = next(curve for curve in self.curves if curve.strategy == strategy)
        if curve.gain is None:
            raise S4miError(f"{strategy} has no gain over random choice")
        difference = f"{curve.gain.mean:+.{self.metric.digits}f}".replace("-", "−")
        width = spread(curve.gain, digits=self.metric.digits, signed=True)
        n = plural(curve.gain.n, "seed")
        return f"{difference}{width} (n = {n}, Holm-corrected p {compared(probability(curve.p))})"

    def sentences(self) -> str:
        """What each strategy gains over random choice, as a list."""
        lines = simulation_sentences(self.curves, self.metric, reference=RANDOM)
        return sentences_markdown([markdown_text(line) for line in lines])


class Records:
    """The packed studies of a folder, read once each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._studies: dict[str, CompactStudy] = {}

    def study(self, name: str) -> CompactStudy:
        """One study by the name of its file."""
        if name not in self._studies:
            self._studies[name] = read_compact(self.folder / f"{name}{ENDING}")
        return self._studies[name]

    def on(self, dataset: str, task: TaskKind, *studies: str, metric: str | None = None) -> Told:
        """The runs of several studies on one data set and task."""
        runs = [run for name in studies for run in self.study(name).runs]
        runs = [run for run in runs if (run.record.dataset, run.record.task) == (dataset, task)]
        comparisons = compare([run.record for run in runs])
        if len(comparisons) != 1:
            raise S4miError(f"{dataset}, {task}: {len(comparisons)} comparisons in {', '.join(studies)}")
        return Told(comparisons[0], tuple(runs), metric_of(task, metric), _arms(runs))

    def simulation(self, name: str, task: TaskKind) -> Simulated:
        """The simulation whose `simulation.csv` is in this folder."""
        metric = metric_of(task)
        scores = read_simulation(self.folder / name, metric)
        if not scores:
            raise S4miError(f"{self.folder / name}: no simulation.csv")
        runs = {(one.seed, one.round, one.strategy if one.round else "") for one in scores}
        return Simulated(tuple(curves_of(scores, reference=RANDOM, limits=metric.limits)), metric, len(runs))

    def has(self, *names: str) -> bool:
        """Whether the records of all these studies are there."""
        return all((self.folder / f"{name}{ENDING}").is_file() for name in names)

    def measured(self, name: str) -> dict[str, str]:
        """What was measured of a study as a whole."""
        return self.study(name).measured

    def runs(self, name: str) -> int:
        """Number of runs of a study."""
        return len(self.study(name).runs)

    def scored(self, names: Sequence[str]) -> int:
        """Number of runs of several studies that have a test score."""
        every = [run.record for name in names for run in self.study(name).runs]
        return sum(score_of(record, metric_of(record.task)) is not None for record in every)


def _arms(runs: Sequence[ReportRun]) -> dict[str, Technique]:
    """Technique by arm: run folders are called ARM-LABELS-seedN."""
    return {Path(run.directory).name.rsplit("-", 2)[0]: technique_of(run.record) for run in runs}


def _markdown(table: Table) -> str:
    return f"{table_markdown(table)}\n\n{markdown_text(table.caption)}" if table.caption else table_markdown(table)
