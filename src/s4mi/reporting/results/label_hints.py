"""Why labels needed are not told, and what to add so that they are, as settings of the study."""

import itertools
import math
from collections.abc import Mapping, Sequence

from s4mi.formatting import plural
from s4mi.maths.crossed import FEW_SEEDS
from s4mi.maths.label_efficiency import FEWEST_SEEDS
from s4mi.maths.label_forecast import MISFIT, Needed
from s4mi.maths.learning_curve import FEWEST_POINTS, FURTHEST
from s4mi.reporting.results.label_curves import LabelCurveOf, sign_of, whole_labels
from s4mi.reporting.results.scores import Metric

USUAL = (5.0, 10.0, 20.0, 50.0, 100.0)
"""Label fractions, in percent, that are proposed where too few were tested."""
MOST_SEEDS = 20
_MOSTLY = 0.5
"""Share of the variance from test patients above which more seeds would not help."""


def reason_of(curve: LabelCurveOf, needed: Needed | None, metric: Metric) -> str:
    """Why there is no answer, without a full stop."""
    if curve.forecast is None or needed is None:
        return "tested with only one number of labels"
    fit, digits = curve.forecast, metric.digits
    top = fit.asymptote()
    falls, below, less = ("falls", "below", "less") if metric.higher_is_better else ("rises", "above", "more")
    reasons = {
        "seeds": f"{plural(fit.seeds, 'seed')} {'leaves' if fit.seeds == 1 else 'leave'} no usable interval; at least "
        f"{FEWEST_SEEDS} are needed",
        "points": f"a curve needs {FEWEST_POINTS} numbers of labels with a score above the floor to be checked, "
        f"and there are {fit.above.sum()}",
        "falls": f"the score {falls} with more labels, beyond chance",
        "misfit": f"the learning curve does not fit the means (p = {fit.fit_p:.3f}, at least {MISFIT:g} is asked)",
        "wide": "the interval spans more than a factor of 10",
        "far": f"more than {FURTHEST:g} × the largest number of labels tested ({whole_labels(fit.most)})",
        "never": f"the curve levels off {below} it"
        + ("" if top is None else f", at {_best(top.low, top.high, metric):.{digits}f} or {less}"),
    }
    return reasons[needed.refusal] if needed.refusal else ""


def hint_of(
    curve: LabelCurveOf,
    needed: Needed | None,
    fractions: Sequence[float],
    seeds: Sequence[int],
    *,
    asked: Mapping[float, str] | None = None,
) -> str:
    """What to add, as a setting of the study where one does it; empty where nothing would.

    Args:
        fractions: label fractions of the study in percent. seeds: of the study.
        asked: by label fraction, the number of images or patients that the study asks for in its place.
    """
    if curve.forecast is None or needed is None or needed.refusal == "points":
        return f"add {fractions_setting(enough_fractions(fractions), asked)}"
    if needed.refusal in ("seeds", "falls"):
        return f"add {seeds_setting(seeds, max(FEW_SEEDS, 2 * len(seeds) if needed.refusal == 'falls' else 0))}"
    if needed.refusal == "wide":
        if curve.from_patients > _MOSTLY:
            return "test on more patients, as split.ratios=[0.6,0.1,0.3] does: they, not seeds, make it wide"
        if len(seeds) >= MOST_SEEDS:
            return f"add {fractions_setting(_between(fractions), asked)}"
        return f"add {seeds_setting(seeds, max(FEW_SEEDS, 2 * len(seeds)))}"
    if needed.refusal == "misfit":
        return f"add {fractions_setting(_between(fractions), asked)}"
    if needed.refusal == "far":
        largest = max(fractions)
        if largest >= 100:
            return "annotate more images"
        return f"add {fractions_setting([*fractions, min(100.0, FURTHEST * largest)], asked)}"
    return ""


def _best(low: float | None, high: float | None, metric: Metric) -> float:
    best = high if high is not None else low
    return sign_of(metric) * (best or 0.0)


def enough_fractions(fractions: Sequence[float]) -> list[float]:
    """These fractions and usual ones, smallest first, until there are enough above 0."""
    chosen = sorted({fraction for fraction in fractions if fraction > 0})
    for usual in USUAL:
        if len(chosen) >= FEWEST_POINTS:
            break
        if all(abs(usual - one) > 0.2 * usual for one in chosen):
            chosen.append(usual)
    return sorted(chosen) if len(chosen) >= FEWEST_POINTS else sorted(_between(chosen))


def _between(fractions: Sequence[float]) -> list[float]:
    """These fractions, and one in the widest gap by ratio."""
    known = sorted({fraction for fraction in fractions if fraction > 0})
    if len(known) < 2:
        return sorted({*known, *USUAL})
    low, high = max(itertools.pairwise(known), key=lambda gap: gap[1] / gap[0])
    middle = math.sqrt(low * high)
    return sorted({*known, float(f"{middle:.2g}")})


def fractions_setting(fractions: Sequence[float], asked: Mapping[float, str] | None = None) -> str:
    """The setting of these label fractions above 0, those that are `asked` for in other units as they were given.

    A number of images written as its share of the labels would be another run.
    """
    named = asked or {}
    return amounts_setting([named.get(one) or f"{one:g}" for one in sorted(set(fractions)) if one > 0])


def amounts_setting(amounts: Sequence[str]) -> str:
    """The setting of these amounts of labels: `label_fractions=[5,10]`, in quotes for a shell if one has a space."""
    setting = f"label_fractions=[{','.join(amounts)}]"
    return f"'{setting}'" if " " in setting else setting


def seeds_setting(seeds: Sequence[int], count: int) -> str:
    chosen = list(seeds)
    candidate = 0
    while len(chosen) < min(count, MOST_SEEDS):
        if candidate not in chosen:
            chosen.append(candidate)
        candidate += 1
    return f"seeds=[{','.join(map(str, sorted(chosen)))}]"
