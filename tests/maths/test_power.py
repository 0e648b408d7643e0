import math

import numpy as np
import pytest
import scipy.stats

from s4mi.maths.crossed import crossed_mean, jackknife
from s4mi.maths.power import ALPHA, Design, Spread, power, smallest_difference


def test_without_patients_it_is_the_power_of_the_paired_t_test() -> None:
    for n, d in ((3, 0.05), (5, 0.03), (10, 0.02)):
        shift, critical = d / (0.02 / math.sqrt(n)), scipy.stats.t.ppf(1 - ALPHA / 2, n - 1)
        theirs = scipy.stats.nct.sf(critical, n - 1, shift) + scipy.stats.nct.cdf(-critical, n - 1, shift)
        assert power(d, Spread(0.02, 0, 0), Design(n, 50, 1)) == pytest.approx(theirs, abs=1e-4)


def test_without_a_difference_it_is_the_level_of_the_test() -> None:
    assert power(0.0, Spread(0.02, 0.1, 0.05), Design(5, 80, 1)) == pytest.approx(ALPHA, abs=1e-4)
    assert power(0.0, Spread(0.02, 0.1, 0.05), Design(5, 80, 10)) == pytest.approx(ALPHA / 10, abs=1e-4)


def test_the_smallest_difference_has_the_power_asked_for() -> None:
    spread, design = Spread(0.02, 0.1, 0.05), Design(5, 100, 6)
    assert power(smallest_difference(spread, design), spread, design) == pytest.approx(0.8, abs=1e-3)


def test_more_seeds_patients_and_fewer_tests_tell_smaller_differences() -> None:
    spread = Spread(0.02, 0.1, 0.05)
    told = [
        smallest_difference(spread, Design(*sizes)) for sizes in ((5, 100, 6), (10, 100, 6), (10, 400, 6), (10, 400, 1))
    ]
    assert told == sorted(told, reverse=True)
    assert smallest_difference(spread, Design(1, 100, 1)) == math.inf
    assert smallest_difference(spread, Design(5, 1, 1)) == math.inf


def test_other_test_patients_with_every_seed_average_out_and_the_same_do_not() -> None:
    spread = Spread(0.0, 0.2, 0.05)
    assert smallest_difference(spread, Design(20, 50, 1, one_test_set=False)) < 0.5 * smallest_difference(
        spread, Design(20, 50, 1)
    )


def test_simulated_studies_are_found_as_often_as_promised() -> None:
    spread, design, rng = Spread(0.02, 0.08, 0.1), Design(5, 60, 1), np.random.default_rng(0)
    found, times = 0, 300
    for _ in range(times):
        scores = 0.04 + rng.normal(0, 0.02, (5, 1)) + rng.normal(0, 0.08, 60) + rng.normal(0, 0.1, (5, 60))
        rest = (scores.sum(axis=1, keepdims=True) - scores) / 59
        influences = [jackknife({str(n): v for n, v in enumerate(row)}) for row in rest.tolist()]
        found += crossed_mean(scores.mean(axis=1).tolist(), influences).p < 0.05
    assert scipy.stats.binomtest(found, times, power(0.04, spread, design)).pvalue > 0.01
