"""Exported trees against scikit-learn's own predictions."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from s4mi.maths import boosting
from s4mi.maths.boosting import DEPTH, RATE, SHARE, boosting_loss, fit_boosting
from s4mi.maths.folds import folds
from s4mi.maths.logistic import UNSEEN
from s4mi.maths.tree_arrays import TreeArrays, forest_trees, join_trees
from s4mi.nets.trees import Trees


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 12)


def samples(n: int, classes: int, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features with few distinct values, so that many are equal to a threshold, and noisy classes."""
    generator = np.random.default_rng(seed)
    y = generator.integers(classes, size=n)
    y[:classes] = range(classes)
    x = generator.normal(size=(n, 12)) + 0.8 * np.eye(classes, 12)[y]
    x[:, ::2] = np.round(x[:, ::2], 1)
    return x.astype(np.float32), y


def peer(seed: int) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(
        n_estimators=boosting.ROUNDS,
        learning_rate=RATE,
        max_depth=DEPTH,
        subsample=SHARE,
        max_features="sqrt",
        random_state=seed,
    )


def network(arrays: TreeArrays) -> Trees:
    trees = Trees()
    trees.set_trees(**vars(arrays))
    return trees


@pytest.mark.parametrize("classes", [2, 4])
def test_boosted_trees_predict_scikit_learns_probabilities(classes: int) -> None:
    x, y = samples(120, classes)
    weight = np.random.default_rng(1).uniform(0.2, 3, size=len(y))
    ours = fit_boosting(x, y, classes=classes, sample_weight=weight, seed=3)
    theirs = peer(3).fit(x, y, sample_weight=weight)
    new, _ = samples(300, classes, seed=9)
    arrays = ours.trees(x.shape[1])
    assert arrays is not None
    logits = network(arrays)(torch.from_numpy(new))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), theirs.predict_proba(new), atol=1e-6)
    np.testing.assert_allclose(ours.logits(new), logits.numpy(), atol=1e-4)


def test_boosted_trees_of_several_labels_are_one_model_per_label() -> None:
    x, y = samples(100, 4)
    labels = np.stack([y == 0, y > 1, np.zeros(100, dtype=bool)], axis=1).astype(np.float32)
    ours = fit_boosting(x, labels, classes=3, sample_weight=np.ones(100), seed=3)
    arrays = ours.trees(x.shape[1])
    assert arrays is not None
    new, _ = samples(200, 4, seed=9)
    probability = network(arrays)(torch.from_numpy(new)).sigmoid().numpy()
    for number in range(2):
        theirs = peer(3 + number).fit(x, labels[:, number].astype(int)).predict_proba(new)[:, 1]
        np.testing.assert_allclose(probability[:, number], theirs, atol=1e-6)
    np.testing.assert_allclose(probability[:, 2], 0.5 / 101, rtol=1e-5)


def test_a_class_without_samples_is_never_predicted() -> None:
    x, y = samples(60, 2)
    arrays = fit_boosting(x, 2 * y, classes=4, sample_weight=np.ones(60), seed=0).trees(x.shape[1])
    assert arrays is not None
    logits = network(arrays)(torch.from_numpy(x))
    assert (logits[:, [1, 3]] == UNSEEN).all()
    np.testing.assert_allclose(logits[:, [0, 2]].softmax(1).numpy(), peer(0).fit(x, y).predict_proba(x), atol=1e-6)


def test_one_class_alone_has_no_trees() -> None:
    x, _ = samples(10, 2)
    assert fit_boosting(x, np.ones(10, dtype=np.int64), classes=2, sample_weight=np.ones(10), seed=0).trees(12) is None


def test_the_held_out_loss_is_that_of_models_fitted_without_the_fold() -> None:
    x, y = samples(60, 3)
    weight = np.random.default_rng(1).uniform(0.5, 2, size=60)
    held_out = folds(y, np.arange(60), generator=np.random.default_rng(0))
    total = 0.0
    for rows in held_out:
        kept = np.setdiff1d(np.arange(60), rows)
        probability = peer(5).fit(x[kept], y[kept], sample_weight=weight[kept]).predict_proba(x[rows])
        total -= (weight[rows] * np.log(probability[np.arange(len(rows)), y[rows]])).sum()
    loss = boosting_loss(x, y, held_out, classes=3, sample_weight=weight, seed=5)
    assert loss == pytest.approx(total / weight.sum(), rel=1e-6)


@pytest.mark.parametrize("depth", [3, 12])
def test_a_forest_predicts_scikit_learns_probabilities(depth: int) -> None:
    x, y = samples(300, 3)
    y[y == 1] = 2  # no sample of class 1
    forest = RandomForestClassifier(20, max_depth=depth, random_state=0).fit(x, y)
    new, _ = samples(400, 3, seed=9)
    probability = network(forest_trees(forest, 3))(torch.from_numpy(new)).numpy()
    np.testing.assert_allclose(probability[:, [0, 2]], forest.predict_proba(new), atol=1e-6)
    assert (probability[:, 1] == 0).all()


def test_a_sample_on_a_threshold_goes_left_as_in_scikit_learn() -> None:
    x = np.array([[0.1], [0.3]], dtype=np.float32)
    forest = RandomForestClassifier(1, bootstrap=False).fit(x, [0, 1])
    arrays = forest_trees(forest, 2)
    threshold = float(forest.estimators_[0].tree_.threshold[0])
    around = np.nextafter(np.float32(threshold), np.array([-1, 1], dtype=np.float32)).astype(np.float32)
    new = np.array([[around[0]], [np.float32(threshold)], [around[1]]], dtype=np.float32)
    np.testing.assert_array_equal(network(arrays)(torch.from_numpy(new)).numpy(), forest.predict_proba(new))


def test_many_samples_are_worked_on_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(90, 3)
    trees = network(forest_trees(RandomForestClassifier(7, random_state=0).fit(x, y), 3))
    whole = trees(torch.from_numpy(x))
    monkeypatch.setattr("s4mi.nets.trees.CHUNK", 70)
    assert torch.equal(trees(torch.from_numpy(x)), whole)


def test_trees_of_different_depth_are_joined() -> None:
    x, y = samples(80, 2)
    forests = [RandomForestClassifier(1, max_depth=depth, random_state=0).fit(x, y) for depth in (1, 6)]
    arrays = [forest_trees(forest, 2) for forest in forests]
    trees = [forest.estimators_[0].tree_ for forest in forests]
    joined = join_trees(trees, [each.value / 2 for each in arrays], np.zeros(2))
    expected = np.mean([forest.predict_proba(x) for forest in forests], axis=0)
    np.testing.assert_allclose(network(joined)(torch.from_numpy(x)).numpy(), expected, atol=1e-6)
