"""Of all techniques of a comparison, the one that needs the fewest labels for full supervision, as far as is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from s4mi.maths.label_efficiency import LabelEfficiency
from s4mi.report.label_efficiency import FullSupervision, TechniqueCurve


@dataclass(frozen=True)
class Saving:
    """What one technique saves, for printing."""

    technique: str
    labels: str
    percent: str


@dataclass(frozen=True)
class Need:
    """What may be said of the labels that full supervision needs.

    Attributes:
        kind: reached: with fewer labels, interval and all. open: perhaps. never: with none of the numbers of labels
            that were tested. unknown: nothing can be said.
        best: of those that reach it the one with the fewest labels.
    """

    kind: Literal["reached", "open", "never", "unknown"]
    sentence: str
    best: Saving | None = None


def labels_needed(reference: FullSupervision | None, curves: Sequence[TechniqueCurve]) -> Need:
    """The strongest statement that the curves carry; `curves` without an answer are those of the reference."""
    if reference is None:
        return Need("unknown", "how many cannot be told, as there is no full supervision to reach")
    answers = [curve.answer for curve in curves if curve.answer is not None]
    if not answers:
        return Need("unknown", "how many cannot be told, as no other technique was tested")
    known = [one for one in answers if one.low is not None and one.high is not None]
    if not known:
        return Need("unknown", f"how many cannot be told: n = {answers[0].n} seed gives no interval")
    saving = [one for one in known if one.saved and one.high is not None and math.isfinite(one.high)]
    if saving:
        best = min(saving, key=lambda one: one.needed)
        told = best.sentence.removesuffix(".")
        if len(answers) > 1:
            told += f" (of {len(answers)} techniques, {len(saving)} {'does' if len(saving) == 1 else 'do'})"
        percent = f"{math.floor(100 * (best.saved or 0.0) + 1e-6)} %"
        return Need("reached", told, Saving(best.technique, f"{math.ceil(best.needed - 1e-6)}", percent))
    maybe = [one for one in known if one.low is not None and math.isfinite(one.low)]
    if maybe:
        return Need("open", min(maybe, key=_promise).sentence.removesuffix("."))
    if len(known) == 1:
        return Need("never", known[0].sentence.removesuffix("."))
    most, n = max(one.most for one in known), min(one.n for one in known)
    within = "without labels" if most == 0 else f"with up to {math.ceil(most - 1e-6)} labels"
    return Need(
        "never", f"none of {len(known)} techniques reaches full supervision {within}: not reached, n = {n} seeds"
    )


def _promise(one: LabelEfficiency) -> tuple[float, float]:
    """Fewest labels on the mean first, then at the best of chance."""
    return one.needed, math.inf if one.low is None else one.low
