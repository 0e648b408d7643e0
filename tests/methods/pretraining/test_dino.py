"""DINO against the loss, head and centre of lightly, and the rules of its schedules."""

import math

import pytest
import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor

from s4mi.contract import Batch, Task, TrainState
from s4mi.errors import S4miError
from s4mi.maths.ema import cosine_momentum
from s4mi.methods.pretraining.dino import Dino, self_distillation
from s4mi.nets.heads import PrototypeHead
from s4mi.settings.pretraining.dino import DinoConfig

TASK = Task(kind="multiclass", classes=("a", "b"), image_size=32, counts=(1, 1), labelled=2)
SMALL = {"backbone": "tiny_vit", "weights": "none", "hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 3}
B = 4


def built(**settings: object) -> Dino:
    torch.manual_seed(0)
    return DinoConfig.model_validate({**SMALL, **settings}).build(TASK)


def batch(method: Dino, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    config, crops = method.config, method.config.crops(32)
    local = torch.rand(config.local_crops * B, 3, crops.local_size, crops.local_size, generator=generator)
    images = torch.rand(2 * B, 3, 32, 32, generator=generator)
    return Batch(images, torch.arange(B), local=local if config.local_crops else None)


def by_lightly(method: Dino, given: Batch, *, temperature: float) -> tuple[Tensor, DINOLoss]:
    """The loss as lightly's example computes it, every crop through the network by itself."""
    loss = DINOLoss(
        output_dim=method.config.prototypes,
        student_temp=method.config.student_temperature,
        center_momentum=method.config.centre_momentum,
    )
    loss.center.copy_(method.centre[None, None])
    views = list(given.images.split(B))
    with torch.no_grad():
        teacher = [method.teacher(view) for view in views]
    crops = views + ([] if given.local is None else list(given.local.split(B)))
    return loss(teacher, [method.student(crop) for crop in crops], teacher_temp=temperature), loss


@pytest.mark.parametrize("local_crops", [0, 1, 3])
@pytest.mark.parametrize("temperature", [0.04, 0.07])
def test_loss_centre_and_gradients_are_lightlys(local_crops: int, temperature: float) -> None:
    method = built(
        local_crops=local_crops,
        batch_norm=False,
        teacher_temperature=temperature,
        first_teacher_temperature=temperature,
    )
    with torch.no_grad():
        method.centre.uniform_(-0.2, 0.2, generator=torch.Generator().manual_seed(5))
        for weight in method.teacher.parameters():  # so that the teacher differs from the student
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    given = batch(method)
    expected, peer = by_lightly(method, given, temperature=temperature)
    expected_gradients = torch.autograd.grad(expected, list(method.student.parameters()))
    method.before_step(TrainState(0, 1, 1))
    loss = method.loss(given).total
    gradients = torch.autograd.grad(loss, list(method.student.parameters()))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(method.centre, peer.center[0, 0], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):  # other order of sums, divided by temperatures
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(("teachers", "students"), [(1, 2), (2, 2), (2, 8), (3, 5)])
def test_the_loss_is_the_sum_over_pairs_written_out(teachers: int, students: int) -> None:
    generator = torch.Generator().manual_seed(teachers + 10 * students)
    p = torch.randn(teachers, B, 7, generator=generator).softmax(-1)
    log_q = torch.randn(students, B, 7, generator=generator).log_softmax(-1)
    pairs = [(t, s) for t in range(teachers) for s in range(students) if s != t]
    naive = sum(-(p[t, b] * log_q[s, b]).sum() for t, s in pairs for b in range(B)) / (len(pairs) * B)
    torch.testing.assert_close(self_distillation(p, log_q), naive)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_head_is_lightlys(batch_norm: bool) -> None:
    torch.manual_seed(0)
    ours = PrototypeHead(6, hidden=10, bottleneck=5, prototypes=9, batch_norm=batch_norm)
    theirs = DINOProjectionHead(6, hidden_dim=10, bottleneck_dim=5, output_dim=9, batch_norm=batch_norm)
    with torch.no_grad():
        for layer, other in zip(
            [one for one in ours.mlp if isinstance(one, torch.nn.Linear)],
            [one for one in theirs.layers if isinstance(one, torch.nn.Linear)],
            strict=True,
        ):
            if other.bias is None:  # lightly has no bias before batch normalisation, which removes it
                other.weight.copy_(layer.weight)
            else:
                other.load_state_dict(layer.state_dict())
        theirs.last_layer.weight_v.copy_(ours.prototypes.weight)
    features = torch.randn(8, 6)
    torch.testing.assert_close(ours(features), theirs(features), rtol=1e-4, atol=1e-5)
    assert ours(features).abs().max() <= 1 + 1e-5  # cosines


def test_crops_of_one_size_share_a_forward_pass() -> None:
    method, sizes = built(), []
    method.student.register_forward_hook(lambda _module, given, _out: sizes.append(tuple(given[0].shape)))
    method.teacher.register_forward_hook(lambda _module, given, _out: sizes.append(tuple(given[0].shape)))
    method.loss(batch(method))
    assert sorted(sizes) == [(2 * B, 3, 32, 32), (2 * B, 3, 32, 32), (3 * B, 3, 16, 16)]


def test_the_teacher_is_the_moving_average_and_has_no_gradient() -> None:
    method = built(momentum=0.9)
    before = [weight.clone() for weight in method.teacher.parameters()]
    with torch.no_grad():
        for weight in method.student.parameters():
            weight.add_(1.0)
    method.loss(batch(method)).total.backward()
    assert all(weight.grad is None for weight in method.teacher.parameters())
    method.after_step(TrainState(30, 10, 100))
    m = cosine_momentum(0.9, 0.3)
    assert 0.9 < m < 1
    for teacher, student, was in zip(
        method.teacher.parameters(), method.student.parameters(), before, strict=True
    ):  # fmt: skip
        torch.testing.assert_close(teacher, m * was + (1 - m) * student.detach(), rtol=1e-5, atol=1e-6)


def test_prototypes_are_frozen_for_the_set_number_of_epochs() -> None:
    for epochs, step, frozen in ((1, 9, True), (1, 10, False), (0, 0, False), (3, 29, True), (3, 30, False)):
        method = built(frozen_epochs=epochs)
        method.loss(batch(method)).total.backward()
        method.after_backward(TrainState(step, 10, 100))
        assert (method.student.head.prototypes.weight.grad is None) == frozen
        assert method.student.head.mlp[0].weight.grad is not None


def test_the_teachers_temperature_rises_as_lightlys() -> None:
    config = DinoConfig.model_validate(
        {"first_teacher_temperature": 0.02, "teacher_temperature": 0.07, "warmup_epochs": 6}
    )
    peer = DINOLoss(warmup_teacher_temp=0.02, teacher_temp=0.07, warmup_teacher_temp_epochs=6)
    for epoch in range(6):
        assert config.temperature(epoch) == pytest.approx(float(peer.teacher_temp_schedule[epoch]))
    assert config.temperature(6) == config.temperature(100) == 0.07
    method = built(first_teacher_temperature=0.02, teacher_temperature=0.07, warmup_epochs=6)
    method.before_step(TrainState(25, 10, 100))
    assert method.temperature == config.temperature(2)


def test_the_entropy_of_the_teacher_is_reported_once_and_is_one_for_a_uniform_output() -> None:
    method = built()
    with torch.no_grad():
        method.teacher.head.mlp[-1].weight.zero_()  # all outputs are equal, and the centre removes them
        method.centre.copy_(method.teacher(batch(method).images)[0])
    method.loss(batch(method))
    assert method.signals()["teacher_entropy"] == pytest.approx(1, abs=1e-4)
    assert method.signals() == {}


def test_the_encoder_is_the_teachers() -> None:
    method = built()
    assert method.encoders() == {"tiny_vit": method.teacher.backbone}


@pytest.mark.parametrize(("size", "local"), [(224, 96), (96, 48), (64, 32), (32, 16)])
def test_small_crops_are_three_sevenths_of_the_image(size: int, local: int) -> None:
    assert DinoConfig().local_side(size) == local
    crops = DinoConfig().crops(size)
    assert (len(crops.images), len(crops.local), crops.local_size) == (2, 6, local)
    assert crops.local[0].scale == (0.05, 0.4)
    assert crops.images[0].scale == (0.4, 1.0)


def test_the_error_for_a_crop_that_is_not_a_multiple_of_the_patch_size_names_the_nearest() -> None:
    with pytest.raises(
        S4miError, match=r"method.local_size 18 is not a multiple of the patch size 8 of 'tiny_vit'; set it to 16"
    ):
        built(local_size=18)


def test_the_defaults_are_the_papers_except_the_number_of_prototypes() -> None:
    config = DinoConfig()
    assert (config.student_temperature, config.first_teacher_temperature, config.momentum) == (0.1, 0.04, 0.996)
    assert (config.centre_momentum, config.hidden, config.bottleneck) == (0.9, 2048, 256)
    assert config.prototypes == 4096
    assert math.isclose(config.views.aspect[0] * config.views.aspect[1], 1)
