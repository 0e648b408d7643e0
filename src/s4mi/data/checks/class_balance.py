"""Classes over the parts of an official split, and classes of which there are few."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.stats import chi2_contingency

from s4mi.data.checks.summary import Summary
from s4mi.data.spec import SPEC_NAME, Finding

FEW = 10
"""Images of a class that are few where there are more than ten times as many in all."""
SHIFT = 0.15
"""Cramér's V of classes and parts above which the parts differ much; it lies between 0 and 1."""
LEAST_P = 0.001
"""What could be chance is not said."""


def check_balance(summary: Summary) -> Iterator[Finding]:
    """Findings about how the classes are spread."""
    by_part = summary.classes_by_part if sum(summary.splits.values()) == summary.images else {}
    for name, parts in by_part.items():
        absent = [part for part, count in parts.items() if count == 0]
        if absent and summary.classes[name] >= len(parts):
            message = f"class {name!r} has no image in {' and '.join(absent)}; its score there is undefined"
            yield Finding("class-missing-in-part", "warning", SPEC_NAME, None, f"{message}; move some there")
    rare = [name for name, count in summary.classes.items() if 0 < count < FEW and summary.labelled > 10 * FEW]
    if rare:
        shown = ", ".join(f"{name} {summary.classes[name]}" for name in rare)
        message = (
            f"few images show {shown}; what is learnt and scored of so few is chance; collect more, or join classes"
        )
        yield Finding("class-imbalance", "note", SPEC_NAME, None, message)
    shift = _shift(by_part)
    if shift is not None and shift > SHIFT:
        message = f"the shares of the classes differ between the parts (Cramér's V {shift:.2f}); read macro scores"
        yield Finding("class-shift", "warning", SPEC_NAME, None, f"{message}, or split again with split.kind=random")


def _shift(by_part: Mapping[str, Mapping[str, int]]) -> float | None:
    """Cramér's V of the table of classes and parts, or None where it could be chance."""
    table = np.array([list(parts.values()) for parts in by_part.values()], dtype=np.int64)
    if table.ndim != 2:
        return None
    table = table[table.sum(axis=1) > 0]
    table = table[:, table.sum(axis=0) > 0] if table.size else table
    if min(table.shape) < 2:
        return None
    result = chi2_contingency(table)
    if result.pvalue > LEAST_P:
        return None
    return float(np.sqrt(result.statistic / (table.sum() * (min(table.shape) - 1))))
