"""Logistic regression on few labels, against scikit-learn's on the same arrays."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from s4mi.errors import S4miError
from s4mi.maths.folds import folds
from s4mi.maths.logistic import STRENGTHS, UNSEEN, LinearFit, LogisticProblem

Floats = NDArray[np.float64]


def fit_logistic(x: Any, y: Any, *, strength: float, **settings: Any) -> LinearFit:
    return LogisticProblem(x, y, **settings).fit(strength)


def samples(n: int, d: int, classes: int, *, noise: float = 0.2, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Standardised features of length about 1, and classes of which some are wrong."""
    generator = np.random.default_rng(seed)
    y = generator.integers(classes, size=n)
    y[:classes] = range(classes)
    x = 0.5 * generator.normal(size=(classes, d))[y] + generator.normal(size=(n, d)) * np.exp(-np.arange(d) / d)
    wrong = generator.random(n) < noise
    wrong[:classes] = False
    y[wrong] = generator.integers(classes, size=int(wrong.sum()))
    return (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(d), y


def peer(strength: float) -> LogisticRegression:
    return LogisticRegression(C=1 / strength, tol=1e-10, max_iter=20_000)


@pytest.mark.parametrize(("n", "d"), [(21, 200), (100, 300), (200, 40)])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("strength", [1.0, 1e-3])
def test_the_head_is_scikit_learns(n: int, d: int, classes: int, strength: float) -> None:
    x, y = samples(n, d, classes)
    ours, theirs = fit_logistic(x, y, strength=strength), peer(strength).fit(x, y)
    probability = np.exp(ours.logits(x))
    probability /= probability.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, theirs.predict_proba(x), atol=2e-4)
    weight = np.concatenate([-theirs.coef_ / 2, theirs.coef_ / 2]) if classes == 2 else theirs.coef_
    np.testing.assert_allclose(ours.weight, weight, atol=2e-3 * np.abs(weight).max())
    assert ours.fitted.all()


def test_sample_weights_are_scikit_learns() -> None:
    x, y = samples(80, 120, 3)
    weight = np.random.default_rng(1).uniform(0.1, 3, size=80)
    ours = fit_logistic(x, y, strength=0.01, sample_weight=weight)
    theirs = peer(0.01).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=2e-3 * np.abs(theirs.coef_).max())


def test_multi_label_is_one_regression_per_class() -> None:
    x, y = samples(90, 120, 4)
    labels = np.stack([y == 0, y > 1, y % 2 == 0], axis=1).astype(np.float64)
    weight = np.random.default_rng(1).uniform(0.5, 2, size=labels.shape)
    ours = fit_logistic(x, labels, strength=0.01, multilabel=True, sample_weight=weight)
    for number in range(3):
        theirs = peer(0.01).fit(x, labels[:, number], sample_weight=weight[:, number])
        np.testing.assert_allclose(
            ours.logits(x)[:, number],
            theirs.decision_function(x),
            atol=5e-3 * np.abs(theirs.decision_function(x)).max(),
        )


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_path_is_that_of_separate_fits_without_the_held_out_samples(multilabel: bool) -> None:
    x, y = samples(60, 100, 3)
    labels = np.eye(3)[y] if multilabel else y
    held_out = folds(y, np.arange(60), generator=np.random.default_rng(0))
    problem = LogisticProblem(x, labels, multilabel=multilabel)
    path = problem.path(held_out, tolerance=1e-10)
    for strength, loss, logits in zip(path.strengths, path.losses, path.logits, strict=True):
        losses = []
        for rows in held_out:
            left = np.setdiff1d(np.arange(60), rows)
            head = fit_logistic(x[left], labels[left], strength=strength, multilabel=multilabel)
            separate = head.logits(x[rows])
            np.testing.assert_allclose(logits[rows], separate, atol=1e-3 * max(1, np.abs(separate).max()))
            if multilabel:
                losses.append((np.logaddexp(0, separate) - labels[rows] * separate).mean(axis=1))
            else:
                losses.append(np.log(np.exp(separate).sum(axis=1)) - separate[np.arange(len(rows)), y[rows]])
        assert loss == pytest.approx(np.concatenate(losses).mean(), rel=1e-3)
    np.testing.assert_allclose(problem.path(held_out).losses, path.losses, rtol=0.05)
    assert path.strength == path.strengths[path.losses.argmin()]


def test_the_path_stops_where_weaker_strengths_gain_nothing() -> None:
    x, y = samples(80, 200, 3, noise=0.4)
    path = LogisticProblem(x, y).path(folds(y, np.arange(80), generator=np.random.default_rng(0)))
    assert len(path.strengths) < len(STRENGTHS)
    assert path.best < len(path.strengths) - 1
    assert path.strengths == tuple(sorted(STRENGTHS, reverse=True)[: len(path.strengths)])


def test_noise_alone_asks_for_more_strength_than_a_clear_difference() -> None:
    x, y = samples(80, 100, 2, noise=0)
    held_out = folds(y, np.arange(80), generator=np.random.default_rng(0))
    clear = LogisticProblem(x, y).path(held_out)
    noisy = LogisticProblem(x, np.random.default_rng(3).permutation(y)).path(held_out)
    assert noisy.strength > 10 * clear.strength


def test_a_class_without_samples_is_not_predicted() -> None:
    x, y = samples(50, 20, 3)
    head = fit_logistic(x, 2 * (y > 0), strength=0.1, classes=4)
    assert head.fitted.tolist() == [True, False, True, False]
    assert (head.logits(x)[:, [1, 3]] == UNSEEN).all()
    theirs = peer(0.1).fit(x, y > 0)  # two vectors of opposite sign have half the penalty of one of twice the length
    assert np.corrcoef(head.logits(x)[:, 2] - head.logits(x)[:, 0], theirs.decision_function(x))[0, 1] > 0.99


def test_a_label_with_one_value_has_its_smoothed_share() -> None:
    x, y = samples(40, 20, 2)
    labels = np.stack([y, np.zeros(40), np.ones(40)], axis=1)
    head = fit_logistic(x, labels, strength=0.1, multilabel=True)
    assert head.fitted.tolist() == [True, False, False]
    np.testing.assert_allclose(head.logits(x)[0, 1:], [np.log(0.5 / 40.5), np.log(40.5 / 0.5)])


def test_samples_that_are_all_the_same_give_the_shares_of_the_classes() -> None:
    head = fit_logistic(np.ones((8, 5)), np.array([0, 0, 0, 0, 0, 0, 1, 2]), strength=0.1)
    probability = np.exp(head.logits(np.ones((1, 5))))[0]
    np.testing.assert_allclose(probability / probability.sum(), [0.75, 0.125, 0.125], atol=1e-3)


def test_features_that_are_not_finite_are_refused() -> None:
    x, y = samples(20, 5, 2)
    x[3, 2] = np.nan
    with pytest.raises(S4miError, match="not finite"):
        fit_logistic(x, y, strength=1.0)


def test_a_path_needs_a_fold() -> None:
    with pytest.raises(S4miError, match="no fold to choose a strength by"):
        LogisticProblem(*samples(20, 5, 2)).path([])
