"""Heads on frozen features: what they compute from (B, D) features. Their fits are in `maths/feature_fits.py`.

All shapes depend on the images that a head was fitted to, so that all are buffers, and none is trained.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.nets.resizable_buffers import ResizableBuffers

LIMIT = 10.0
"""Standardised features are clipped to ± this many standard deviations, which few labels estimate badly."""
TEMPERATURE = 0.07
"""Of the weights of neighbours, exp(cosine / temperature), as for the k-NN classifier of DINO (Caron et al. 2021)."""

NEVER = -30.0
"""How far the logit of a class without images is below the least of the others."""
ALIKE = 4.0
"""Size of the logit of a label that all images show, or none."""


@final
class JoinedFeatures(ResizableBuffers):
    """Blocks of features, each (B, D_i) → (B, Σ D_i): standardised and divided by √D_i, so that none wins by size."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.declare(mean=torch.float32, scale=torch.float32)

    def fit(self, blocks: list[Tensor]) -> None:
        """Standardise on these images: (N, D_i) each. A feature that is the same for all of them is left out."""
        means, scales = [], []
        for block in blocks:
            std, mean = torch.std_mean(block.double(), dim=0, correction=0)
            varies = std > 1e-6 * mean.abs().clamp_min(1e-6)
            means.append(mean)
            scales.append(torch.where(varies, 1 / (std.clamp_min(1e-12) * block.shape[1] ** 0.5), 0.0))
        self.give(mean=torch.cat(means), scale=torch.cat(scales))

    def forward(self, blocks: list[Tensor]) -> Tensor:
        widths = [block.shape[1] for block in blocks]
        parts = torch.split((torch.cat(blocks, dim=1) - self.mean) * self.scale, widths, dim=1)
        return torch.cat(
            [part.clamp(-LIMIT / d**0.5, LIMIT / d**0.5) for part, d in zip(parts, widths, strict=True)], 1
        )


@final
class LinearHead(ResizableBuffers):
    """z = W x + b."""

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.declare(weight=torch.float32, bias=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@final
class ClassMeansHead(ResizableBuffers):
    """z_k = s cos(x, m_k), m_k the mean of class k; for multi-label tasks s (cos(x, m_k⁺) - cos(x, m_k⁻)).

    A mean of zeros is that of no image. Such a class is never predicted; a label that all images show is, of all.
    """

    means: Tensor
    others: Tensor
    gain: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.declare(means=torch.float32, others=torch.float32, gain=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        x = F.normalize(x, dim=1)
        cosines, shown = x @ F.normalize(self.means, dim=1).T, (self.means != 0).any(dim=1)
        if not self.others.numel():
            return torch.where(shown, self.gain * cosines, NEVER - self.gain)
        cosines, absent = cosines - x @ F.normalize(self.others, dim=1).T, (self.others != 0).any(dim=1)
        return torch.where(shown & absent, self.gain * cosines, ALIKE * (shown.float() - absent.float()))


@final
class NeighboursHead(ResizableBuffers):
    """z = log p or logit p, p the share of each label among the k nearest labelled images by cosine, weighted.

    A neighbour counts exp(cosine / 0.07), scaled to k in all; the prior counts as one more. The targets are what each
    labelled image votes: (N, K) its weight at its class; of multi-label tasks (N, 2K) its weights at the classes that
    it shows, and then at those that it does not show.
    """

    features: Tensor
    targets: Tensor
    prior: Tensor
    neighbours: Tensor

    def __init__(self, *, multilabel: bool) -> None:
        super().__init__()
        self.multilabel = multilabel
        self.declare(features=torch.float32, targets=torch.float32, prior=torch.float32, neighbours=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        cosines = F.normalize(x, dim=1) @ self.features.T
        return neighbour_logits(cosines, self.targets, self.prior, k=self.neighbours, multilabel=self.multilabel)


def neighbour_logits(cosines: Tensor, targets: Tensor, prior: Tensor, *, k: int | Tensor, multilabel: bool) -> Tensor:
    """(B, N) cosines with N images of (N, K) or (N, 2K) targets, as `NeighboursHead` has them → (B, K) logits.

    Of a `k` in a tensor, no shape depends on it.
    """
    ranked, which = cosines.topk(cosines.shape[1], dim=1)
    near = torch.arange(cosines.shape[1], device=cosines.device) < k
    count = near.sum()
    weight = (ranked / TEMPERATURE).masked_fill(~near, -torch.inf).softmax(dim=1) * count
    votes = torch.zeros_like(cosines).scatter(1, which, weight) @ targets
    if not multilabel:
        votes = votes + prior
        return (votes / votes.sum(dim=1, keepdim=True)).clamp_min(1e-6).log()
    classes = len(prior)
    present = votes[:, :classes] + prior
    # Earlier versions stored no votes of those that do not show a class.
    absent = votes[:, classes:] + (1 - prior) if votes.shape[1] > classes else count + 1 - present
    return (present / (present + absent)).clamp(1e-6, 1 - 1e-6).logit()
