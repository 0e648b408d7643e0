"""The frozen teacher: its loss against the formula, and what its heads and confidence are fitted to."""

import itertools
import logging
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.cross_fitting import LabelledViews
from s4mi.methods.segmentation.frozen_teacher import FrozenTeacher
from s4mi.records import IGNORE
from s4mi.settings.segmentation.frozen_teacher import FrozenTeacherConfig

SMALL = {
    "network": "tiny_resnet", "teacher": "tiny_vit", "teacher_weights": "none", "teacher_steps": 2, "folds": 2,
    "keep": 0.7,
}  # fmt: skip


def built(*, seed: int = 0, image_size: int = 32, **settings: Any) -> FrozenTeacher:
    torch.manual_seed(seed)
    return FrozenTeacherConfig.model_validate({**SMALL, **settings}).build(replace(TASK, image_size=image_size))


def batch() -> Batch:
    return batch_of(4, 4, views=2)


def fitted(*batches: Batch, seed: int = 0, **settings: Any) -> FrozenTeacher:
    method = built(**settings)
    torch.manual_seed(seed)
    method.train().before_epoch(list(batches) or [batch()])
    method.before_step(TrainState(0, 1, 10))
    return method


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def colourful(count: int, *, seed: int = 0, side: int = 32) -> Batch:
    """Images whose colours show their masks of 3 classes in squares of 8 pixels, and images without masks."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(3, (count, side // 8, side // 8), generator=generator)
    masks = masks.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    images = 0.2 * torch.rand(count, 3, side, side, generator=generator)
    images += 0.8 * torch.nn.functional.one_hot(masks, 3).movedim(-1, 1)
    return Batch(images, torch.arange(2 * count), masks=masks, unlabelled=torch.cat([images, images]))


def labels_by_hand(z: Tensor, thresholds: Tensor) -> Tensor:
    """Pixel by pixel: the most probable class, `IGNORE` below the threshold of this class."""
    labels = torch.full((z.shape[0], *z.shape[2:]), IGNORE)
    for u, i, j in itertools.product(*map(range, labels.shape)):
        scores = z[u, :, i, j].tolist()
        p = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
        best = p.index(max(p))
        if p[best] >= thresholds[best]:
            labels[u, i, j] = best
    return labels


def test_the_loss_is_the_formula() -> None:
    """The student sees the strong views, the teacher the weak ones; each class has a threshold of its own."""
    given = batch()
    method = fitted(class_weights=(1, 2, 3), unlabelled_weight=0.7)
    weak, strong = given.known_unlabelled.chunk(2)
    with torch.no_grad():
        q = method.teacher.eval()(weak)
    p, classes = q.softmax(dim=1).max(dim=1)
    for k in range(3):
        if (classes == k).any():
            middle = p[classes == k].sort().values
            method.thresholds[k] = middle[len(middle) // 2 : len(middle) // 2 + 2].mean()
    labels = labels_by_hand(q, method.thresholds)
    assert 0.3 < (labels == IGNORE).float().mean() < 0.7
    outputs: list[Tensor] = []
    inputs: list[Tensor] = []
    method.student.register_forward_hook(lambda _module, x, z: (inputs.append(x[0]), outputs.append(z))[0])
    losses = method.train().loss(given)
    (z,), (x,) = outputs, inputs
    assert torch.equal(x, torch.cat([given.images, strong]))
    expected = {
        "supervised": half_dice_half_cross_entropy(z[:4], given.known_masks, torch.tensor([1.0, 2.0, 3.0])),
        "pseudo_label": 0.7 * half_dice_half_cross_entropy(z[4:], labels),
    }
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=0, atol=2e-6)
        ours, theirs = (torch.autograd.grad(one, z, retain_graph=True)[0] for one in (losses[name], value))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("thresholds", [2.0, 1.0])
def test_below_the_confidence_nothing_is_learnt(thresholds: float) -> None:
    method = fitted()
    method.thresholds.fill_(thresholds)
    losses = method.loss(batch())
    assert losses["pseudo_label"].item() == 0
    trained = [weight for weight in method.student.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(losses["pseudo_label"], trained)
    assert all((gradient == 0).all() for gradient in gradients)


def test_a_teacher_that_is_not_fitted_gives_no_pseudo_labels() -> None:
    method = built()
    method.before_step(TrainState(0, 1, 10))
    assert method.loss(batch())["pseudo_label"].item() == 0


@pytest.mark.parametrize("head", ["decoder", "linear"])
def test_the_teacher_knows_the_masks_of_the_run_and_nothing_else(head: str) -> None:
    given = batch()
    others = replace(given, unlabelled=torch.rand_like(given.known_unlabelled), rows=given.rows + 4 * (given.rows >= 4))
    masks = replace(given, masks=(given.known_masks + 1) % 3)
    one, same, different = (fitted(each, teacher_head=head) for each in (given, others, masks))
    assert alike(state(one), state(same))
    assert not alike(state(one.teacher.heads), state(different.teacher.heads))


@pytest.mark.parametrize("head", ["decoder", "linear"])
def test_each_head_has_not_seen_the_masks_of_its_fold(head: str) -> None:
    given = batch()
    changed = given.known_masks.clone()
    changed[0] = 1 - (changed[0] == 1).long()
    one, other = (fitted(each, teacher_head=head) for each in (given, replace(given, masks=changed)))
    differ = [not alike(state(a), state(b)) for a, b in zip(one.teacher.heads, other.teacher.heads, strict=True)]
    assert sorted(differ) == [False, True]
    assert not torch.equal(one.thresholds, other.thresholds) or not torch.equal(one.on_folds, other.on_folds)


def test_all_views_of_a_patient_are_in_one_fold_and_folds_are_of_one_size() -> None:
    rows = torch.tensor([7, 3, 7, 9, 3, 1, 5, 7])
    torch.manual_seed(0)
    fold = LabelledViews(rows, torch.zeros(8), ()).folds(2)
    of_row = {int(row): set(fold[rows == row].tolist()) for row in rows}
    assert all(len(folds) == 1 for folds in of_row.values())
    sizes = [sum(folds == {number} for folds in of_row.values()) for number in range(2)]
    assert sorted(sizes) == [2, 3]


def test_images_of_one_patient_are_never_on_two_sides_of_a_fold() -> None:
    """Each head is fitted without a whole patient; the patient of a single one is not held out."""
    method = built()
    method.task = replace(method.task, train_rows=tuple(range(8)), patients=(0, 0, 2, 2, 0, 5, 6, 7))
    assert method._labelled([batch()]).patients.tolist() == [0, 0, 2, 2]
    for patients, heads_that_know_the_first in (((0, 0, 2, 2), 1), ((0, 0, 0, 0), 2)):
        given = batch()
        changed = given.known_masks.clone()
        changed[0] = 1 - (changed[0] == 1).long()
        states = []
        for masks in (given.known_masks, changed):
            method = built()
            method.task = replace(method.task, train_rows=tuple(range(8)), patients=(*patients, 4, 5, 6, 7))
            torch.manual_seed(0)
            method.train().before_epoch([replace(given, masks=masks)])
            states.append([state(head) for head in method.teacher.heads])
        differ = [not alike(one, other) for one, other in zip(*states, strict=True)]
        assert sum(differ) == heads_that_know_the_first


@pytest.mark.parametrize(("head", "steps"), [("decoder", 40), ("linear", 1)])
def test_the_teacher_learns_what_colours_show(head: str, steps: int) -> None:
    method = fitted(colourful(8), teacher_head=head, teacher_steps=steps, keep=None, precision=0.5)
    dice, kept = method.signals()["teacher_dice"], method.signals()["kept"]
    assert dice > 0.6
    assert kept == 1
    assert (method.thresholds == 0).all()
    unseen = colourful(4, seed=9)
    with torch.no_grad():
        predicted = method.teacher.eval()(unseen.images).argmax(dim=1)
    assert (predicted == unseen.known_masks).float().mean() > 0.7


def test_a_precision_out_of_reach_keeps_the_smallest_share() -> None:
    method = fitted(keep=None, precision=1)  # masks of noise
    assert method.signals()["kept"] == 0.5
    assert ((method.thresholds > 0) & (method.thresholds <= 1)).all()


def test_a_run_that_goes_on_keeps_its_teacher() -> None:
    method, fresh = fitted(), built(seed=1)
    fresh.load_state_dict(method.state_dict())
    before = state(fresh)
    fresh.before_epoch([replace(batch(), masks=(batch().known_masks + 1) % 3)])
    assert alike(state(fresh), before)
    losses = []
    for one in (method, fresh):
        one.before_step(TrainState(3, 1, 10))
        losses.append(one.train().loss(batch()))
    assert losses[0]["pseudo_label"] > 0
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


def test_the_student_alone_is_trained() -> None:
    method = fitted()
    before = state(method.teacher)
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.1)
    method.train().loss(batch()).total.backward()
    optimizer.step()
    assert alike(state(method.teacher), before)
    assert not any(weight.requires_grad for weight in method.teacher.parameters())


def test_validation_chooses_who_predicts() -> None:
    method, x = fitted().eval(), batch().images
    assert method.members is not None
    with torch.no_grad():
        assert torch.equal(method.logits(x), method.student(x))
        p = [method.student(x).softmax(dim=1), method.teacher(x).softmax(dim=1)]
        method.members.choice.take("teacher")
        assert torch.equal(method.logits(x), method.teacher(x))
        method.members.choice.take("average")
        torch.testing.assert_close(method.logits(x).softmax(dim=1), (p[0] + p[1]) / 2)


def test_the_student_predicts_where_that_is_wanted() -> None:
    method, x = fitted(predicts="student").eval(), batch().images
    assert method.members is None
    with torch.no_grad():
        assert torch.equal(method.logits(x), method.student(x))


def test_whoever_predicts_the_student_is_trained() -> None:
    method = fitted()
    losses = []
    for name in ("student", "teacher"):
        assert method.members is not None
        method.members.choice.take(name)
        losses.append(method.eval().loss(batch()))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


def test_padding_to_the_patches_is_not_learnt_from() -> None:
    """Images of 30 pixels are padded to 32, where there is no mask."""
    given = batch()
    small = replace(given, images=given.images[..., :30, :30], masks=given.known_masks[..., :30, :30])
    method = built(image_size=30)
    views = method._labelled([small])
    assert views.masks.shape == (4, 32, 32)
    assert torch.equal(views.masks[:, :30, :30], small.known_masks)
    assert (views.masks[:, 30:] == IGNORE).all()
    assert (views.masks[:, :, 30:] == IGNORE).all()
    assert views.features[0].shape == (4, 3, 32, 32)


def test_a_single_image_has_no_folds(caplog: pytest.LogCaptureFixture) -> None:
    given = batch()
    one = replace(given, images=given.images[:1], masks=given.known_masks[:1], rows=torch.arange(5))
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        method = fitted(one, keep=None)
    assert "the masks are of a single patient" in caplog.text
    assert (method.thresholds == 0).all()
    assert method.loss(batch())["pseudo_label"] > 0
