"""A training that failed is named; seeds that only differ are not."""

import numpy as np
import pytest

from made_records import record
from s4mi.reporting.results.failed_seeds import failed_seed, failed_seed_notes
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.writers.contents import report_contents


def test_the_report_names_the_seed_that_failed() -> None:
    records = [record(score, seed=seed) for seed, score in enumerate([0.88, 0.05, 0.91])]
    (note,) = failed_seed_notes(records)
    assert "seed 1 has macro F1 0.050, the others 0.880 to 0.910: this training failed" in note
    runs = [ReportRun(one, (), "", f"run{one.seed}") for one in records]
    assert note in report_contents(runs, title="Study").notes


@pytest.mark.parametrize(
    "scores", [[0.9, 0.1], [0.9, 0.88, 0.6], [0.3, 0.1, 0.5], [0.05, 0.06, 0.9], [0.0, 0.0, 0.0], [0.8, 0.8, 0.8]]
)
def test_two_seeds_or_seeds_that_differ_show_no_failure(scores: list[float]) -> None:
    assert failed_seed(dict(enumerate(scores))) is None


def test_of_ordinary_seeds_hardly_any_is_called_failed() -> None:
    rng = np.random.default_rng(0)
    wide = sum(failed_seed(dict(enumerate(rng.beta(6, 2, 3).tolist()))) is not None for _ in range(2000))
    usual = sum(failed_seed(dict(enumerate(rng.normal(0.8, 0.05, 3).tolist()))) is not None for _ in range(2000))
    assert wide < 0.05 * 2000
    assert usual == 0


def test_a_failure_is_found_wherever_it_occurs_alone() -> None:
    rng, found = np.random.default_rng(1), 0
    for seeds in (3, 5, 10):
        for _ in range(200):
            scores = rng.normal(0.9, 0.03, seeds)
            scores[rng.integers(seeds)] = rng.uniform(0, 0.1)
            found += failed_seed(dict(enumerate(scores.tolist()))) is not None
    assert found == 600
