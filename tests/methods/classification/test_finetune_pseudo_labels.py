"""Fine-tuning with pseudo-labels against naive computations and scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.contract import Batch, Task, TrainState
from s4mi.methods.class_pseudo_labels import NEVER
from s4mi.methods.classification.finetune_pseudo_labels import STRENGTH, FinetunePseudoLabels
from s4mi.recipes.train import train_supervised
from s4mi.settings.classification.finetune_pseudo_labels import FinetunePseudoLabelsConfig

SIZE, CLASSES = 32, 3
NAMES = ("a", "b", "c")


def built(kind: str = "multiclass", **settings: Any) -> FinetunePseudoLabels:
    torch.manual_seed(0)
    task = Task(kind=kind, classes=NAMES, image_size=SIZE, counts=(4, 4, 4), labelled=12)  # type: ignore[arg-type]
    config = {"backbone": "tiny_resnet", "weights": "none", **settings}
    return FinetunePseudoLabelsConfig.model_validate(config).build(task)


def batch(labels: Tensor, *, others: int = 6, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(len(labels), 3, SIZE, SIZE, generator=generator)
    unlabelled = torch.rand(2 * others, 3, SIZE, SIZE, generator=generator)
    return Batch(images, torch.arange(len(labels) + others), labels=labels, unlabelled=unlabelled)


def state(step: int, total: int) -> TrainState:
    return TrainState(step=step, per_epoch=total, total=total)


def test_the_frozen_teacher_is_a_logistic_regression_on_the_features_of_the_untrained_backbone() -> None:
    method = built()
    given = batch(torch.arange(3))  # one image of each class: no folds, and the default strength
    with torch.no_grad():
        features = method.backbone.eval()(given.images).double().numpy()
    method.before_epoch([given])
    width = features.shape[1]
    features = features[:, features.std(axis=0) > 1e-6]
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) * np.sqrt(width))
    expected = LogisticRegression(C=1 / STRENGTH, tol=1e-10, max_iter=10_000).fit(scaled, [0, 1, 2])
    probabilities = method.teacher(given.images).softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected.predict_proba(scaled), atol=1e-3)
    assert bool((method.thresholds > 1).all())  # nothing can be held out to judge it


def test_a_teacher_that_separates_held_out_images_labels_the_others() -> None:
    method = built(precision=0.9)
    labels = torch.arange(3).repeat(8)
    images = torch.rand(24, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2)) * 0.2
    images[torch.arange(24), labels] += 0.7  # the class is the colour
    given = Batch(images, torch.arange(36), labels=labels, unlabelled=torch.cat([images[:12], images[:12]]))
    method.before_epoch([given])
    assert bool((method.thresholds == 0).all())  # all predictions are kept
    assert torch.equal(method.teacher(images[:12]).argmax(dim=1), labels[:12])
    before = method.teacher.head.weight.clone()
    method.before_epoch([batch(torch.arange(3))])
    assert torch.equal(method.teacher.head.weight, before)  # it is fitted once


@pytest.mark.parametrize("patients", [False, True])
def test_a_teacher_that_recognises_patients_is_not_trusted_with_others(
    patients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five images of each of 20 patients, whose classes are drawn: folds of images would keep every pseudo-label."""
    method = built(precision=0.95)
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20) * 5, 5)
    x = np.repeat(rng.normal(size=(20, method.backbone.features)), 5, axis=0)
    y = np.repeat(rng.permutation(np.arange(20) % CLASSES), 5)
    if patients:
        method.task = replace(method.task, train_rows=tuple(range(100)), patients=tuple(patient.tolist()))
    groups = method._labelled([batch(torch.arange(3).repeat(2))])[0]
    assert groups.tolist() == ([0, 0, 0, 0, 0, 5] if patients else [0, 1, 2, 3, 4, 5])
    groups = np.array(method.task.patients_of(range(100)))
    monkeypatch.setattr(method, "_labelled", lambda _: (groups, x + 0.1 * rng.normal(size=x.shape), y))
    method._fit_teacher([])
    assert bool((method.thresholds == 0).all()) != patients
    assert bool((method.thresholds > 0.3).all()) == patients  # the smallest share, the surest 10 %


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_the_loss_of_classes_is_that_of_sure_predictions_over_all_images(weight: float) -> None:
    method = built(teacher="network", unlabelled_weight=weight).eval()
    given = batch(torch.tensor([0, 2, 1]))
    method.thresholds.copy_(torch.tensor([0.2, 0.35, NEVER]))
    method.before_step(state(1, 10))
    losses = method.loss(given)
    weak, strong = given.known_unlabelled.chunk(2)
    with torch.no_grad():
        q = method.teacher(weak).softmax(dim=1)
        z, z_s = method.logits(given.images), method.logits(strong)
        terms = [
            -z_s[number].log_softmax(dim=0)[row.argmax()] if row.max() >= method.thresholds[row.argmax()] else 0.0
            for number, row in enumerate(q)
        ]
    assert float(losses["supervised"]) == pytest.approx(float(F.cross_entropy(z, given.known_labels)), rel=1e-5)
    assert float(losses["pseudo_label"]) == pytest.approx(weight * float(sum(terms)) / len(q), rel=1e-5)
    assert sum(bool(term) for term in terms) > 0


def test_the_loss_of_several_labels_is_that_of_sure_positives_and_negatives() -> None:
    method = built("multilabel", teacher="network").eval()
    with torch.no_grad():
        method.teacher.head.bias.copy_(torch.tensor([2.0, -2.0, 0.0]))
    given = batch(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, torch.nan]]))
    method.thresholds.copy_(torch.tensor([[0.9, 0.6], [0.6, 0.9], [0.99, 0.99]]))
    method.before_step(state(1, 10))
    losses = method.loss(given)
    weak, strong = given.known_unlabelled.chunk(2)
    with torch.no_grad():
        q, z_s = method.teacher(weak).sigmoid(), method.logits(strong)
    total, count = 0.0, 0
    for image in range(len(q)):
        for k in range(CLASSES):
            p, present = max((float(1 - q[image, k]), 0), (float(q[image, k]), 1))
            count += 1
            if p >= float(method.thresholds[k, present]):
                total += float(F.binary_cross_entropy_with_logits(z_s[image, k], torch.tensor(float(present))))
    assert total > 0
    assert float(losses["pseudo_label"]) == pytest.approx(total / count, rel=1e-5)


def test_the_network_teaches_itself_from_the_second_round_on() -> None:
    method = built(teacher="network", rounds=2, keep=0.5)
    first = {name: tensor.clone() for name, tensor in method.teacher.state_dict().items()}
    given = [batch(torch.arange(3), seed=seed) for seed in (1, 2)]
    method.before_epoch(given)
    method.before_step(state(1, 10))
    assert float(method.loss(given[0])["pseudo_label"]) == 0
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01 * torch.randn_like(parameter))
    method.after_step(state(4, 10))
    method.before_epoch(given)  # the first round goes on
    assert all(torch.equal(tensor, first[name]) for name, tensor in method.teacher.state_dict().items())
    method.after_step(state(5, 10))
    method.before_epoch(given)
    assert torch.equal(method.teacher.head.weight, method.head.weight)
    weak = torch.cat([each.known_unlabelled.chunk(2)[0] for each in given])
    p, predicted = method.teacher(weak).softmax(dim=1).max(dim=1)
    kept = p >= method.thresholds[predicted]
    for k in range(CLASSES):  # half of the predictions of each class, rounded up
        assert int(kept[predicted == k].sum()) == -(-int((predicted == k).sum()) // 2)


def test_without_a_share_the_confidence_decides() -> None:
    method = built(teacher="network", rounds=1 + 1, confidence=0.7)
    method.after_step(state(5, 10))
    method.before_epoch([batch(torch.arange(3))])
    assert method.thresholds.tolist() == pytest.approx([0.7] * CLASSES)


def test_a_run_trains_predicts_and_names_its_technique(
    cells: Path, quick: Callable[..., RunConfig], tmp_path: Path
) -> None:
    method = {"name": "finetune_pseudo_labels", "backbone": "tiny_resnet", "weights": "none"}
    config = quick(cells, method, epochs=2, label_fraction=50)
    record = train_supervised(config, tmp_path / "run")
    assert record.technique == "transfer from scratch with pseudo-labels"
    assert record.test is not None
