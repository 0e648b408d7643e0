"""Exponential moving average of weights, against the formula for single numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from s4mi.maths.ema import cosine_momentum, ema_update

shares = st.floats(0, 1)


def pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Linear(3, 4), nn.Linear(3, 4)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.996, 1.0])
def test_the_update_is_the_formula(momentum: float) -> None:
    teacher, student = pair()
    old = [tensor.tolist() for tensor in teacher.parameters()]
    new = [tensor.tolist() for tensor in student.parameters()]
    ema_update(teacher.parameters(), student.parameters(), momentum=momentum)
    weight = [[momentum * t + (1 - momentum) * s for t, s in zip(*rows, strict=True)] for rows in zip(*(
        old[0], new[0]), strict=True)]  # fmt: skip
    bias = [momentum * t + (1 - momentum) * s for t, s in zip(old[1], new[1], strict=True)]
    torch.testing.assert_close(teacher.weight, torch.tensor(weight))
    torch.testing.assert_close(teacher.bias, torch.tensor(bias))
    assert [tensor.tolist() for tensor in student.parameters()] == new


def test_a_teacher_equal_to_its_student_stays_equal_to_the_bit() -> None:
    teacher, student = pair()
    teacher.load_state_dict(student.state_dict())
    ema_update(teacher.parameters(), student.parameters(), momentum=0.7)
    assert all(torch.equal(t, s) for t, s in zip(teacher.parameters(), student.parameters(), strict=True))


def test_the_update_leaves_no_gradients() -> None:
    teacher, student = pair()
    ema_update(teacher.parameters(), student.parameters(), momentum=0.5)
    assert all(tensor.requires_grad and tensor.grad_fn is None for tensor in teacher.parameters())


def test_a_teacher_converges_to_a_constant_student_at_the_rate_of_the_momentum() -> None:
    teacher, student = [torch.zeros(1)], [torch.ones(1)]
    for _ in range(10):
        ema_update(teacher, student, momentum=0.8)
    assert teacher[0].item() == pytest.approx(1 - 0.8**10, rel=1e-5)


@given(start=shares)
def test_momentum_begins_at_its_start_and_ends_at_one(start: float) -> None:
    assert cosine_momentum(start, 0) == pytest.approx(start)
    assert cosine_momentum(start, 1) == 1
    assert cosine_momentum(start, 0.5) == pytest.approx((1 + start) / 2)
    assert cosine_momentum(start, 1 / 3) == pytest.approx(1 - (1 - start) * 0.75)


@given(start=shares, progress=st.tuples(shares, shares))
def test_momentum_never_falls_and_stays_between_start_and_one(start: float, progress: tuple[float, float]) -> None:
    early, late = (cosine_momentum(start, at) for at in sorted(progress))
    assert start - 1e-9 <= early <= late + 1e-9
    assert late <= 1
    assert math.isfinite(late)
