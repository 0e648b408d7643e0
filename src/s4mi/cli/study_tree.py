"""The runs of a study as a tree: a run that several others start from stands once, above them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from s4mi.formatting import duration, plural

if TYPE_CHECKING:
    from s4mi.studies.status import RunStatus, StudyStatus


def tree_lines(runs: Sequence["RunStatus"]) -> Iterator[str]:
    """Yield a line for each run: name, id and status."""
    names = {run.planned.name for run in runs}
    for run in runs:
        if run.planned.needs not in names:
            yield from _branch(run, runs, prefix="", child_prefix="")


def _branch(run: "RunStatus", runs: Sequence["RunStatus"], *, prefix: str, child_prefix: str) -> Iterator[str]:
    status = _status(run)
    yield f"{prefix}{run.planned.name}  {run.id}{f'  {status}' if status else ''}"
    children = [other for other in runs if other.planned.needs == run.planned.name]
    for number, child in enumerate(children, start=1):
        last = number == len(children)
        yield from _branch(
            child,
            runs,
            prefix=child_prefix + ("└── " if last else "├── "),
            child_prefix=child_prefix + ("    " if last else "│   "),
        )


def _status(run: "RunStatus") -> str:
    state = run.state
    if state.conflict:
        return f"folder cannot be used: {state.conflict}"
    if state.untested:
        return f"trained, not yet scored on {', '.join(state.untested)}"
    if state.record is not None:
        return f"finished in {duration(state.record.cost.seconds)}"
    parts = ["folder contains another run, which will be set aside"] if run.supersedes else []
    if state.epochs:
        parts.append(f"{state.epochs} of {state.planned.config.epochs} epochs")
    if run.seconds_left is not None:
        older = " (measured on an older version of the data set)" if run.older_data else ""
        exceeds = " (exceeds the budget)" if run.fits is False else ""
        parts.append(f"about {duration(run.seconds_left)}{older}{exceeds}")
    if state.failure is not None:
        parts.append(f"{plural(state.failure.attempts, 'failed attempt')}: {state.failure.reason}")
    return ", ".join(parts)


def total_line(runs: Sequence["RunStatus"]) -> str:
    """Return the number of runs, and how much training is left."""
    line = f"{plural(len(runs), 'run')}, {sum(run.planned.config.method.unlabelled for run in runs)} without labels"
    finished = sum(run.state.record is not None for run in runs)
    if conflicts := sum(bool(run.state.conflict) for run in runs):
        line += f"; {plural(conflicts, 'folder')} cannot be used"
    pending = [run for run in runs if run.state.record is None and not run.state.conflict]
    estimates = [run.seconds_left for run in pending if run.seconds_left is not None]
    if not finished and not estimates:
        return line
    line += f"; {finished} finished"
    if estimates:
        line += f", about {duration(sum(estimates))} of training left"
    if len(estimates) < len(pending):
        line += f", {len(pending) - len(estimates)} without an estimate"
    return line


def budget_line(status: "StudyStatus", budget: str) -> str:
    """Return how much of the budget is left, and how many pending runs fit, one after the other."""
    line = f"budget {budget}, {duration(status.seconds_left or 0)} left"
    pending = [run for run in status.runs if run.state.record is None and not run.state.conflict]
    estimated = [run for run in pending if run.fits is not None]
    if not pending:
        return line
    if not estimated:
        return f"{line}; which runs fit is known once some have been measured"
    line += f": {sum(bool(run.fits) for run in estimated)} of {len(estimated)} runs fit, one after the other"
    unknown = len(pending) - len(estimated)
    return line + (f"; {unknown} without an estimate" if unknown else "")
