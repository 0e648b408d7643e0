"""Pseudo-labels for classes: the student against scikit-learn, what it is fitted to, and what it never sees."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from s4mi.contract import LabelledFeatures, Task
from s4mi.maths.pseudo_labels import two_sided
from s4mi.methods.class_pseudo_labels import held_out_thresholds
from s4mi.methods.classification.pseudo_labels import WEIGHTS, PseudoLabels, at_most
from s4mi.nets.feature_heads import JoinedFeatures
from s4mi.settings.classification.pseudo_labels import PseudoLabelsConfig

CLASSES = 3
SMALL = {"backbone": "tiny_resnet", "weights": "none", "join": []}


def built(*, kind: str = "multiclass", **settings: Any) -> PseudoLabels:
    task = Task(kind=kind, classes=("a", "b", "c"), image_size=32, counts=(9, 9, 9), labelled=27)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return PseudoLabelsConfig.model_validate({**SMALL, **settings}).build(task)


def made(count: int, others: int, *, seed: int = 0, spread: float = 1.0, multilabel: bool = False) -> LabelledFeatures:
    """Features of classes that lie around a point each, or are shown by one feature each."""
    generator = np.random.default_rng(seed)
    classes = np.arange(count + others) % CLASSES
    shown = (generator.random((count + others, CLASSES)) < 0.5).astype(np.float32)
    centres = 3 * (shown if multilabel else np.eye(CLASSES)[classes])
    x = np.zeros((count + others, 8))
    x[:, :CLASSES] = centres
    x = (x + spread * generator.standard_normal(x.shape)).astype(np.float32)
    labels = shown if multilabel else classes
    return LabelledFeatures((x[:count, None],), labels[:count], np.arange(count), (x[count:],))


def logits(method: PseudoLabels, x: NDArray[np.float32]) -> NDArray[np.float64]:
    return method.head_logits([torch.from_numpy(x)]).double().numpy()


def standardised(data: LabelledFeatures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    joined = JoinedFeatures()
    joined.fit([torch.from_numpy(data.blocks[0][:, 0])])
    x, u = (joined([torch.from_numpy(block)]).double().numpy() for block in (data.blocks[0][:, 0], data.unlabelled[0]))
    return x, u


def fit(method: PseudoLabels, data: LabelledFeatures, *, seed: int = 0) -> Any:
    return method.fit(data, np.random.default_rng(seed))


def test_the_student_is_the_formula_by_scikit_learn() -> None:
    """With all predictions kept, so that the thresholds play no part; weights of classes are those of the labels."""
    data = made(31, 40, spread=1.5)
    method = built(keep=1.0, unlabelled_weight=0.5, class_weights=(1, 2, 3))
    result = fit(method, data)
    strength = result.chosen["strength"]
    x, u = standardised(data)
    of_class = np.array([1.0, 2.0, 3.0])
    settings = {"C": 1 / strength, "tol": 1e-10, "max_iter": 10_000}
    teacher = LogisticRegression(**settings).fit(x, data.labels, of_class[data.labels])
    pseudo = teacher.predict(u)
    scale = 0.5 * of_class[data.labels].sum() / of_class[pseudo].sum()
    student = LogisticRegression(**settings).fit(
        np.concatenate([x, u]),
        np.concatenate([data.labels, pseudo]),
        np.concatenate([of_class[data.labels], scale * of_class[pseudo]]),
    )
    expected = student.predict_proba(x)
    np.testing.assert_allclose(softmax(logits(method, data.blocks[0][:, 0]), axis=1), expected, atol=2e-4)
    assert np.abs(expected - teacher.predict_proba(x)).max() > 0.01


@pytest.mark.parametrize("multilabel", [False, True])
def test_without_weight_or_images_the_student_is_the_teacher(multilabel: bool) -> None:
    data = made(30, 40, spread=1.5, multilabel=multilabel)
    kind = "multilabel" if multilabel else "multiclass"
    alone, weightless = built(kind=kind, unlabelled_weight=1.0), built(kind=kind, unlabelled_weight=0.0)
    fit(alone, replace(data, unlabelled=()))
    fit(weightless, data)
    student = built(kind=kind, unlabelled_weight=1.0, keep=1.0)
    fit(student, data)
    x = data.unlabelled[0]
    np.testing.assert_array_equal(logits(alone, x), logits(weightless, x))
    assert np.abs(logits(student, x) - logits(alone, x)).max() > 0.01


@pytest.mark.parametrize("multilabel", [False, True])
def test_predictions_below_the_thresholds_have_no_weight(multilabel: bool) -> None:
    """Images between all classes, of which the teacher is not sure, change nothing; others do."""
    data = made(30, 30, multilabel=multilabel)
    kind = "multilabel" if multilabel else "multiclass"
    doubtful = np.tile(data.blocks[0][:, 0].mean(axis=0), (50, 1)).astype(np.float32)
    one, other = (built(kind=kind, unlabelled_weight=1.0, keep=0.5) for _ in range(2))
    fit(one, data)
    fit(other, replace(data, unlabelled=(np.concatenate([data.unlabelled[0], doubtful]),)))
    x = data.blocks[0][:, 0]
    np.testing.assert_allclose(logits(one, x), logits(other, x), atol=1e-5)


def test_the_kept_are_a_share_of_each_class_above_the_thresholds() -> None:
    data = made(30, 60, spread=1.5)
    method = built(unlabelled_weight=1.0, keep=0.5)
    z = np.log(np.array([[0.9, 0.06, 0.04], [0.5, 0.3, 0.2], [0.05, 0.8, 0.15], [0.2, 0.5, 0.3], [0.1, 0.15, 0.75]]))
    thresholds, share = held_out_thresholds(z, np.array([0, 0, 1, 1, 2]), multilabel=False, keep=0.5, precision=0.95)
    assert share == 0.5
    assert thresholds.tolist() == pytest.approx([0.9, 0.8, 0.75])
    result = fit(method, data)
    kept, of = (int(word) for word in result.notes[0].split() if word.isdigit())
    assert of == 60
    assert 0 < kept < 60


def test_thresholds_of_multi_label_tasks_are_of_absence_and_presence() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.2], [0.3, 0.6], [0.2, 0.8]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    thresholds, _ = held_out_thresholds(np.log(p / (1 - p)), labels, multilabel=True, keep=0.5, precision=0.95)
    np.testing.assert_allclose(thresholds.numpy(), [[0.8, 0.9], [0.9, 0.8]])
    z = torch.tensor([0.3, -2.0])
    torch.testing.assert_close(two_sided(z).softmax(dim=1)[:, 1], z.sigmoid())


def test_a_class_of_which_nothing_is_known_has_no_pseudo_labels() -> None:
    """No prediction for it can be judged: it stays as likely as not, and counts in no weight."""
    labels = np.array([[1, np.nan], [0, np.nan]])
    z = np.array([[2.0, 0.0], [-2.0, 0.0]])
    thresholds, share = held_out_thresholds(z, labels, multilabel=True, keep=None, precision=0.95)
    assert share == 1
    assert (thresholds[0] == 0).all()
    assert (thresholds[1] > 1).all()
    data = made(30, 40, spread=1.5, multilabel=True)
    data.labels[:, 2] = np.nan
    method = built(kind="multilabel", unlabelled_weight=1.0, keep=1.0)
    fit(method, data)
    of_all = logits(method, data.unlabelled[0])
    np.testing.assert_array_equal(of_all[:, 2], 0)
    assert (np.abs(of_all[:, :2]) > 0.1).any(axis=0).all()


def test_pseudo_labels_help_where_labels_are_few() -> None:
    """On average: more images show where the classes lie."""
    gains = []
    for seed in range(6):
        data, test = made(9, 300, seed=seed, spread=0.8), made(600, 0, seed=100 + seed, spread=0.8)
        student, teacher = built(unlabelled_weight=0.3), built(unlabelled_weight=0.0)
        fit(student, data)
        fit(teacher, data)
        right = [logits(each, test.blocks[0][:, 0]).argmax(axis=1) == test.labels for each in (student, teacher)]
        gains.append(right[0].mean() - right[1].mean())
    assert np.mean(gains) > 0.005


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("seed", [0, 2])
def test_the_weight_is_the_one_with_the_least_held_out_loss(seed: int, multilabel: bool) -> None:
    data = made(9 if not multilabel else 24, 300, seed=seed, spread=0.8, multilabel=multilabel)
    method = built(kind="multilabel" if multilabel else "multiclass")
    result = fit(method, data)
    losses = {weight: result.scores[f"log_loss with weight {weight:g}"] for weight in WEIGHTS}
    assert result.chosen["unlabelled_weight"] == min(losses, key=lambda weight: losses[weight])
    assert len(set(losses.values())) == len(WEIGHTS)
    given = built(kind="multilabel" if multilabel else "multiclass", unlabelled_weight=min(losses, key=losses.get))
    fit(given, data)
    np.testing.assert_array_equal(logits(method, data.unlabelled[0]), logits(given, data.unlabelled[0]))


def test_folds_decline_pseudo_labels_that_do_harm() -> None:
    """Labels of noise: students believe their teachers' mistakes, and held-out labels tell."""
    data = made(60, 200, spread=1.0)
    noise = replace(data, labels=np.random.default_rng(3).integers(0, CLASSES, 60))
    assert fit(built(keep=1.0), noise).chosen["unlabelled_weight"] == 0


def test_one_image_of_each_class_is_fitted_without_pseudo_labels() -> None:
    data = made(3, 20, spread=0.2)
    method = built()
    assert fit(method, data).notes == (
        "no pseudo-labels, as no label can be held out to judge them; label more images",
    )
    assert (logits(method, data.blocks[0][:, 0]).argmax(axis=1) == data.labels).all()


def test_a_class_without_an_image_is_named_where_there_are_no_folds_either() -> None:
    data = made(2, 20, spread=0.2)
    assert fit(built(), data).notes == (
        "no pseudo-labels, as no label can be held out to judge them; label more images",
        "not fitted, as all labelled images agree: c; label more images",
    )


@pytest.mark.parametrize(("folds", "most"), [(7, 3), (2, 5), (5, 5)])
def test_joined_folds_hold_out_the_same_images(folds: int, most: int) -> None:
    held_out = [np.array([2 * n, 2 * n + 1]) for n in range(folds)]
    fewer = at_most(held_out, most)
    assert len(fewer) == min(folds, most)
    assert sorted(np.concatenate(fewer)) == list(range(2 * folds))
