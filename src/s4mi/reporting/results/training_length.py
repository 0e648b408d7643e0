"""Whether the runs of a comparison trained long enough, and what the choice of the best epoch changed."""

from collections.abc import Sequence

from s4mi.records import RunRecord
from s4mi.records.run import FEW_STEPS
from s4mi.reporting.results.comparison import technique_of
from s4mi.reporting.results.scores import Metric, defined, metric_of


def length_sentence(records: Sequence[RunRecord]) -> str | None:
    """One sentence on runs that may have been stopped too early; None where there is none."""
    known = [record for record in records if record.steps is not None]
    ended = [record for record in known if record.ended_improving]
    few = [record for record in known if record.few_steps]
    parts = []
    if ended:
        parts.append(
            f"in {len(ended)} of {len(known)} runs the best epoch was the last ({_techniques(ended)}), so that more "
            "steps may raise their scores"
        )
    if few:
        parts.append(f"{len(few)} of {len(known)} made fewer than {FEW_STEPS} optimiser steps ({_techniques(few)})")
    return f"Training length: {'; '.join(parts)}." if parts else None


def last_epoch_sentence(records: Sequence[RunRecord], metric: Metric) -> str | None:
    """The mean test score of the selected and of the last epoch, over runs where they differ; None without any."""
    pairs = [pair for record in records if (pair := _selected_and_last(record, metric)) is not None]
    if not pairs:
        return None
    selected, last = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return (
        f"Last epoch: in the {len(pairs)} of {len(records)} runs whose best epoch is another, the selected epoch has "
        f"{metric.label} {selected:.{metric.digits}f} on test and the last {last:.{metric.digits}f}."
    )


def last_score(record: RunRecord) -> float | None:
    """The primary test score of the last epoch; None where it is the selected one, or not known."""
    pair = _selected_and_last(record, metric_of(record.task))
    return None if pair is None else pair[1]


def _selected_and_last(record: RunRecord, metric: Metric) -> tuple[float, float] | None:
    selected, last = (defined(getattr(scores, metric.name, None)) for scores in (record.test, record.last_test))
    return None if selected is None or last is None else (selected, last)


def _techniques(records: Sequence[RunRecord]) -> str:
    return ", ".join(sorted({technique_of(record).label for record in records}))
