"""The runs of a study as a tree: work that several share stands once, above those that start from it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from s4mi.formatting import duration

if TYPE_CHECKING:
    from s4mi.studies.status import RunStatus, StudyStatus


def tree(runs: Sequence["RunStatus"]) -> Iterator[str]:
    """A line a run: name, id, and how far it is."""
    names = {run.planned.name for run in runs}
    for run in runs:
        if run.planned.needs not in names:
            yield from _branch(run, runs, head="", below="")


def _branch(run: "RunStatus", runs: Sequence["RunStatus"], *, head: str, below: str) -> Iterator[str]:
    state = _state(run)
    yield f"{head}{run.planned.name}  {run.id}{f'  {state}' if state else ''}"
    children = [other for other in runs if other.planned.needs == run.planned.name]
    for number, child in enumerate(children, start=1):
        last = number == len(children)
        yield from _branch(
            child, runs, head=below + ("└── " if last else "├── "), below=below + ("    " if last else "│   ")
        )


def _state(run: "RunStatus") -> str:
    standing = run.standing
    if standing.conflict:
        return f"its folder is taken: {standing.conflict}"
    if standing.record is not None:
        return f"done in {duration(standing.record.cost.seconds)}"
    parts = ["another run lies there, to be set aside"] if run.other else []
    if standing.epochs:
        parts.append(f"{standing.epochs} of {standing.planned.config.epochs} epochs")
    if run.seconds is not None:
        older = " as on an older version of the data set" if run.older else ""
        parts.append(
            f"about {duration(run.seconds)}{older}{'' if run.fits in (None, True) else ', which does not fit'}"
        )
    if standing.failure is not None:
        times = {1: "once", 2: "twice"}.get(standing.failure.attempts, f"{standing.failure.attempts} times")
        parts.append(f"failed {times}: {standing.failure.reason}")
    return ", ".join(parts)


def total(runs: Sequence["RunStatus"]) -> str:
    """How many runs there are, and how much is left of them."""
    plural = "" if len(runs) == 1 else "s"
    line = f"{len(runs)} run{plural}, {sum(run.planned.config.method.unlabelled for run in runs)} without labels"
    done = sum(run.standing.record is not None for run in runs)
    taken = sum(bool(run.standing.conflict) for run in runs)
    line += f"; the folders of {taken} are taken by something else" if taken else ""
    left = [run for run in runs if run.standing.record is None and not run.standing.conflict]
    known = [run.seconds for run in left if run.seconds is not None]
    if not done and not known:
        return line
    line += f"; {done} done"
    if known:
        line += f", about {duration(sum(known))} of training left"
    if len(known) < len(left):
        line += f", {'' if known else 'and '}{len(left) - len(known)} like none that is done"
    return line


def budgeted(seen: "StudyStatus", budget: str) -> str:
    """How much of the budget is left, and what fits into it, one run after the other."""
    line = f"budget {budget}, {duration(seen.left or 0)} left"
    waiting = [run for run in seen.runs if run.standing.record is None and not run.standing.conflict]
    known = [run for run in waiting if run.fits is not None]
    if not waiting:
        return line
    if not known:
        return f"{line}; what fits is known once runs have been measured"
    line += f": {sum(bool(run.fits) for run in known)} of {len(known)} runs fit, one after the other"
    return line + (f"; of {len(waiting) - len(known)} nobody knows yet" if len(known) < len(waiting) else "")
