"""Trees as a network: (N, D) float32 → (N, K), the sum of the leaves of all trees; see `maths/tree_arrays.py`."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.nets.resizable_buffers import ResizableBuffers

CHUNK = 2**22
"""Number of samples × trees at once: 32 MiB of node numbers."""


@final
class Trees(ResizableBuffers):
    """Boosted trees or a forest, all in buffers; empty until trees are given or loaded."""

    feature: Tensor
    left: Tensor
    right: Tensor
    threshold: Tensor
    value: Tensor
    roots: Tensor
    bias: Tensor
    levels: Tensor

    def __init__(self) -> None:
        super().__init__()
        numbers = dict.fromkeys(("feature", "left", "right", "roots"), torch.int32)
        # The number of steps is the length of `levels`: a shape is known when the forward pass is traced.
        self.declare(**numbers, threshold=torch.float32, value=torch.float32, bias=torch.float32, levels=torch.uint8)

    @property
    def fitted(self) -> bool:
        """Whether there are trees."""
        return len(self.roots) > 0

    def set_trees(
        self,
        *,
        feature: NDArray[np.int64],
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        threshold: NDArray[np.float32],
        value: NDArray[np.float32],
        roots: NDArray[np.int64],
        bias: NDArray[np.float32],
        levels: int,
    ) -> None:
        """Replace the trees; the arguments are the attributes of `maths.tree_arrays.TreeArrays`."""
        arrays = {
            "feature": feature, "left": left, "right": right, "threshold": threshold, "value": value, "roots": roots,
            "bias": bias,
        }  # fmt: skip
        self.give(**{name: torch.from_numpy(array) for name, array in arrays.items()}, levels=torch.zeros(levels))

    def forward(self, x: Tensor) -> Tensor:
        feature, left, right, roots = (each.long() for each in (self.feature, self.left, self.right, self.roots))
        size = max(1, CHUNK // max(len(roots), 1))
        parts = []
        for part in (x,) if torch.compiler.is_exporting() else torch.split(x, size):
            node = roots.expand(part.shape[0], -1)  # not `len`, a constant for the graph that is traced
            for _ in range(len(self.levels)):
                above = part.gather(1, feature[node]) > self.threshold[node]
                node = torch.where(above, right[node], left[node])
            parts.append(self.value[node].sum(dim=1) + self.bias)
        return torch.cat(parts)
