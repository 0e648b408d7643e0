"""How much the difference of two techniques varies over seeds and patients, measured in finished runs."""

import itertools
import math
from collections.abc import Sequence

from s4mi.maths.crossed import shared_covariance
from s4mi.maths.power import Spread
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.patient_effects import influences_of, less
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import Metric, score_of
from s4mi.reporting.results.shared_seeds import in_common


def measured_spread(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> tuple[Spread, int] | None:
    """Root mean squares over all pairs of techniques and label fractions with two common seeds, and their number.

    None where no pair has two seeds, or scores of single patients.
    """
    influences = influences_of(comparison, runs, metric)
    parts = []
    for fraction in comparison.fractions:
        for one, other in itertools.combinations(comparison.techniques, 2):
            both = in_common(comparison, metric, one, other, fraction=fraction)
            known = [(influences.get(run_key(a)), influences.get(run_key(b))) for a, b in both]
            apart = [less(a, b) for a, b in known if a and b]
            if len(both) < 2 or len(apart) < len(both):
                continue
            differences = [(score_of(a, metric) or 0.0) - (score_of(b, metric) or 0.0) for a, b in both]
            parts.append(_variances(differences, apart))
    if not parts:
        return None
    seeds, patients, single = (math.sqrt(sum(column) / len(parts)) for column in zip(*parts, strict=True))
    return Spread(seeds, patients, single), len(parts)


def _variances(differences: Sequence[float], influences: Sequence[dict[str, float]]) -> tuple[float, float, float]:
    """Variances over seeds, over patients, and of single patients in single runs."""
    s = len(differences)
    mean = sum(differences) / s
    between = sum((one - mean) ** 2 for one in differences) / (s - 1)
    patients = sum(len(one) for one in influences) / s
    own = sum(value**2 for one in influences for value in one.values()) / s
    shared = min(shared_covariance(influences), own)
    return max(0.0, between - (own - shared)), shared * patients, (own - shared) * patients
