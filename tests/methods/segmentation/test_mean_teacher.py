"""The uncertainty-aware mean teacher against its formula, pixel by pixel."""

import itertools
import math
from typing import Any

import pytest
import torch
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.mean_teacher import MeanTeacher
from s4mi.settings.segmentation.mean_teacher import MeanTeacherConfig

DETERMINISTIC = {"noise": 0, "passes": 1}
"""Settings of a deterministic teacher: the tiny ResNet has no dropout."""


def built(*, seed: int = 0, **settings: Any) -> MeanTeacher:
    torch.manual_seed(seed)
    small = {"network": "tiny_resnet", "ramp_up": 0, "unlabelled_weight": 1}
    method = MeanTeacherConfig.model_validate({**small, **settings}).build(TASK)
    with torch.no_grad():  # so that the teacher differs from the student
        for weight in method.committee["teacher"].parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return method


def batch(unlabelled: int = 4) -> Batch:
    return batch_of(4, unlabelled)


def watch(method: MeanTeacher) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Record inputs and outputs of student and teacher from now on."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {"student": [], "teacher": []}
    for name, one in seen.items():
        method.committee[name].register_forward_hook(lambda _module, inputs, z, one=one: one.append((inputs[0], z)))
    return seen


def softmax(scores: list[float]) -> list[float]:
    return [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]


def naive(student: Tensor, passes: list[Tensor], threshold: float) -> tuple[float, float]:
    """Mean of (p - q)² over classes and certain pixels, and the share of certain pixels."""
    total, certain = 0.0, 0
    count, _, height, width = student.shape
    for u, i, j in itertools.product(range(count), range(height), range(width)):
        each = [softmax(z[u, :, i, j].tolist()) for z in passes]
        q = [sum(of_class) / len(passes) for of_class in zip(*each, strict=True)]
        if -sum(p * math.log(p) for p in q) < threshold:
            p = softmax(student[u, :, i, j].tolist())
            total += sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
            certain += 1
    return total / (3 * certain), certain / (count * height * width)


def uncertainty(method: MeanTeacher, x_u: Tensor) -> Tensor:
    """(U, H, W) entropy of the predictions of a teacher without noise."""
    with torch.no_grad():
        q = method.committee["teacher"](x_u).softmax(dim=1)
        return sum((-q[:, k] * q[:, k].log() for k in range(3)), torch.zeros(()))


def between(values: Tensor) -> float:
    """A number in the middle of the values that is not close to any of them."""
    middle = values.flatten().sort().values[values.numel() // 3 : 2 * values.numel() // 3]
    widest = middle.diff().argmax()
    return ((middle[widest] + middle[widest + 1]) / 2).item()


@pytest.mark.parametrize(("noise", "passes"), [(0.0, 1), (0.1, 3)])
def test_the_loss_is_the_formula(noise: float, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = built(noise=noise, passes=passes, class_weights=(1, 2, 3), unlabelled_weight=0.7), batch(2)
    monkeypatch.setattr(MeanTeacher, "threshold", between(uncertainty(method, given.known_unlabelled)))
    seen = watch(method)
    losses = method.loss(given)
    ((_, z),) = seen["student"]  # one forward pass for all images
    ((_, z_t),) = seen["teacher"]  # and one of the teacher for all T
    assert (len(z), len(z_t)) == (6, 2 * passes)
    expected, certain = naive(z[4:], list(z_t.chunk(passes)), method.threshold)
    assert 0.2 < certain < 0.8
    assert list(losses) == ["supervised", "consistent"]
    assert losses["consistent"].item() == pytest.approx(0.7 * expected, rel=1e-4)
    supervised = half_dice_half_cross_entropy(z[:4], given.known_masks, torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(losses["supervised"], supervised, rtol=0, atol=2e-6)


def test_the_gradient_is_that_of_the_formula_and_zero_at_uncertain_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method, given = built(**DETERMINISTIC), batch()
    u = uncertainty(method, given.known_unlabelled)
    monkeypatch.setattr(MeanTeacher, "threshold", between(u))
    seen = watch(method)
    consistent = method.loss(given)["consistent"]
    z, q = seen["student"][0][1], seen["teacher"][0][1].softmax(dim=1)
    (ours,) = torch.autograd.grad(consistent, z, retain_graph=True)
    certain = u < method.threshold
    differences = [(z[4:].softmax(dim=1)[:, k][certain] - q[:, k][certain]) ** 2 for k in range(3)]
    (theirs,) = torch.autograd.grad(torch.cat(differences).mean(), z)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-9)
    of_pixels = ours[4:].abs().sum(dim=1)
    assert (of_pixels[~certain] == 0).all()
    assert (of_pixels[certain] > 0).all()
    assert (ours[:4] == 0).all()  # labelled images have no consistency loss


def test_without_certain_pixels_the_consistency_loss_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(**DETERMINISTIC)
    monkeypatch.setattr(MeanTeacher, "threshold", 0.0)
    consistent = method.loss(batch())["consistent"]
    assert consistent.item() == 0
    of_student = [weight for weight in method.committee["student"].parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(consistent, of_student, materialize_grads=True)
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize(("step", "ramp"), [(0, math.exp(-5)), (50, math.exp(-5 / 4)), (100, 1.0)])
def test_the_threshold_and_the_weight_ramp_up_over_training(step: int, ramp: float) -> None:
    full, method = built(**DETERMINISTIC), built(**DETERMINISTIC, ramp_up=1, unlabelled_weight=0.1)
    for one in (full, method):
        one.before_step(TrainState(step, 10, 100))
        assert one.threshold == pytest.approx((0.75 + 0.25 * ramp) * math.log(3))
    losses = [one.loss(batch()) for one in (full, method)]
    torch.testing.assert_close(losses[1]["consistent"], 0.1 * ramp * losses[0]["consistent"])
    assert torch.equal(losses[1]["supervised"], losses[0]["supervised"])


def test_only_the_teacher_gets_noise_which_differs_between_passes_and_is_clamped_at_two_deviations() -> None:
    method, given = built(noise=0.1, passes=3), batch()
    seen = watch(method)
    method.loss(given)
    assert torch.equal(seen["student"][0][0], torch.cat([given.images, given.known_unlabelled]))
    noise = torch.stack(seen["teacher"][0][0].chunk(3)) - given.known_unlabelled
    assert noise.abs().max() <= 0.2 + 1e-6
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    # a normal distribution clamped at two deviations has 0.9595 of its deviation
    assert noise.std().item() == pytest.approx(0.09595, rel=0.02)
    assert len({one.sum().item() for one in noise.flatten(0, 1)}) == 3 * 4


def test_the_teacher_is_the_exponential_moving_average_of_the_student() -> None:
    """Momentum min(1 - 1 / (t + 1), m): ½, then 0.6 instead of ⅔ and ¾."""
    method = built(momentum=0.6)
    student, teacher = (list(method.committee[name].parameters()) for name in ("student", "teacher"))
    expected = [weight.clone() for weight in teacher]
    for t, m in ((1, 0.5), (2, 0.6), (3, 0.6)):
        with torch.no_grad():
            for weight in student:
                weight.add_(torch.randn_like(weight))
        method.after_step(TrainState(t, 10, 100))
        expected = [m * was + (1 - m) * now.detach() for was, now in zip(expected, student, strict=True)]
        torch.testing.assert_close([weight.detach() for weight in teacher], expected, rtol=1e-5, atol=1e-6)


def test_in_the_first_steps_the_teacher_is_the_mean_of_all_students() -> None:
    method = built(momentum=0.99)
    student, teacher = (next(iter(method.committee[name].parameters())) for name in ("student", "teacher"))
    versions = [teacher.detach().clone()]
    for t in range(1, 6):
        with torch.no_grad():
            student.add_(torch.randn_like(student))
        versions.append(student.detach().clone())
        method.after_step(TrainState(t, 10, 100))
    torch.testing.assert_close(teacher.detach(), torch.stack(versions).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_teacher_and_it_starts_as_the_student() -> None:
    method = built()
    assert not any(weight.requires_grad for weight in method.committee["teacher"].parameters())
    method.loss(batch()).total.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in method.committee["teacher"].parameters())
    fresh = MeanTeacherConfig(network="tiny_resnet").build(TASK)
    pairs = zip(*(fresh.committee[name].parameters() for name in ("student", "teacher")), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)


def test_the_teacher_predicts_by_default_and_is_in_the_checkpoint() -> None:
    method, other, x = built().eval(), built(seed=1).eval(), batch().images
    student, teacher = (method.committee[name] for name in ("student", "teacher"))
    with torch.no_grad():
        assert list(method.members.member_logits(x)) == ["student", "teacher"]
        assert method.members.choice.name == "teacher"
        assert torch.equal(method.logits(x), teacher(x))
        other.load_state_dict(method.state_dict())
        assert torch.equal(other.logits(x), teacher(x))
        method.members.choice.take("student")
        assert torch.equal(method.logits(x), student(x))
        other.load_state_dict(method.state_dict())
        assert other.members.choice.name == "student"


def test_the_defaults_are_the_paper_s() -> None:
    config = MeanTeacherConfig()
    assert (config.unlabelled_weight, config.ramp_up, config.momentum) == (0.1, 1, 0.99)
    assert (config.passes, config.noise) == (8, 0.1)
