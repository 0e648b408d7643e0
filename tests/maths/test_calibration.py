"""Temperatures and thresholds are optimal, and a temperature changes no decision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from scipy.special import softmax as scipy_softmax
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import f1_score, log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from s4mi.maths.calibration import (
    PRIOR_STD,
    best_threshold,
    calibration_error,
    entropy,
    fit_temperature,
    negative_log_likelihood,
    sigmoid,
    softmax,
    tempered,
)


def drawn(seed: int, n: int = 300, k: int = 4, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and classes drawn from logits / scale, so that the true temperature is `scale`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 4, (n, k))
    chances = scipy_softmax(logits / scale, axis=1)
    truth = np.array([generator.choice(k, p=chance) for chance in chances])
    return logits.astype(np.float32), truth.astype(np.int64)


def test_softmax_and_sigmoid_are_those_of_scipy_also_for_large_logits() -> None:
    logits = np.float32([[[1, -200], [88, 200]], [[3, 0], [3, 0.5]]])
    np.testing.assert_allclose(softmax(logits), scipy_softmax(logits, axis=1), atol=1e-6)
    np.testing.assert_allclose(sigmoid(logits), expit(logits), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_power_of_a_probability_is_the_softmax_of_the_logits_over_the_temperature(temperature: float) -> None:
    logits, _ = drawn(0)
    expected = scipy_softmax(logits / temperature, axis=1)
    np.testing.assert_allclose(tempered(softmax(logits), temperature, multilabel=False, axis=1), expected, atol=1e-5)
    several = tempered(sigmoid(logits), temperature, multilabel=True, axis=1)
    np.testing.assert_allclose(several, expit(logits / temperature), atol=2e-4)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=5).filter(lambda values: sum(values) > 1e-3),
    st.floats(0.1, 10),
)
def test_no_temperature_changes_the_most_probable_class(values: list[float], temperature: float) -> None:
    probabilities = np.float32(values) / np.float32(sum(values))
    after = tempered(probabilities, temperature, multilabel=False)
    assert after.argmax() == probabilities.argmax()
    assert after.sum() == pytest.approx(1, abs=1e-5)


def test_two_classes_that_hardly_differ_stay_in_their_order() -> None:
    high = np.nextafter(np.float32(0.5), np.float32(1))
    probabilities = np.float32([1 - high, high])
    for temperature in (2.0, 10.0):
        assert tempered(probabilities, temperature, multilabel=False).argmax() == 1


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_minimises_the_negative_log_likelihood_and_is_near_the_true_one(scale: float) -> None:
    logits, truth = drawn(1, n=3000, scale=scale)
    found = fit_temperature(softmax(logits), truth, multilabel=False)

    def cost(sharpness: np.ndarray) -> float:
        scaled = logits * sharpness[0]
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(truth)), truth]).mean())

    oracle = 1 / minimize(cost, [1.0], method="Nelder-Mead").x[0]
    assert found == pytest.approx(oracle, rel=0.01)
    assert found == pytest.approx(scale, rel=0.15)


def test_the_multi_label_temperature_minimises_the_logistic_loss() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 4, (700, 3)).astype(np.float32)
    truth = (generator.random(logits.shape) < expit(logits / 2)).astype(np.int64)
    found = fit_temperature(sigmoid(logits), truth, multilabel=True)
    grid = np.linspace(1.5, 2.5, 41)
    costs = [log_loss(truth.ravel(), expit(logits / t).ravel()) for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(costs))], abs=0.04)


def test_likelihoods_and_errors_are_those_of_scikit_learn_and_torchmetrics() -> None:
    logits, truth = drawn(3)
    given = softmax(logits)
    assert negative_log_likelihood(given, truth, multilabel=False) == pytest.approx(log_loss(truth, given), rel=1e-3)
    error = multiclass_calibration_error(torch.tensor(given), torch.tensor(truth), 4, n_bins=15)
    assert calibration_error(given, truth, multilabel=False) == pytest.approx(float(error), abs=1e-5)
    several, labels = sigmoid(logits), (logits > 1).astype(np.int64)
    error = binary_calibration_error(torch.tensor(several.ravel()), torch.tensor(labels.ravel()), n_bins=15)
    assert calibration_error(several, labels, multilabel=True) == pytest.approx(float(error), abs=1e-5)


def f1(truth: np.ndarray, taken: np.ndarray) -> float:
    """2TP / (2TP + FP + FN) of a class that occurs."""
    return float(2 * (truth * taken).sum() / (truth.sum() + taken.sum()))


def test_the_threshold_maximises_the_f1_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 60)
    probabilities = np.clip(0.3 * truth + 0.7 * generator.random(60), 0, 1).astype(np.float32)
    found = f1_score(truth, probabilities > best_threshold(probabilities, truth))
    assert found == pytest.approx(
        max(f1_score(truth, probabilities > cut) for cut in [*probabilities, -1.0] if (probabilities > cut).any())
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_has_a_better_f1(pairs: list[tuple[int, bool]]) -> None:
    probabilities = np.float32([tenth / 20 for tenth, _ in pairs])
    truth = np.array([int(shown) for _, shown in pairs])
    found = best_threshold(probabilities, truth)
    if truth.min() == truth.max():
        assert found == 0.5
        return
    tried = [*np.unique(probabilities), -1.0]
    assert f1(truth, probabilities > found) == pytest.approx(max(f1(truth, probabilities > cut) for cut in tried))


def test_one_half_is_kept_if_nothing_is_better() -> None:
    assert best_threshold(np.float32([0.1, 0.45, 0.6, 0.9]), np.array([0, 0, 1, 1])) == 0.5


def test_entropy_is_that_of_scipy_in_bits() -> None:
    given = np.float32([0.7, 0.2, 0.1])
    assert entropy(given, multilabel=False) == pytest.approx(scipy_entropy(given, base=2), abs=1e-5)
    several = np.mean([scipy_entropy([p, 1 - p], base=2) for p in given])
    assert entropy(given, multilabel=True) == pytest.approx(several, abs=1e-5)
    assert entropy(np.float32([1, 0]), multilabel=False) == pytest.approx(0, abs=1e-9)


def test_the_temperature_of_a_few_correct_images_is_regularised() -> None:
    logits = np.float32([[2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]])
    given, truth = softmax(logits), np.array([0, 1, 2, 0])
    assert fit_temperature(given, truth, multilabel=False) < 0.15, "without regularisation"
    found = fit_temperature(given, truth, multilabel=False, images=4)

    def cost(log_t: np.ndarray) -> float:
        scaled = logits / np.exp(log_t[0])
        lost = logsumexp(scaled, axis=1) - scaled[np.arange(4), truth]
        return float(lost.sum() + log_t[0] ** 2 / (2 * PRIOR_STD**2))

    assert found == pytest.approx(float(np.exp(minimize(cost, [0.0], method="Nelder-Mead").x[0])), rel=0.01)
    assert 0.5 < found < 1


def test_with_many_images_regularisation_has_no_effect() -> None:
    logits, truth = drawn(1, n=3000, scale=0.5)
    alone = fit_temperature(softmax(logits), truth, multilabel=False)
    assert fit_temperature(softmax(logits), truth, multilabel=False, images=3000) == pytest.approx(alone, rel=0.01)
