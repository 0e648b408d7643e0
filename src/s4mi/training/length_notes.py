"""What a run that may have trained too briefly says of itself at its end."""

from s4mi.formatting import plural
from s4mi.records import RunRecord
from s4mi.records.run import FEW_STEPS


def length_notes(record: RunRecord) -> list[str]:
    """Return a line each for a best epoch that was the last and for fewer than `FEW_STEPS` optimiser steps."""
    if record.steps is None:
        return []
    notes, more = [], max(2 * record.steps, 2 * FEW_STEPS)
    if record.ended_improving:
        notes.append(
            f"the best epoch was the last, {record.best_epoch} of {record.epochs}, so validation {record.metric} may "
            f"still have been rising; train longer, e.g. steps={more}"
        )
    if record.few_steps:
        notes.append(
            f"only {plural(record.steps, 'optimiser step')}, and fewer than {FEW_STEPS} rarely suffice; train longer, "
            f"e.g. steps={more}"
        )
    return notes
