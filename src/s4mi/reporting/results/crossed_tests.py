"""Paired tests of two techniques over seeds, with the test patients that the seeds share counted in."""

from collections.abc import Sequence

from s4mi.maths.paired import PairedTest, paired_seeds
from s4mi.records import RunRecord
from s4mi.reporting.results.patient_effects import Influences, crossed_difference
from s4mi.reporting.results.scores import Metric, score_of


def crossed_test(pairs: Sequence[tuple[RunRecord, RunRecord]], metric: Metric, influences: Influences) -> PairedTest:
    """Test first less second over pairs of runs with the same seed, all of which have a score.

    With scores of single patients, the test is that of `maths.crossed`, over seeds and patients together; without, or
    where no two seeds share a test patient, it is Student's paired t-test over seeds.
    """
    differences = [(score_of(a, metric) or 0.0) - (score_of(b, metric) or 0.0) for a, b in pairs]
    over_seeds = paired_seeds(differences)
    crossed = crossed_difference(pairs, metric, influences)
    if crossed is None or crossed.seeds < 2 or crossed.over_patients == 0:
        interval = over_seeds.difference.within(*metric.difference_limits)
        return PairedTest(interval, p=over_seeds.p, effect=over_seeds.effect)
    return PairedTest(crossed.interval().within(*metric.difference_limits), p=crossed.p, effect=over_seeds.effect)
