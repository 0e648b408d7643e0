"""Checks of the class distribution over the parts of an official split, and of rare classes."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.stats import chi2_contingency

from s4mi.data.checks.summary import Summary
from s4mi.data.sources.label_names import combination_message, describe, rare_classes
from s4mi.data.spec import SPEC_NAME, Finding

MAX_SHIFT = 0.15
"""Threshold of Cramér's V of classes and parts (between 0 and 1) above which a shift is reported."""
MAX_P = 0.001
"""Shifts with a greater p-value may be due to chance and are not reported."""


def check_balance(summary: Summary) -> Iterator[Finding]:
    """Yield findings about the class distribution."""
    by_part = summary.classes_by_part if sum(summary.splits.values()) == summary.images else {}
    for name, parts in by_part.items():
        missing = [part for part, count in parts.items() if count == 0]
        if missing and summary.classes[name] >= len(parts):
            message = f"class {name!r} has no image in {' and '.join(missing)}, where its score is undefined"
            yield Finding("class-missing-in-part", "warning", SPEC_NAME, None, f"{message}; move some images there")
    for code, message in describe(summary.classes, multilabel=summary.no_class > 0):
        yield Finding(code, "warning", SPEC_NAME, None, f"{message}, and import again")
    if (several := combination_message(summary.classes)) is not None:
        yield Finding("labels-combined", "warning", SPEC_NAME, None, f"{several[0]}, and import again")
    if note := rare_classes(summary.classes):
        yield Finding("class-imbalance", "note", SPEC_NAME, None, note)
    shift = _shift(by_part)
    if shift is not None and shift > MAX_SHIFT:
        message = f"class distribution differs between the parts (Cramér's V {shift:.2f}); compare macro scores"
        yield Finding("class-shift", "warning", SPEC_NAME, None, f"{message}, or split again with split.kind=random")


def _shift(by_part: Mapping[str, Mapping[str, int]]) -> float | None:
    """Return Cramér's V of the contingency table of classes and parts, or None if it may be due to chance."""
    table = np.array([list(parts.values()) for parts in by_part.values()], dtype=np.int64)
    if table.ndim != 2:
        return None
    table = table[table.sum(axis=1) > 0]
    table = table[:, table.sum(axis=0) > 0] if table.size else table
    if min(table.shape) < 2:
        return None
    result = chi2_contingency(table)
    if result.pvalue > MAX_P:
        return None
    return float(np.sqrt(result.statistic / (table.sum() * (min(table.shape) - 1))))
