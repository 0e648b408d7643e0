import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.maths.crossed import crossed_mean, jackknife, shared_covariance
from s4mi.maths.crossed_draws import crossed_draws, patient_covariance
from s4mi.maths.paired import paired_seeds


def influences_of_means(scores: np.ndarray) -> list[dict[str, float]]:
    """(S, G) scores → influences of patients on the mean of each seed."""
    g = scores.shape[1]
    rest = (scores.sum(axis=1, keepdims=True) - scores) / (g - 1)
    return [jackknife({f"p{n}": value for n, value in enumerate(row)}) for row in rest.tolist()]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_the_jackknife_variance_of_a_mean_is_its_squared_standard_error(values: list[float]) -> None:
    (one,) = influences_of_means(np.array([values]))
    assert sum(value**2 for value in one.values()) == pytest.approx(scipy.stats.sem(values) ** 2, abs=1e-12)


def test_without_influences_it_is_students_t_over_seeds() -> None:
    values = [0.02, 0.05, 0.01, 0.04]
    plain, crossed = paired_seeds(values), crossed_mean(values)
    assert crossed.p == pytest.approx(plain.p)
    interval = crossed.interval()
    assert (interval.low, interval.high) == pytest.approx((plain.difference.low, plain.difference.high))


def test_seeds_with_different_patients_have_no_shared_covariance() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (4, 25))
    apart = [{f"{s}-{p}": v for p, v in one.items()} for s, one in enumerate(influences_of_means(scores))]
    assert shared_covariance(apart) == 0
    values = scores.mean(axis=1).tolist()
    assert crossed_mean(values, apart).p == pytest.approx(paired_seeds(values).p)


def test_variance_components_are_those_of_the_analysis_of_variance() -> None:
    # (MS_patients - MS_error) / S is the variance over patients in a crossed table without replicates.
    rng, s, g = np.random.default_rng(1), 6, 40
    scores = rng.normal(0, 1, (s, 1)) + rng.normal(0, 2, g) + rng.normal(0, 1, (s, g))
    centred = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    error = (centred**2).sum() / ((s - 1) * (g - 1))
    patients = s * scores.mean(axis=0).var(ddof=1)
    assert shared_covariance(influences_of_means(scores)) == pytest.approx((patients - error) / s / g)


def test_replicates_that_agree_are_judged_over_patients() -> None:
    half = np.random.default_rng(2).normal(0, 0.3, 15)
    one = np.concatenate([0.1 + half, 0.1 - half])  # without skewness, which a t-test does not count
    scores = np.tile(one, (8, 1))
    crossed = crossed_mean(scores.mean(axis=1).tolist(), influences_of_means(scores))
    theirs = scipy.stats.ttest_1samp(one, 0)
    assert crossed.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert crossed.freedom == pytest.approx(29)


@pytest.mark.parametrize(("seeds", "few"), [(3, "seeds"), (6, "")])
def test_a_technique_that_suits_the_test_set_by_luck_is_not_significant(seeds: int, few: str) -> None:
    """All seeds agree, because they share patients of whom some suit the technique; the t-test over seeds is fooled."""
    rng, crossed_rejects, plain_rejects = np.random.default_rng(3), 0, 0
    for _ in range(150):
        scores = rng.normal(0, 0.01, (seeds, 1)) + rng.normal(0, 0.2, 50) + rng.normal(0, 0.05, (seeds, 50))
        values = scores.mean(axis=1).tolist()
        crossed = crossed_mean(values, influences_of_means(scores))
        crossed_rejects += crossed.p < 0.05
        plain_rejects += paired_seeds(values).p < 0.05
        assert crossed.interval().few == few
    assert scipy.stats.binomtest(crossed_rejects, 150, 0.05, alternative="greater").pvalue > 0.01
    assert plain_rejects > 60


def test_one_seed_has_neither_interval_nor_test() -> None:
    one = crossed_mean([0.3], [{"a": 0.1, "b": -0.1}])
    assert (one.interval().low, one.p) == (None, None)
    with pytest.raises(ValueError, match="as many influences"):
        crossed_mean([0.3, 0.2], [{"a": 0.1}])


def test_the_covariance_of_one_cell_is_the_shared_one_and_of_two_alike_cells_complete() -> None:
    scores = np.random.default_rng(4).normal(0, 1, (5, 30)) + np.random.default_rng(5).normal(0, 1, 30)
    cell = dict(enumerate(influences_of_means(scores)))
    covariance = patient_covariance([cell, cell])
    assert covariance == pytest.approx(np.full((2, 2), shared_covariance(list(cell.values()))))


def test_draws_have_the_variance_of_seeds_and_patients_and_cells_share_patients() -> None:
    rng, s, g = np.random.default_rng(6), 200, 50
    patients = rng.normal(0, 1, g)
    tables = [rng.normal(0, 0.2, (s, 1)) + patients + rng.normal(0, 0.5, (s, g)) for _ in range(2)]
    cells = [dict(enumerate(table.mean(axis=1).tolist())) for table in tables]
    influences = [dict(enumerate(influences_of_means(table))) for table in tables]
    drawn = crossed_draws(cells, influences, rng=rng, draws=20_000)
    expected = crossed_mean(list(cells[0].values()), list(influences[0].values()))
    assert drawn[:, 0].std() == pytest.approx(expected.deviation, rel=0.03)
    assert np.corrcoef(drawn.T)[0, 1] > 0.95
    alone = crossed_draws(cells, [{}, {}], rng=np.random.default_rng(7), draws=4000)
    assert alone[:, 0].std() < 0.2 * drawn[:, 0].std()


def test_draws_do_not_depend_on_the_signs_of_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors and libraries choose them differently; the same records shall give the same intervals."""
    rng = np.random.default_rng(0)
    cells = [{seed: float(rng.normal()) for seed in range(4)} for _ in range(3)]
    effect = rng.normal(size=(3, 12))
    influences = [{seed: {f"p{g}": float(v) for g, v in enumerate(row)} for seed in range(4)} for row in effect]
    one = crossed_draws(cells, influences, rng=np.random.default_rng(1), draws=50)
    eigh = np.linalg.eigh

    def flipped(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = eigh(matrix)
        return values, vectors * np.array([-1.0, 1.0, -1.0])

    monkeypatch.setattr(np.linalg, "eigh", flipped)
    np.testing.assert_allclose(crossed_draws(cells, influences, rng=np.random.default_rng(1), draws=50), one, atol=1e-9)
