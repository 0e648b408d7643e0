"""Heads on frozen features: weights of classes and of views, and classes that no image shows, or all do.

The oracles are scikit-learn and a naive vote.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from s4mi.methods.feature_fits import Samples, fit_head, new_head, weights_of_classes, weights_of_labels
from s4mi.nets.feature_heads import TEMPERATURE, NeighboursHead, neighbour_logits
from s4mi.settings.head_names import HeadName

NAN = float("nan")
HEADS = ("logistic", "ridge", "knn", "prototype")


def drawn(n: int = 60) -> tuple[NDArray[Any], NDArray[Any]]:
    """(N, 6) features and (N, 3) labels that depend on them, the first of which is rare."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    return x, (x[:, :3] + 0.5 * rng.normal(size=(n, 3)) > np.array([1.0, 0.2, 0.0])).astype(np.float64)


def fitted(name: HeadName, x: NDArray[Any], labels: NDArray[Any], *, classes: int, views: int = 1) -> Any:
    """A head that is fitted to as many equal views of each image, its fit, and the weights of the labels."""
    weight = weights_of_labels(labels, weights_of_classes(labels, classes, "inverse"))
    samples = Samples(
        torch.from_numpy(np.repeat(x, views, axis=0)).float(), np.repeat(labels, views, axis=0),
        np.repeat(np.arange(len(x)), views), classes, np.repeat(weight, views, axis=0) / views, views,
    )  # fmt: skip
    head = new_head(name, multilabel=labels.ndim == 2)
    return head, fit_head(head, name, samples, np.random.default_rng(0)), weight


def test_ridge_weighs_the_positives_of_each_class_by_the_weight_of_this_class() -> None:
    x, y = drawn()
    head, fit, weight = fitted("ridge", x, y, classes=3)
    assert not np.allclose(weight[:, 0], weight[:, 2])
    for k in range(3):
        oracle = Ridge(alpha=fit.chosen["strength"]).fit(x, 2 * y[:, k] - 1, sample_weight=weight[:, k])
        np.testing.assert_allclose(
            np.asarray(head(torch.from_numpy(x).float()))[:, k] / 4, oracle.predict(x), atol=1e-5
        )


def test_of_two_classes_with_equal_weights_the_one_with_more_neighbours_is_predicted() -> None:
    """Weights of 4.8, the default for such rare classes; four neighbours of class 1 and six of class 2."""
    y = np.r_[np.zeros(86), [1, 1, 1, 2], [1] * 4, [2] * 6].astype(np.int64)
    x = np.r_[np.tile([1.0, 0.0], (90, 1)), np.tile([0.0, 1.0], (10, 1))]
    head, _, weight = fitted("knn", x, y, classes=3)
    assert weight[y == 1][0] == weight[y == 2][0] > 4
    head.give(neighbours=torch.tensor(10))
    p = head(torch.tensor([[0.0, 1.0]])).softmax(dim=1)[0]
    assert int(p.argmax()) == 2
    assert float(p[2] / p[1]) == pytest.approx(6 / 4, rel=0.02)  # but for the prior


@pytest.mark.parametrize("multilabel", [False, True])
def test_neighbours_vote_as_in_a_naive_count(multilabel: bool) -> None:
    x, y = drawn()
    labels = y if multilabel else (y[:, 0] + 2 * (y[:, 1] > y[:, 0])).astype(np.int64)
    head, _, weight = fitted("knn", x, labels, classes=3)
    k = 7
    head.give(neighbours=torch.tensor(k))
    targets = y if multilabel else np.eye(3)[labels]
    weight = weight / weight.mean(axis=0)
    weight = weight if multilabel else np.repeat(weight[:, None], 3, axis=1)
    prior = targets.mean(axis=0).clip(0.01, 0.99)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    queries = np.random.default_rng(1).normal(size=(20, 6))
    p = head(torch.from_numpy(queries).float())
    p = np.asarray(p.sigmoid() if multilabel else p.softmax(dim=1))
    for query, found in zip(queries, p, strict=True):
        cosines = unit @ query / np.linalg.norm(query)
        near = np.argsort(-cosines)[:k]
        share = np.exp(cosines[near] / TEMPERATURE)
        share *= k / share.sum()
        for_, all_ = prior.copy(), np.ones(3)
        for row, counts in zip(near, share, strict=True):
            for_ += counts * weight[row] * targets[row]
            all_ += counts * weight[row]
        np.testing.assert_allclose(found, for_ / all_ if multilabel else for_ / for_.sum(), atol=1e-5)


@pytest.mark.parametrize("multilabel", [False, True])
def test_equal_views_of_the_labelled_images_change_no_vote(multilabel: bool) -> None:
    x, y = drawn()
    labels = y if multilabel else y[:, 1].astype(np.int64)
    classes = 3 if multilabel else 2
    one, _, _ = fitted("knn", x, labels, classes=classes)
    eight, _, _ = fitted("knn", x, labels, classes=classes, views=8)
    one.give(neighbours=torch.tensor(5))
    eight.give(neighbours=torch.tensor(40))
    activation = torch.sigmoid if multilabel else lambda z: z.softmax(dim=1)
    queries = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    p, q = activation(one(queries)), activation(eight(queries))
    assert (p - q).abs().max() < 0.15  # the prior counts as one vote of 6, or of 41
    assert float(q.max()) > 0.9


@pytest.mark.parametrize("name", ["logistic", "ridge", "prototype"])
def test_equal_views_of_few_images_change_no_choice(name: HeadName) -> None:
    """Each of 15 images is held out by itself, in one view or in eight."""
    x, y = drawn(15)
    (_, one, _), (_, eight, _) = (fitted(name, x, y[:, :2], classes=2, views=views) for views in (1, 8))
    assert one.chosen == eight.chosen
    assert one.scores == pytest.approx(eight.scores, rel=1e-2)


def test_a_neighbour_of_which_a_class_is_unknown_votes_with_the_prior() -> None:
    x, y = drawn()
    y[:30, 1] = NAN
    head, _, _ = fitted("knn", x, y, classes=3)
    prior = np.nanmean(y, axis=0)
    np.testing.assert_allclose(head.targets[:30, 1], prior[1], rtol=1e-5)
    np.testing.assert_allclose(head.targets[:30, 4], 1 - prior[1], rtol=1e-5)


def test_heads_of_earlier_versions_count_who_does_not_vote_for_a_class_against_it() -> None:
    x, y = drawn()
    head, _, _ = fitted("knn", x, y, classes=3)
    assert isinstance(head, NeighboursHead)
    cosines = torch.randn(5, 60, generator=torch.Generator().manual_seed(0)) / 10
    plain = torch.from_numpy(y).float()
    both = torch.cat([plain, 1 - plain], dim=1)
    old, new = (neighbour_logits(cosines, votes, head.prior, k=5, multilabel=True) for votes in (plain, both))
    assert torch.allclose(old, new, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_a_label_that_no_image_shows_is_never_predicted_and_one_that_all_show_always(name: HeadName) -> None:
    x, y = drawn()
    y[:, 1], y[:, 2] = 0, 1
    head, _, _ = fitted(name, x, y, classes=3)
    seen = head(torch.randn(300, 6, generator=torch.Generator().manual_seed(0))).sigmoid() > 0.5
    assert 0 < int(seen[:, 0].sum()) < 300
    assert (int(seen[:, 1].sum()), int(seen[:, 2].sum())) == (0, 300)


@pytest.mark.parametrize("name", HEADS)
def test_a_class_that_no_image_shows_is_never_predicted(name: HeadName) -> None:
    x, y = drawn()
    head, _, _ = fitted(name, x, 1 + y[:, 1].astype(np.int64), classes=4)
    predicted = head(torch.randn(300, 6, generator=torch.Generator().manual_seed(0))).argmax(dim=1)
    assert set(predicted.tolist()) == {1, 2}
