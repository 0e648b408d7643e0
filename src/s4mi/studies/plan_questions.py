"""Which questions the plan of a study can answer, and how surely, before anything is trained.

difference      the smallest that two techniques' seeds and test patients tell at 80 % power, after correction for all
                pairs; from the spreads of finished runs of the same study, or from assumed ones, which are named
labels needed   whether there are enough label fractions and seeds, and full supervision to compare with
more            what more seeds would tell, and what they would cost
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from s4mi.formatting import duration, plural
from s4mi.maths.crossed import FEW_SEEDS
from s4mi.maths.label_efficiency import FEWEST_SEEDS
from s4mi.maths.learning_curve import FEWEST_POINTS
from s4mi.maths.power import USUAL, Design, smallest_difference
from s4mi.reporting.results.label_efficiency import FULL
from s4mi.reporting.results.label_hints import MOST_SEEDS, amounts_setting, enough_fractions, seeds_setting
from s4mi.reporting.results.scores import metric_of
from s4mi.studies.planned_tasks import NO_LABELS, PlannedTask, planned_tasks
from s4mi.studies.status import StudyStatus

ENDLESS: Final = 1000
"""So many seeds that more hardly change what can be told."""
TELLING: Final = 0.10
"""A smallest difference above this is called so: a comparison seldom has differences as large."""


def questions(status: StudyStatus, out: Path | None) -> list[str]:
    """Lines on each task of each data set that can be found; none for a plan of a single run.

    Args:
        out: folder of the study; spreads are measured in its finished runs.
    """
    lines = []
    for one in planned_tasks(status, out):
        if len(one.runs) > 1:
            lines += [f"{one.title}:", *(f"  {line}" for line in _answers(one))]
    return lines


def _answers(one: PlannedTask) -> Iterator[str]:
    test = (
        f"about {one.test_patients} test {one.unit}" if one.test_patients else f"an unknown number of test {one.unit}"
    )
    shared = "the same for all seeds" if one.one_test_set else "others with every seed"
    techniques = len({technique for technique, _ in one.cells})
    counts = (
        plural(techniques, "technique"),
        f"{plural(len(one.amounts), 'amount')} of labels",
        plural(len(one.seeds), "seed"),
    )
    yield f"{', '.join(counts)}; {test}, {shared}"
    for technique, names in one.merged.items():
        yield (
            f"arms {', '.join(names)}: one technique in a report, {technique.label}, which includes the last finished "
            "run of each seed alone; compare them in studies of their own"
        )
    yield _difference(one)
    yield from _labels(one)
    if (more := _more(one)) is not None:
        yield more


def _difference(one: PlannedTask) -> str:
    """The smallest difference that the plan can tell."""
    if not one.pairs:
        return (
            "difference of two techniques: cannot be tested, no two share two seeds at the smallest or largest amount"
        )
    if not one.test_patients:
        return "difference of two techniques: not known beforehand with a saved split"
    label = metric_of(one.task).label
    told = ", ".join(
        f"{_told(_smallest(one, count), label)} with {plural(count, 'seed')}" for count in sorted(set(one.pairs))
    )
    tests = plural(len(one.pairs), "test")
    return f"smallest difference detected at {100 * USUAL:.0f} % power, corrected for {tests}: {told} ({_source(one)})"


def _smallest(one: PlannedTask, seeds: int) -> float:
    return smallest_difference(one.spread, Design(seeds, one.test_patients, len(one.pairs), one.one_test_set))


def _told(difference: float, label: str) -> str:
    if math.isinf(difference):
        return "none"
    return f"{label} {difference:.3f}" + (", a large difference" if difference > TELLING else "")


def _source(one: PlannedTask) -> str:
    spread = one.spread
    origin = f"measured in {plural(one.measured, 'pair')} of finished runs" if one.measured else "assumed"
    return (
        f"standard deviations of a difference, {origin}: {spread.seeds:.3f} over seeds, {spread.patients:.3f} over "
        f"{one.unit}, {spread.single:.3f} in single results"
    )


def _labels(one: PlannedTask) -> Iterator[str]:
    """Whether the report can tell the labels needed."""
    if not one.amounts:
        yield "labels needed: cannot be estimated, no technique uses labels"
        return
    seeds = min(len(mine) for (_, amount), mine in one.cells.items() if amount != NO_LABELS)
    problems = []
    if one.points < FEWEST_POINTS:
        each = " for each technique" if one.points < len(one.amounts) else ""
        problems.append(f"{plural(one.points, 'label fraction')}{each}, needs {FEWEST_POINTS}: {_enough_amounts(one)}")
    if seeds < FEWEST_SEEDS:
        wanted = seeds_setting(one.seeds, FEW_SEEDS)
        problems.append(f"{plural(seeds, 'seed')}, needs {FEWEST_SEEDS}: {wanted}")
    if problems:
        yield f"labels needed: not estimable beyond what is tested ({'; '.join(problems)})"
    else:
        few = f", with wide intervals ({seeds} seeds are few)" if seeds < FEW_SEEDS else ""
        yield f"labels needed: can be estimated, up to 4 × the largest amount{few}"
    if not one.full_supervision:
        setting = _amounts_with(one, [FULL])
        wanted = setting if one.supervised else f"no technique learns from labels alone; one with {setting}"
        yield f"full supervision: not tested; the target is the best mean reached instead ({wanted} tests it)"


def _enough_amounts(one: PlannedTask) -> str:
    """The setting of the amounts of the plan and as many label fractions as a learning curve needs besides."""
    shares = [one.share(amount) for amount in one.amounts]
    return _amounts_with(one, [fraction for fraction in enough_fractions(shares) if fraction not in shares])


def _amounts_with(one: PlannedTask, more: Sequence[float]) -> str:
    """The setting of the amounts of the plan, each as it was given, and of more label fractions."""
    fractions = {*more, *(amount.value for amount in one.amounts if amount.unit == "percent")}
    others = [str(amount) for amount in one.amounts if amount.unit != "percent"]
    return amounts_setting([*others, *(f"{fraction:g}" for fraction in sorted(fractions))])


def _more(one: PlannedTask) -> str | None:
    """What twice as many seeds would tell and cost; None where nothing is known or they are many."""
    if not one.pairs or not one.test_patients or len(one.seeds) >= MOST_SEEDS:
        return None
    count = min(MOST_SEEDS, max(FEW_SEEDS, 2 * len(one.seeds)))
    setting = seeds_setting(one.seeds, count)
    runs = (count - len(one.seeds)) * len(one.cells)
    seconds = [run.state.record.cost.seconds if run.state.record else run.seconds_left for run in one.runs]
    known = [value for value in seconds if value is not None]
    cost = f", about {duration(runs * sum(known) / len(known))} one after the other" if known else ""
    label, told = metric_of(one.task).label, _smallest(one, count)
    # The approximation of the degrees of freedom is not monotone: with few test patients more seeds may tell less.
    now, least = min(_smallest(one, mine) for mine in one.pairs), _smallest(one, ENDLESS)
    if told >= now < math.inf:
        return f"more seeds: detect no smaller difference with these test {one.unit}; more test {one.unit} would"
    if told < least:
        least = min(_smallest(one, seeds) for seeds in range(2, MOST_SEEDS + 1))
    difference, limit = _told(told, label), _told(least, "")
    endless = f"; no number of seeds detects less than{limit} with these test {one.unit}" if one.one_test_set else ""
    return f"with {setting}: {difference}, {plural(runs, 'more run')}{cost}{endless}"
