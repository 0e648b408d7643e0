"""Logistic regression on shares of classes, against scikit-learn on rows that are repeated once per class."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from s4mi.maths.soft_logistic import LinearSoftmax, SoftLogistic, losses_on_folds


def rows(classes: int, *, count: int = 200, width: int = 6) -> tuple[Tensor, Tensor]:
    """Features whose classes overlap, and weights of the classes that sum to different totals."""
    generator = torch.Generator().manual_seed(classes)
    features = torch.randn(count, width, generator=generator, dtype=torch.float64)
    scores = features[:, :classes] + torch.randn(count, classes, generator=generator, dtype=torch.float64)
    shares = (2 * scores).softmax(dim=1) * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    shares[::7] = 0.0  # nothing annotated there
    return features, shares * torch.linspace(0.5, 2, classes, dtype=torch.float64)


@pytest.mark.parametrize("classes", [3, 4])
@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_it_is_scikit_learn_s_fit_of_rows_repeated_once_per_class(classes: int, strength: float) -> None:
    features, targets = rows(classes)
    fit = SoftLogistic(features).fit(targets, strength=strength)
    labels = np.tile(np.arange(classes), len(features))
    peer = LogisticRegression(C=1 / (strength * float(targets.sum())), tol=1e-8, max_iter=5000)
    peer.fit(np.repeat(features.numpy(), classes, axis=0), labels, sample_weight=targets.flatten().numpy())
    np.testing.assert_allclose(
        fit.logits(features).softmax(dim=1).numpy(), peer.predict_proba(features.numpy()), atol=2e-4
    )


def test_two_classes_are_scikit_learn_s_with_half_the_penalty() -> None:
    features, targets = rows(2)
    fit = SoftLogistic(features).fit(targets, strength=0.05)
    peer = LogisticRegression(C=2 / (0.05 * float(targets.sum())), tol=1e-8, max_iter=5000)
    peer.fit(np.repeat(features.numpy(), 2, axis=0), np.tile([0, 1], len(features)), targets.flatten().numpy())
    np.testing.assert_allclose((fit.weight[1] - fit.weight[0]).numpy(), peer.coef_[0], atol=1e-3)
    assert float(fit.bias[1] - fit.bias[0]) == pytest.approx(float(peer.intercept_[0]), abs=1e-3)


def test_single_precision_finds_the_same_minimum() -> None:
    features, targets = rows(3)
    double = SoftLogistic(features).fit(targets, strength=0.01)
    single = SoftLogistic(features.float()).fit(targets.float(), strength=0.01)
    torch.testing.assert_close(single.weight.double(), double.weight, rtol=0, atol=2e-3)


def test_doubling_all_weights_changes_nothing() -> None:
    features, targets = rows(3)
    one, other = (SoftLogistic(features).fit(factor * targets, strength=0.01) for factor in (1, 2))
    torch.testing.assert_close(one.weight, other.weight, rtol=0, atol=1e-6)


def test_a_class_without_weight_is_never_the_most_likely() -> None:
    features, targets = rows(3)
    targets[:, 1] = 0
    fit = SoftLogistic(features).fit(targets, strength=0.01)
    assert 1 not in fit.logits(features).argmax(dim=1)


def test_losses_on_folds_are_those_of_fits_without_the_fold_and_end_where_they_get_worse() -> None:
    features, targets = rows(3)
    groups = np.arange(len(features)) // 20
    strengths = (1e-5, 1e-3, 0.01, 0.1, 1.0)
    losses = losses_on_folds(
        SoftLogistic(features), targets, groups, strengths=strengths, folds=4, generator=np.random.default_rng(5)
    )
    expected = {}
    for strength in strengths:
        parts = np.array_split(np.random.default_rng(5).permutation(10), 4)
        for held_out in (torch.from_numpy(np.isin(groups, part)) for part in parts):
            fit = SoftLogistic(features[~held_out]).fit(targets[~held_out], strength=strength)
            share = float(targets[held_out].sum() / targets.sum())
            expected[strength] = expected.get(strength, 0) + share * float(
                fit.loss(features[held_out], targets[held_out])
            )
    best = min(expected, key=lambda each: expected[each])
    worse = [strength for strength in strengths if strength < best]
    assert worse, "the best is not at the end of the path"
    assert list(losses) == [strength for strength in reversed(strengths) if strength >= worse[-1]]
    assert losses == pytest.approx({strength: expected[strength] for strength in losses}, abs=1e-4)


def test_a_class_of_one_group_alone_judges_no_strength() -> None:
    """Three of six groups have a class of their own, which the fits to the others cannot know.

    The strength is chosen by what they can know: without these rows, scored by hand, the weakest is the best.
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 40))
    groups = np.repeat(np.arange(6), 50)
    labels = rng.integers(2, size=300)
    for group in range(3):
        labels[50 * group : 50 * group + 15] = 2 + group
    features = torch.from_numpy(centres[labels] + rng.normal(size=(300, 40)))
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), 5).double()
    strengths = (1e-3, 1e-2, 0.1, 1.0)
    losses = losses_on_folds(
        SoftLogistic(features), targets, groups, strengths=strengths, folds=6, generator=np.random.default_rng(1)
    )
    for strength in strengths:
        total = 0.0
        for group in range(6):
            seen, scored = torch.from_numpy(groups != group), torch.from_numpy((groups == group) & (labels < 2))
            fit = SoftLogistic(features[seen]).fit(targets[seen], strength=strength)
            total += float(fit.loss(features[scored], targets[scored])) * int(scored.sum())
        assert losses[strength] == pytest.approx(total / int((labels < 2).sum()), abs=1e-3)
    assert min(losses, key=lambda each: losses[each]) == 1e-3


def test_folds_without_anything_to_score_choose_nothing() -> None:
    features, targets = rows(2)
    targets = targets * torch.tensor([[1.0, 0.0]]) * (torch.arange(200) < 100)[:, None]
    targets += targets.flip(0).flip(1)  # each half has a class of its own
    halves = np.arange(200) // 100
    given = {"strengths": (0.1,), "folds": 2, "generator": np.random.default_rng(0)}
    assert losses_on_folds(SoftLogistic(features), targets, halves, **given) == {}  # type: ignore[arg-type]


def test_the_loss_is_the_weighted_mean_of_the_cross_entropy() -> None:
    fit = LinearSoftmax(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, -1.0]))
    features, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    by_hand = (2 * np.log(2) + 2 * np.log1p(np.exp(-2))) / 4
    assert float(fit.loss(features, targets)) == pytest.approx(by_hand, abs=1e-6)


def test_rows_without_weight_are_as_good_as_absent() -> None:
    features, targets = rows(3)
    kept = torch.arange(len(features)) % 3 > 0
    whole = SoftLogistic(features).fit(targets * kept[:, None], strength=0.01)
    part = SoftLogistic(features[kept]).fit(targets[kept], strength=0.01)
    torch.testing.assert_close(whole.weight, part.weight, rtol=0, atol=2e-4)


def test_features_of_very_different_scales_and_more_features_than_rows_are_no_obstacle() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 60, generator=generator, dtype=torch.float64) * torch.logspace(-3, 1, 60)
    targets = torch.nn.functional.one_hot(torch.arange(40) % 3, 3).double()
    fit = SoftLogistic(features).fit(targets, strength=1e-3)
    peer = LogisticRegression(C=1 / (1e-3 * 40), tol=1e-9, max_iter=20000).fit(features.numpy(), np.arange(40) % 3)
    np.testing.assert_allclose(
        fit.logits(features).softmax(dim=1).numpy(), peer.predict_proba(features.numpy()), atol=2e-3
    )
