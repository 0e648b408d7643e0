"""The head of a report: one card per data set and task, with what a clinician asks first.

no network     first of all, if no network is shown to beat the baseline without one
few labels     the best mean with the fewest labels, its interval, and whether its lead is significant
most labels    the same with the most labels tested
baseline       what colour, texture and shape alone reach, where that was tested
labels needed  how many labels a score takes, or why that is not told and what to add
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s4mi.formatting import plural
from s4mi.maths.stats import Interval
from s4mi.records import Part, RunRecord
from s4mi.reporting.results.few import few_words
from s4mi.reporting.results.findings import Findings, Ranking, baseline_caveat
from s4mi.reporting.results.label_efficiency import FULL
from s4mi.reporting.results.label_names import span
from s4mi.reporting.results.scores import TASK_NAMES, Metric, ends
from s4mi.reporting.results.starts import random_starts
from s4mi.reporting.results.training_length import length_sentence
from s4mi.reporting.results.without_network import FEWEST_SEEDS, AtFraction, against_baseline

UNTESTED = "No run was tested yet, so there is nothing to compare."
NO_RUNS = "There is no finished run yet."
WIDE = 0.8
"""Width of an interval that says nothing of a score between 0 and 1."""


@dataclass(frozen=True)
class TaskCard:
    """What was found for one task of a data set.

    Attributes:
        facts: seeds and images behind it, in one line.
        alarm: why its scores, or the choice of its runs, are too optimistic; empty if nothing is known.
        starts: which of its networks began from random weights although others were asked for; empty if none.
        sentences: the answer, most important first.
    """

    findings: Findings
    facts: str
    alarm: str
    starts: str
    sentences: tuple[str, ...]

    @property
    def title(self) -> str:
        comparison = self.findings.comparison
        return f"{comparison.dataset}: {TASK_NAMES[comparison.task]}{comparison.suffix}"

    @property
    def text(self) -> str:
        """The card as one paragraph."""
        return f"{self.title}. {' '.join(filter(None, [self.alarm, self.starts, *self.sentences]))} ({self.facts})"


def task_card(findings: Findings) -> TaskCard:
    """Make the card of one comparison."""
    starts = " ".join(random_starts(findings.comparison.records))
    return TaskCard(findings, _facts(findings), _alarm(findings), starts, tuple(_sentences(findings)))


def _sentences(findings: Findings) -> Iterator[str]:
    if not any((findings.few, findings.full, findings.none)):
        yield UNTESTED
        return
    met = against_baseline(findings)
    unbeaten = [one for one in met if one.outcome != "beaten"]
    if unbeaten and len(unbeaten) == len(met):
        yield _unbeaten(met)
    yield from _by_labels(findings)
    if findings.none is not None:
        best = findings.none.entries[0]
        yield f"Without labels: {_score(findings, best.interval, named=True)}, {best.technique.label}."
    if met:
        yield _baseline(findings, met)
    yield findings.answers.sentence
    if (length := length_sentence(findings.comparison.records)) is not None:
        yield length


def _by_labels(findings: Findings) -> Iterator[str]:
    """The best mean with the fewest labels, and with the most."""
    few, full = findings.few, findings.full
    partial = [ranking for ranking in findings.partial if ranking is not None]
    most = full or (partial[-1] if len(partial) > 1 else None)
    nouns = findings.answers.noun
    if few is not None:
        yield f"With {few.column.labelled} {nouns}: {_best(findings, few, named=True)}."
    if most is not None:
        every = ", all there are" if most.column.fraction == FULL else ""
        start = f"With {most.column.labelled}" if few is not None else f"With {most.column.labelled} {nouns}"
        yield f"{start}{every}: {_best(findings, most, named=few is None)}."


def _best(findings: Findings, ranking: Ranking, *, named: bool) -> str:
    """The first score of a column, whose it is, and whether the next is significantly behind."""
    best, *others = ranking.entries
    text = f"{_score(findings, best.interval, named=named)}, {best.technique.label}{baseline_caveat(ranking)}"
    if not others:
        return f"{text}, the only technique tested there"
    undecided = findings.undecided(ranking)
    if not undecided:
        rest = {1: "the other technique", 2: "both others"}.get(len(others), f"all {len(others)} others")
        return f"{text}, significantly better than {rest}"
    rival = undecided[0].technique.label
    if len(undecided) < len(others):
        decided = len(others) - len(undecided)
        return f"{text}, significantly better than {decided} of {len(others)} others, not than {rival}"
    more = f" and {plural(len(others) - 1, 'other')}" if len(others) > 1 else ""
    if ranking.first == "seeds":
        return f"{text}, tested with most seeds; its difference to {rival}{more} is not significant"
    why = f"the best mean of {len(others) + 1}" if ranking.first == "mean" else "ahead over the seeds that are shared"
    return f"{text}, {why}; its lead over {rival}{more} is not significant"


def _score(findings: Findings, interval: Interval, *, named: bool) -> str:
    """`IoU 0.89 (0.87–0.91)`; the interval ends where scores end, and of equal scores there is none."""
    metric = findings.table.metric
    text = f"{metric.label} {_number(interval.mean, metric)}" if named else _number(interval.mean, metric)
    if interval.low is None or interval.high is None:
        return f"{text} (1 seed)"
    if interval.of_equals:
        return f"{text} (the same with {interval.n} seeds)"
    low = max(interval.low, 0.0)
    high = min(interval.high, 1.0) if metric.bounded else interval.high
    wide = ", too wide to tell much" if metric.bounded and high - low > WIDE else ""
    return f"{text} ({ends(low, high, digits=_digits(metric))}{wide})"


def _number(score: float, metric: Metric) -> str:
    return f"{score:.{_digits(metric)}f}"


def _digits(metric: Metric) -> int:
    return 2 if metric.bounded else metric.digits


def _unbeaten(met: Sequence[AtFraction]) -> str:
    """The first sentence, where no network is shown to beat the baseline without one at any label fraction."""
    if all(one.outcome == "unbeaten" for one in met):
        return "No network beats the baseline of colour, texture and shape beyond chance."
    seeds = min(one.open.seeds for one in met if one.open is not None)
    why = "no test can judge differences without variance"
    if seeds < FEWEST_SEEDS:
        why = f"{plural(seeds, 'common seed')} {'is' if seeds == 1 else 'are'} too few to tell"
    return f"No network is shown to beat the baseline of colour, texture and shape: {why}."


def _baseline(findings: Findings, met: Sequence[AtFraction]) -> str:
    """What the baseline reaches at each label fraction where a network was tested too."""
    scores = [
        f"{_score(findings, one.baseline.interval, named=False)} "
        + (f"with {one.ranking.column.labelled}" if one.ranking.column.fraction else "without labels")
        for one in ([met[0], met[-1]] if len(met) > 1 else met)
    ]
    beaten = [f"{one.ranking.column.labelled}" for one in met if one.outcome == "beaten"]
    text = f"A baseline of colour, texture and shape has {' and '.join(scores)}"
    if not beaten:
        return f"{text}."
    if len(beaten) == len(met):
        return f"{text}; a network beats it beyond chance."
    return f"{text}; a network is shown to beat it only with {' and '.join(beaten)}."


def _facts(findings: Findings) -> str:
    records = findings.comparison.records
    counts = {len(findings.comparison.at(t, f)) for t in findings.comparison.techniques for f in
              findings.comparison.fractions} - {0}  # fmt: skip
    seeds = span(sorted(counts))
    test = span([record.labels.test for record in records])
    count = (
        "1 seed per score, so no intervals"
        if seeds == "1"
        else f"{seeds} seeds per score; intervals: 95 %, over {findings.table.over}{_widened(findings)}"
    )
    return f"{count}; {test} test images per seed; {plural(len(records), 'run')}"


def _widened(findings: Findings) -> str:
    """`, widened (few seeds)`, where any score of the table rests on few seeds or patients."""
    words = dict.fromkeys(few_words(score.interval) for row in findings.table.rows for score in row.cells)
    few = " and ".join(sorted(filter(None, words), reverse=True))
    return f", widened ({few})" if few else ""


def _alarm(findings: Findings) -> str:
    """Whether training, or the choice of a run, had seen what it was tested on, or training what it was chosen with."""
    records = findings.comparison.records
    seen = [parts for record in records for parts in _seen(record)]
    if not seen:
        return ""
    alike = "or their patients or near-duplicates"
    if any(parts in (None, ("train", "test")) for parts in seen):
        return f"These scores are too optimistic: training had seen test images, {alike}."
    if ("val", "test") in seen:
        return f"These scores are too optimistic: runs were chosen on test images, {alike}."
    return f"Runs were chosen on images that training had seen, {alike}, so that the choice is worth little."


def _seen(record: RunRecord) -> Iterator[tuple[Part, Part] | None]:
    """Which part had seen images of which; None where an older version did not record it."""
    if record.data is not None:
        yield from (leak.parts for leak in record.data.leaks)
    elif record.leaks:
        yield None
    if record.pretraining is not None:
        yield from (("train", part) for part in record.pretraining.contaminated)
