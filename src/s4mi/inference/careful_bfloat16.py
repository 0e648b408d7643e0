"""Predictions in bfloat16 that decide as in float32.

    σ               error of the margins: root mean square over images and classes, in logits
    margin          m_k = z_best - z_k of each other class k; of a label, the distance of its logit from the threshold
    first images    are computed in both, for σ; unless bfloat16 may be used, everything is computed in float32
    an image        with a margin below SAFE σ is computed again in float32, and adds to what σ is computed from
    pixels          are not computed again: of the first masks, at least LEAST_EQUAL must be equal

Were errors normal and margins spread evenly near 0, a decision would differ where the error is greater than the margin
and that greater than SAFE σ: with SAFE = 2.5, 0.002 σ times their density, in logits; without, 0.4 σ.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from s4mi.records import TaskKind

CHECKED = 8
"""Inputs computed in both precisions before the first prediction is made."""
LEAST_EQUAL = 0.999
"""Share of equal decisions below which float32 is used."""
MOST_AGAIN = 0.5
"""Share of the checked images to be computed again above which float32 is used: bfloat16 would gain nothing."""
SAFE = 2.5
"""Multiple of the error within which a decision counts as close."""

log = logging.getLogger("s4mi")
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Comparison:
    """Outputs for the same inputs in both precisions.

    Attributes:
        images: number of inputs. equal: share of equal decisions. error: σ. close: share of close inputs.
    """

    images: int
    equal: float
    error: float
    close: float

    def good(self, kind: TaskKind) -> bool:
        """Whether bfloat16 may be used."""
        if kind == "segmentation":
            return self.equal >= LEAST_EQUAL
        return math.isfinite(self.error) and self.close <= MOST_AGAIN


@dataclass
class CarefulBfloat16:
    """A network, (B, 3, S, S) → (B, K, …) float32 logits, in bfloat16 where that changes no decision.

    Attributes:
        boundaries: of labels, the logits at which they are decided; a label may have several.
        error: σ known from an earlier check; None: check with the first inputs.
        checked: called with the result of the check.
    """

    exact: Forward
    fast: Forward
    kind: TaskKind
    boundaries: Sequence[Tensor] = ()
    error: float | None = None
    checked: Callable[[Comparison], None] = lambda _: None
    _refused: bool = field(default=False, init=False)
    _count: int = field(default=0, init=False)
    _total: float = field(default=0.0, init=False)

    def __call__(self, images: Tensor) -> Tensor:
        if self._refused:
            return self.exact(images)
        logits = self.fast(images)
        if self.error is None:
            found = self._compare(logits[:CHECKED], self.exact(images[:CHECKED]))
            self._refused = not found.good(self.kind)
            self.checked(found)
            if self._refused:
                log.info("predicted in float32, since bfloat16 would change decisions")
                return self.exact(images)
        if self.kind == "segmentation":
            return logits
        assert self.error is not None
        close = ~(self._margins(logits).amin(dim=1) > SAFE * self.error)  # also where a logit is not a number
        if bool(close.any()):
            again = self.exact(images[close])
            self._learn(logits[close], again)
            logits = logits.clone()
            logits[close] = again
        return logits

    def _compare(self, fast: Tensor, exact: Tensor) -> Comparison:
        if self.kind == "segmentation":
            equal = (fast.argmax(1) == exact.argmax(1)).float().mean()
            self.error = float((fast - exact).square().mean().sqrt())
            return Comparison(len(fast), float(equal), self.error, 0.0)
        error = self._learn(fast, exact)
        if self.kind == "multilabel":
            same = torch.stack([((fast > edge) == (exact > edge)).all(dim=1) for edge in self._edges(fast)]).all(dim=0)
        else:
            same = fast.argmax(1) == exact.argmax(1)
        close = ~(self._margins(fast).amin(dim=1) > SAFE * error)
        return Comparison(len(fast), float(same.float().mean()), error, float(close.float().mean()))

    def _learn(self, fast: Tensor, exact: Tensor) -> float:
        """Take the errors of (B, K) logits into account, and return σ."""
        difference, itself = fast - exact, 0
        if self.kind != "multilabel":  # z_best - z_k, which is 0 for the best class itself
            difference, itself = difference.gather(1, exact.argmax(1, keepdim=True)) - difference, len(fast)
        count, total = max(difference.numel() - itself, 1), float(difference.double().square().sum())
        if self.error is not None and self._count == 0:  # known from an earlier check
            self._count, self._total = CHECKED, CHECKED * self.error**2
        self._count, self._total = self._count + count, self._total + total
        self.error = math.sqrt(self._total / self._count)
        return self.error

    def _margins(self, logits: Tensor) -> Tensor:
        """(B, K) → (B, M) by how much each decision is made, in logits."""
        if self.kind == "multilabel":
            return torch.cat([(logits - edge).abs() for edge in self._edges(logits)], dim=1)
        if logits.shape[1] == 1:
            return torch.full_like(logits, torch.inf)
        best, second = logits.topk(2, dim=1).values.unbind(dim=1)
        return (best - second)[:, None]

    def _edges(self, logits: Tensor) -> Sequence[Tensor]:
        return self.boundaries or (torch.zeros(logits.shape[1]),)
