"""Heads on frozen features: the k nearest neighbours by a naive loop, and graphs that take any number of images."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from s4mi.nets.feature_heads import TEMPERATURE, NeighboursHead, neighbour_logits
from s4mi.nets.trees import Trees

GENERATOR = np.random.default_rng(0)


def naive(cosines: Tensor, targets: Tensor, prior: Tensor, k: int) -> list[list[float]]:
    """Share of each label among the k nearest, one image at a time."""
    shares = []
    for row in cosines.tolist():
        nearest = sorted(range(len(row)), key=lambda n: -row[n])[:k]
        weights = [math.exp(row[n] / TEMPERATURE) for n in nearest]
        votes = [
            sum(w * float(targets[n, c]) for w, n in zip(weights, nearest, strict=True)) * len(nearest) / sum(weights)
            for c in range(targets.shape[1])
        ]
        shares.append([(vote + float(prior[c])) / (len(nearest) + 1) for c, vote in enumerate(votes)])
    return shares


@pytest.mark.parametrize("k", [1, 3, 7, 50])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_neighbours_vote_as_in_a_naive_loop(k: int, as_tensor: bool) -> None:
    generator = torch.Generator().manual_seed(k)
    cosines = torch.rand(4, 7, generator=generator, dtype=torch.float64) * 2 - 1
    targets = torch.eye(3, dtype=torch.float64)[torch.randint(0, 3, (7,), generator=generator)]
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    z = neighbour_logits(cosines, targets, prior, k=torch.tensor(k) if as_tensor else k, multilabel=False)
    np.testing.assert_allclose(z.exp().numpy(), naive(cosines, targets, prior, k), rtol=1e-9)


class OfPixels(nn.Module):
    """A head on the pixels of an image, as a segmenter has it."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.head(x.movedim(1, -1).flatten(0, 2))
        return z.reshape(x.shape[0], *x.shape[2:], -1)


def neighbours() -> nn.Module:
    head = NeighboursHead(multilabel=False)
    features = torch.nn.functional.normalize(torch.rand(9, 4), dim=1)
    head.give(
        features=features, targets=torch.eye(3)[torch.arange(9) % 3], prior=torch.ones(3) / 3,
        neighbours=torch.tensor(5),
    )  # fmt: skip
    return head


def trees() -> nn.Module:
    forest = Trees()
    forest.set_trees(
        feature=np.zeros(6, dtype=np.int64), left=np.array([1, 1, 2, 4, 4, 5]), right=np.array([2, 1, 2, 5, 4, 5]),
        threshold=GENERATOR.random(6).astype(np.float32), value=GENERATOR.random((6, 3)).astype(np.float32),
        roots=np.array([0, 3]), bias=np.zeros(3, dtype=np.float32), levels=1,
    )  # fmt: skip
    return forest


@pytest.mark.parametrize("make", [neighbours, trees])
def test_the_graph_of_a_head_takes_any_number_of_images(make: object) -> None:
    assert callable(make)
    model = OfPixels(make()).eval()
    program = torch.export.export(model, (torch.rand(2, 4, 8, 8),), dynamic_shapes=({0: Dim("batch")},)).module()
    for count in (1, 3):
        images = torch.rand(count, 4, 8, 8)
        torch.testing.assert_close(program(images), model(images))
