"""Buffers that take the shape of what is loaded."""

import pytest
import torch
from torch import nn

from s4mi.nets.resizable_buffers import ResizableBuffers


class Head(ResizableBuffers):
    def __init__(self) -> None:
        super().__init__()
        self.declare(keys=torch.float32, classes=torch.int64)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.linear = Head(), nn.Linear(3, 2)


def test_a_fitted_head_is_restored_with_its_shapes_and_types() -> None:
    fitted, built = Outer(), Outer()
    fitted.head.give(keys=torch.arange(6.0, dtype=torch.float64).reshape(2, 3), classes=torch.tensor([1, 0]))
    built.load_state_dict(fitted.state_dict())
    assert torch.equal(built.head.get_buffer("keys"), torch.arange(6.0).reshape(2, 3))
    assert built.head.get_buffer("classes").tolist() == [1, 0]
    assert built.head.get_buffer("classes").dtype == torch.int64


def test_a_fitted_head_can_be_loaded_over_and_unfitted_again() -> None:
    fitted, other = Head(), Head()
    fitted.give(keys=torch.ones(4, 2))
    other.load_state_dict(fitted.state_dict())
    other.load_state_dict(Head().state_dict())
    assert other.get_buffer("keys").shape == (0,)


def test_other_modules_still_load_strictly() -> None:
    state = Outer().state_dict()
    state["linear.weight"] = torch.zeros(5, 5)
    with pytest.raises(RuntimeError, match=r"size mismatch for linear\.weight"):
        Outer().load_state_dict(state)
    del state["linear.weight"]
    with pytest.raises(RuntimeError, match=r"linear\.weight"):
        Outer().load_state_dict(state)
