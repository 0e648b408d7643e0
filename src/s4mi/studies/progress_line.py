"""How many runs of a study are done and what is left, in one line: the count first, then why, most of it first."""

from collections import Counter
from collections.abc import Mapping, Sequence

from s4mi.config import PlannedRun
from s4mi.formatting import plural
from s4mi.studies.events import RunOutcome
from s4mi.studies.order import Importance, importance

LISTED = 4
"""Kinds of runs that are left in a line; the others are counted together."""


def progress_line(plan: Sequence[PlannedRun], outcomes: Mapping[str, RunOutcome], *, stopped: bool = False) -> str:
    """`12 of 40 runs done; left: 20 of seed 1, 6 at 50 %, 2 failed`; no more than the count if nothing is left.

    Args:
        outcomes: of the runs that have ended, by name.
        stopped: the study was interrupted.
    """
    done = sum(outcome.record is not None for outcome in outcomes.values())
    line = f"{done} of {plural(len(plan), 'run')} done"
    left = [run for run in plan if run.name not in outcomes or outcomes[run.name].record is None]
    if not left:
        return f"{line}."
    places = importance(plan)
    kinds = Counter(_kind(run, places[run.name], outcomes.get(run.name)) for run in left)
    parts = [f"{count} {kind}" for kind, count in kinds.most_common()]
    if len(parts) > LISTED:
        rest = sum(count for _, count in kinds.most_common()[LISTED:])
        parts = [*parts[:LISTED], f"{rest} more"]
    late = any((one := outcomes.get(run.name)) is not None and one.skipped and not one.unsupported for run in left)
    why = " (interrupted: rerun the same command to go on)" if stopped else ""
    if late and not stopped:
        why = " (no time left: rerun the same command with a larger budget to train them)"
    return f"{line}; left: {', '.join(parts)}{why}."


def _kind(run: PlannedRun, place: Importance, outcome: RunOutcome | None) -> str:
    """Why a run is left, or which one it is: a failure, a seed other than the first, a label fraction, a technique."""
    if outcome is not None and outcome.failed:
        return "failed"
    if outcome is not None and outcome.unsupported:
        return "with a class without labels"
    if place.seed:
        return f"of seed {run.config.seed}"
    if place.fraction:
        return f"at {run.config.amount}"
    return f"of {run.arm or run.name.rpartition('/')[2]}"
