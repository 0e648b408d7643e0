"""AUROC and average precision against torchmetrics, with and without ties."""

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from s4mi.maths.ranking_metrics import auroc, average_precision


def _drawn(seed: int, count: int, levels: int) -> tuple[Tensor, Tensor]:
    """Probabilities of `levels` values, and truth with both classes."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.randint(levels, (count,), generator=generator) / levels
    t = torch.randint(2, (count,), generator=generator)
    t[0], t[-1] = 0, 1
    return p.float(), t


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "levels"), [(2, 2), (10, 3), (200, 7), (300, 2**20)])
def test_both_are_those_of_torchmetrics(seed: int, count: int, levels: int) -> None:
    p, t = _drawn(seed, count, levels)
    assert auroc(p, t) == pytest.approx(float(binary_auroc(p, t)), abs=1e-6)
    assert average_precision(p, t) == pytest.approx(float(binary_average_precision(p, t)), abs=1e-6)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    p, t = _drawn(9, 60, 10)
    difference = p[t == 1][:, None] - p[t == 0]
    expected = ((difference > 0).double() + (difference == 0).double() / 2).mean()
    assert auroc(p, t) == pytest.approx(float(expected), abs=1e-12)
