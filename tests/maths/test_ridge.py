"""Ridge regressions from one decomposition are those of scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from s4mi.maths.ridge import RidgePath


@pytest.mark.parametrize(("n", "d"), [(8, 30), (30, 8), (12, 12), (1, 5)])
@pytest.mark.parametrize("strength", [1e-3, 0.3, 100.0])
def test_solutions_are_those_of_scikit_learn(n: int, d: int, strength: float) -> None:
    rng = np.random.default_rng(n + d)
    x, y, weight = rng.normal(3, 2, (n, d)), rng.normal(1, 1, (n, 3)), rng.uniform(0.2, 3, n)
    weights, biases = RidgePath(x, y, weight).solution(strength)
    model = Ridge(alpha=strength, solver="svd").fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(weights, np.atleast_2d(model.coef_), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(biases, np.ravel(model.intercept_), rtol=1e-7, atol=1e-9)


def test_a_sample_without_weight_counts_for_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(9, 4)), rng.normal(size=(9, 2)), np.ones(9)
    weight[-2:] = 0
    all_rows, kept = RidgePath(x, y, weight).solution(0.1), RidgePath(x[:-2], y[:-2], weight[:-2]).solution(0.1)
    np.testing.assert_allclose(all_rows[0], kept[0], rtol=1e-9)
    np.testing.assert_allclose(all_rows[1], kept[1], rtol=1e-9)


def test_features_that_do_not_vary_get_no_weight() -> None:
    weights, biases = RidgePath(np.full((4, 3), 2.0), np.arange(4.0)[:, None], np.ones(4)).solution(1e-2)
    assert not weights.any()
    assert biases == pytest.approx([1.5])
