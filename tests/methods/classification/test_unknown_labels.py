"""Labels that are unknown for one class change nothing else: losses, fits, scores and calibration (report row B4).

The oracle is the same computation on the images of which the class is known.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from s4mi.config import METHODS
from s4mi.contract import Batch, FittedClassifier, LabelledFeatures, Task
from s4mi.maths.boosting import boosting_loss, fit_boosting
from s4mi.maths.calibration import best_threshold, calibration_error, fit_temperature, negative_log_likelihood
from s4mi.maths.classification_metrics import score_multilabel
from s4mi.maths.folds import folds
from s4mi.maths.logistic import LogisticProblem
from s4mi.maths.losses import focal, multilabel_cross_entropy, positive_weights
from s4mi.maths.patient_scores import patient_score
from s4mi.methods.feature_fits import Samples, fit_head, new_head, not_fitted, weights_of_classes, weights_of_labels
from s4mi.settings.head_names import HeadName

NAN = float("nan")


def drawn(seed: int = 0, n: int = 60, k: int = 3, d: int = 6) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """(N, D) features, (N, K) labels that depend on them, NaN where unknown, and whether they are known."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = (x[:, :k] + 0.5 * rng.normal(size=(n, k)) > 0.2).astype(np.float64)
    known = rng.random((n, k)) > 0.35
    known[:, 0] = True  # one class is known everywhere
    return x, np.where(known, y, NAN), known


@pytest.mark.parametrize("loss", [multilabel_cross_entropy, lambda z, y: focal(z, y, gamma=1.5)], ids=["bce", "focal"])
def test_losses_are_those_of_the_known_labels(loss: Callable[..., torch.Tensor]) -> None:
    _, labels, known = drawn()
    y = torch.from_numpy(labels).float()
    z = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = loss(z, y)
    (gradient,) = torch.autograd.grad(value, z)
    mask = torch.from_numpy(known)
    assert value.item() == pytest.approx(loss(z[mask][:, None], y[mask][:, None]).item(), rel=1e-5)
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).all()
    assert loss(z, torch.full_like(y, NAN)).item() == 0


def test_weights_of_positives_count_known_labels() -> None:
    """By hand: class a, 2 of 4 known; class b, 1 of 3 known."""
    labels = np.array([[1, 1], [1, 0], [0, 0], [0, NAN]])
    assert weights_of_classes(labels, 2, "inverse").tolist() == [1.0, 2.0]
    weights = positive_weights([2, 1], [4, 3], "inverse")
    assert weights is not None
    assert weights.tolist() == [1.0, 2.0]
    assert weights_of_labels(labels, np.array([1.0, 2.0])).tolist() == [[1, 2], [1, 1], [1, 1], [1, 0]]
    assert not_fitted(np.array([[1, 0.0], [0, NAN], [NAN, 0]]), ("a", "b"))[0].endswith("b; label more images")


def test_logistic_regression_is_that_of_scikit_learn_on_the_known_images() -> None:
    x, y, known = drawn()
    fit = LogisticProblem(x, y, multilabel=True).fit(0.5)
    for k in range(3):
        own = known[:, k]
        oracle = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(x[own], y[own, k])
        np.testing.assert_allclose(fit.weight[k], oracle.coef_[0], atol=1e-5)
        np.testing.assert_allclose(fit.bias[k], oracle.intercept_[0], atol=1e-5)


def test_a_class_that_is_never_known_is_not_fitted_and_disturbs_no_other() -> None:
    x, y, _ = drawn()
    y[:, 2] = NAN
    held_out = [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    path, other = (LogisticProblem(x, each, multilabel=True).path(held_out, tolerance=1e-10) for each in (y, y[:, :2]))
    np.testing.assert_allclose(path.losses, other.losses, rtol=1e-4)
    fit = LogisticProblem(x, y, multilabel=True).fit(0.5)
    assert fit.fitted.tolist() == [True, True, False]
    assert (fit.weight[2] == 0).all()


def test_boosting_of_a_class_is_that_of_its_known_images() -> None:
    x, y, known = drawn()
    fit = fit_boosting(x, y, classes=3, sample_weight=np.ones(60), seed=5)
    own = known[:, 2]
    alone = fit_boosting(x[own], y[own][:, 2:], classes=1, sample_weight=np.ones(int(own.sum())), seed=7)
    np.testing.assert_array_equal(fit.logits(x)[:, 2], alone.logits(x)[:, 0])
    loss = boosting_loss(x, y, [np.arange(0, 60, 2)], classes=3, sample_weight=np.ones(60), seed=5)
    kept = fit_boosting(x[1::2], y[1::2], classes=3, sample_weight=np.ones(30), seed=5).logits(x[::2])
    p = 1 / (1 + np.exp(-kept))
    each = -np.log(np.where(y[::2] == 1, p, 1 - p))[known[::2]]
    assert loss == pytest.approx(each.mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["logistic", "ridge", "knn", "prototype"])
def test_heads_fit_a_class_that_is_known_everywhere_as_without_the_others(name: HeadName) -> None:
    """Class 0 is known everywhere, so its logits are as good as those of a fit to it alone, and all are finite."""
    x, y, _ = drawn()
    tensor = torch.from_numpy(x).float()

    def logits(labels: NDArray[Any]) -> NDArray[Any]:
        head = new_head(name, multilabel=True)
        samples = Samples(
            tensor, labels, np.arange(60), labels.shape[1], weights_of_labels(labels, np.ones(labels.shape[1]))
        )
        fit_head(head, name, samples, np.random.default_rng(0))
        return np.asarray(head(tensor))

    both, alone = logits(y), logits(y[:, :1])
    assert np.isfinite(both).all()
    assert np.corrcoef(both[:, 0], alone[:, 0])[0, 1] > 0.97
    for k in range(3):
        own = ~np.isnan(y[:, k])
        assert roc_auc_score(y[own, k], both[own, k]) > 0.85


def test_ridge_of_each_class_is_that_of_scikit_learn() -> None:
    x, y, known = drawn()
    head = new_head("ridge", multilabel=True)
    weight = weights_of_labels(y, np.ones(3))
    samples = Samples(torch.from_numpy(x).float(), y, np.arange(60), 3, weight)
    fit = fit_head(head, "ridge", samples, np.random.default_rng(0))
    assert fit.chosen is not None
    for k in range(3):
        own = known[:, k]
        oracle = Ridge(alpha=float(fit.chosen["strength"])).fit(x[own], 2 * y[own, k] - 1, sample_weight=weight[own, k])
        np.testing.assert_allclose(np.asarray(head(samples.x))[:, k] / 4, oracle.predict(x), atol=1e-5)


def test_folds_keep_the_known_positives_of_each_class_on_both_sides() -> None:
    _, y, _ = drawn()
    for rows in folds(y, np.arange(60), generator=np.random.default_rng(0)):
        kept = np.setdiff1d(np.arange(60), rows)
        assert (np.nansum(y[kept], axis=0) > 0).all()
        assert (np.nansum(y[rows], axis=0) > 0).all()


@pytest.mark.long
@pytest.mark.parametrize("name", ["frozen", "classical", "pseudo_labels", "finetune"])
def test_every_method_learns_from_images_of_which_a_class_is_unknown(name: str) -> None:
    x, y, _ = drawn(n=40)
    settings = {"backbone": "tiny_resnet", "weights": "none"} if name != "classical" else {}
    config = METHODS[name].model_validate({"name": name, **settings})
    counts = tuple(int(count) for count in np.nansum(y, axis=0))
    task = Task("multilabel", ("a", "b", "c"), 32, counts, 40, known=tuple(int(n) for n in (~np.isnan(y)).sum(axis=0)))
    method = config.build(task)
    images = torch.rand(4, 3, 32, 32)
    if isinstance(method, FittedClassifier):
        widths = [extractor.widths["pooled"] for extractor in method.extractors]
        blocks = tuple(
            np.repeat(np.tile(x, (1, width // 6 + 1))[:, None, :width], method.views, axis=1).astype(np.float32)
            for width in widths
        )
        others = tuple(block[:, 0] for block in blocks) if method.uses_unlabelled else ()
        fit = method.fit(LabelledFeatures(blocks, y, np.arange(40), unlabelled=others), np.random.default_rng(0))
        assert not [note for note in fit.notes if "not fitted" in note]
        logits = method.head_logits([torch.from_numpy(block[:, 0]) for block in blocks]).numpy()
        for k in range(3):
            own = ~np.isnan(y[:, k])
            assert roc_auc_score(y[own, k], logits[own, k]) > 0.9
    batch = Batch(images, torch.arange(4), labels=torch.tensor([[1, 0, NAN], [0, NAN, NAN], [NAN, 1, 0], [1, 1, 1.0]]))
    assert torch.isfinite(method.loss(batch).total)


def test_scores_are_those_of_scikit_learn_on_the_known_labels() -> None:
    _, y, known = drawn(n=80)
    p = np.random.default_rng(1).random(y.shape)
    truth = np.where(known, y, -1).astype(np.int64)
    classes = ("a", "b", "c")
    scores = score_multilabel(
        torch.from_numpy(p), torch.from_numpy(truth), classes, majority=torch.tensor([True, False, False])
    )
    for k, name in enumerate(classes):
        own = known[:, k]
        t, q = y[own, k], p[own, k]
        each = scores.per_class[name]
        assert each.support == int(t.sum())
        assert each.f1 == pytest.approx(f1_score(t, q > 0.5))
        assert each.recall == pytest.approx(recall_score(t, q > 0.5))
        assert each.auroc == pytest.approx(roc_auc_score(t, q), abs=1e-6)
        assert each.average_precision == pytest.approx(average_precision_score(t, q), abs=1e-6)
    assert scores.f1_micro == pytest.approx(f1_score(y[known], (p > 0.5)[known]))
    assert np.array(scores.confusion).sum(axis=1).tolist() == known.sum(axis=0).tolist()
    assert scores.calibration_error == pytest.approx(
        calibration_error(p.astype(np.float32), truth, multilabel=True), abs=1e-6
    )
    interval = patient_score(
        "f1_macro", y == 1, p > 0.5, [f"{n}" for n in range(80)], multilabel=True, rng=np.random.default_rng(0),
        known=known,
    )  # fmt: skip
    assert interval.mean == pytest.approx(scores.f1_macro)


def test_calibration_is_that_of_the_known_labels() -> None:
    _, y, known = drawn(n=80)
    p = np.clip(
        np.where(np.nan_to_num(y) == 1, 0.9, 0.2) + np.random.default_rng(2).normal(0, 0.1, y.shape), 0.01, 0.99
    )
    p = p.astype(np.float32)
    truth = np.where(known, y, -1).astype(np.int64)
    flat, labels = p[known][:, None], truth[known][:, None]
    assert negative_log_likelihood(p, truth, multilabel=True) == pytest.approx(
        negative_log_likelihood(flat, labels, multilabel=True)
    )
    assert fit_temperature(p, truth, multilabel=True) == pytest.approx(fit_temperature(flat, labels, multilabel=True))
    assert calibration_error(p, truth, multilabel=True) == pytest.approx(
        calibration_error(flat, labels, multilabel=True), abs=1e-6
    )
    own = known[:, 1]
    assert best_threshold(p[:, 1], truth[:, 1]) == best_threshold(p[own, 1], truth[own, 1])
    assert best_threshold(p[:, 1], np.full(80, -1)) == 0.5
