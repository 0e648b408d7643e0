"""Predictions in bfloat16 decide as in float32: what is close is computed again, what is not fit is refused."""

import math

import pytest
import torch
from torch import Tensor

from s4mi.inference.careful_bfloat16 import CHECKED, SAFE, CarefulBfloat16, Comparison
from s4mi.records import TaskKind


class Counted:
    """Looks outputs up by the first pixel of each image, and counts the images it was asked for."""

    def __init__(self, outputs: Tensor) -> None:
        self.outputs, self.images = outputs, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.outputs[images[:, 0, 0, 0].long()]


def _inputs(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 3, 2, 2)


def _noisy(exact: Tensor, error: float, seed: int = 1) -> Tensor:
    return exact + error * torch.randn(exact.shape, generator=torch.Generator().manual_seed(seed))


def _pair(kind: TaskKind, exact: Tensor, fast: Tensor) -> tuple[CarefulBfloat16, Counted, list[Comparison]]:
    found: list[Comparison] = []
    slow = Counted(exact)
    return CarefulBfloat16(exact=slow, fast=Counted(fast), kind=kind, checked=found.append), slow, found


def test_at_least_999_of_1000_decisions_are_equal_and_few_are_computed_again() -> None:
    exact = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    fast = _noisy(exact, 0.05)
    careful, slow, _ = _pair("multiclass", exact, fast)
    inputs = _inputs(len(exact))
    out = torch.cat([careful(inputs[start : start + 16]) for start in range(0, len(exact), 16)])
    differ = (out.argmax(1) != exact.argmax(1)).float().mean()
    assert (fast.argmax(1) != exact.argmax(1)).float().mean() > 0.01  # what bfloat16 alone would change
    assert differ <= 0.001
    assert slow.images < 0.25 * len(exact)


def test_what_is_computed_again_has_the_logits_of_float32_and_the_rest_those_of_bfloat16() -> None:
    exact = torch.tensor([[4.0, 0.0]] * CHECKED + [[0.01, 0.0], [0.0, 0.01], [3.0, 0.0]])
    fast = exact + torch.tensor([[0.02, -0.02]])
    careful, slow, (*_,) = _pair("multiclass", exact, fast)
    out = careful(_inputs(len(exact)))
    assert torch.equal(out[CHECKED : CHECKED + 2], exact[CHECKED : CHECKED + 2])
    assert torch.equal(out[:CHECKED], fast[:CHECKED])
    assert torch.equal(out[-1], fast[-1])
    assert slow.images == CHECKED + 2


def test_the_error_is_that_of_the_margins() -> None:
    exact = torch.tensor([[2.0, 0.0, -1.0]] * CHECKED)
    shift = torch.tensor([0.5, 0.5, 0.5 + 0.3])  # what all classes share changes no decision
    careful, _, found = _pair("multiclass", exact, exact + shift)
    careful(_inputs(CHECKED))
    assert found[0].error == pytest.approx(math.sqrt((0.0**2 + 0.3**2) / 2), rel=1e-5)


def test_labels_are_close_to_each_of_their_boundaries() -> None:
    exact = torch.tensor([[5.0, -5.0]] * CHECKED + [[5.0, 0.001], [1.999, 5.0], [5.0, 5.0]])
    slow = Counted(exact)
    boundaries = [torch.zeros(2), torch.tensor([2.0, -2.0])]
    careful = CarefulBfloat16(
        exact=slow, fast=Counted(_noisy(exact, 0.01)), kind="multilabel", boundaries=boundaries, error=0.01
    )
    out = careful(_inputs(len(exact)))
    assert slow.images == 2  # nothing is checked again where the error is known
    assert torch.equal(out[CHECKED : CHECKED + 2], exact[CHECKED : CHECKED + 2])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_refused(value: float) -> None:
    exact = torch.tensor([[1.0, 0.0]] * 16)
    fast = exact.clone()
    fast[0, 0] = value
    careful, _, found = _pair("multiclass", exact, fast)
    assert torch.equal(careful(_inputs(16)), exact)
    assert not found[0].good("multiclass")


def test_float32_is_used_where_most_decisions_are_close() -> None:
    exact = 0.01 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    careful, slow, found = _pair("multiclass", exact, _noisy(exact, 0.05))
    for start in range(0, 64, 16):
        assert torch.equal(careful(_inputs(64)[start : start + 16]), exact[start : start + 16])
    assert found[0].close > 0.5
    assert slow.images == CHECKED + 64


@pytest.mark.parametrize(("wrong", "used"), [(0, True), (200, False)])
def test_masks_are_used_if_999_of_1000_pixels_are_equal(wrong: int, used: bool) -> None:
    exact = torch.randn(CHECKED, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    fast = exact + 1e-4
    fast[0].view(2, -1)[:, :wrong] = exact[0].view(2, -1)[:, :wrong].flip(0)
    careful, _, found = _pair("segmentation", exact, fast)
    out = careful(_inputs(CHECKED))
    assert found[0].equal == pytest.approx(1 - wrong / (CHECKED * 32 * 32))
    assert torch.equal(out, fast if used else exact)


def test_the_safety_margin_is_what_the_docstring_computes_with() -> None:
    """∫_SAFE^∞ Q(x) dx, with Q the upper tail of the normal distribution, is 0.002, and from 0 it is 0.4."""
    x = torch.linspace(0, 12, 120_001, dtype=torch.float64)
    tail = 1 - torch.special.ndtr(x)
    assert torch.trapezoid(tail, x).item() == pytest.approx(0.399, abs=1e-3)
    assert torch.trapezoid(tail[x >= SAFE], x[x >= SAFE]).item() == pytest.approx(0.002, abs=1e-4)
