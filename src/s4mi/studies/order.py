"""Which runs of a study matter most when time is short: seeds are left out first, then fractions, never a technique.

    first    one run of every technique, on its first network and data set, at its smallest label fraction
    then     the same on its other networks and data sets
    then     its largest label fraction, and those between
    then     the next seed, in the same order

Pre-training comes right before the most important run that starts from it.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from s4mi.config import PlannedRun
from s4mi.formatting import folder_name

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, order=True)
class Importance:
    """Place of a run in the order; the smallest comes first.

    Attributes:
        seed: 0 for the first seed of the technique.
        fraction: 0 for its smallest label fraction, 1 for its largest, 2 and more for those between.
        row: 0 for its first network and data set.
        kind: 0 for a method that is fitted at once, 1 for pre-training, 2 for others.
        position: in the plan.
    """

    seed: int
    fraction: int
    row: int
    kind: int
    position: int

    @property
    def represents_its_technique(self) -> bool:
        """Whether it is, or leads to, the one run that a comparison needs of its technique."""
        return (self.seed, self.fraction, self.row) == (0, 0, 0)


def importance(plan: Sequence[PlannedRun]) -> dict[str, Importance]:
    """Return the importance of each run of a plan by name."""
    rows = _ranks([(_technique(run), _row(run)) for run in plan])
    seeds = _ranks([(_row(run), run.config.seed) for run in plan])
    fractions = _fraction_ranks(plan)
    found: dict[str, Importance] = {}
    for position, run in enumerate(plan):
        if run.arm:
            row, seed = rows[_technique(run), _row(run)], seeds[_row(run), run.config.seed]
            kind = 0 if run.config.method.fitted and run.needs is None else 2
            found[run.name] = Importance(seed, fractions[run.name], row, kind, position)
    for position, run in enumerate(plan):
        if run.name not in found:
            dependents = [found[other.name] for other in plan if other.needs == run.name and other.name in found]
            first = min(dependents, default=Importance(0, 0, 0, 1, position))
            found[run.name] = Importance(first.seed, first.fraction, first.row, 1, position)
    return found


def _technique(run: PlannedRun) -> str:
    """The name of the arm without that of its network."""
    return run.arm.removesuffix(f"-{folder_name(run.config.method.backbone_name)}")


def _row(run: PlannedRun) -> tuple[str, str]:
    """Data set and arm: a row of a table."""
    return run.name.partition("/runs/")[0] if "/runs/" in run.name else "", run.arm


def _ranks(pairs: Sequence[tuple[Key, Item]]) -> dict[tuple[Key, Item], int]:
    """Rank of each item among those with its key, in order of appearance."""
    found: defaultdict[Key, list[Item]] = defaultdict(list)
    for key, item in pairs:
        if item not in found[key]:
            found[key].append(item)
    return {(key, item): number for key, items in found.items() for number, item in enumerate(items)}


def _fraction_ranks(plan: Sequence[PlannedRun]) -> dict[str, int]:
    """Rank of each run's label fraction within its row: the smallest, the largest, then those between."""
    ranks: dict[str, int] = {}
    amounts: defaultdict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for run in plan:
        amount = (run.config.amount.unit, run.config.amount.value)
        if amount not in amounts[_row(run)]:
            amounts[_row(run)].append(amount)
    for run in plan:
        smallest, *others = sorted(amounts[_row(run)])
        ordered = [smallest, *others[-1:], *others[:-1]]
        ranks[run.name] = ordered.index((run.config.amount.unit, run.config.amount.value))
    return ranks
