"""Image features from a segmentation network: its coarsest feature map, averaged over spatial positions.

In a U-Net this is the bottleneck between encoder and decoder, in a Swin-UNet the tokens of the last encoder stage. It
is found by a forward pass that records the output of every module, so that any network will do.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from s4mi.errors import S4miError

Layout = Literal["NCHW", "NHWC", "tokens"]
MIN_SIDE = 2
"""Minimum side of a feature map; a single position holds channel weights, as in squeeze and excitation."""


class EncoderFeatures(nn.Module):
    """(B, 3, S, S) in [0, 1] → (B, C), through `run`, which calls the modules of `network`."""

    def __init__(self, network: nn.Module, run: Callable[[Tensor], Tensor], image_size: int) -> None:
        """Find the coarsest feature map.

        Raises:
            S4miError: the network has no feature map.
        """
        super().__init__()
        self.network, self._run = network, run
        self._name, self._layout = coarsest_map(network, run, image_size)

    def forward(self, images: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        module = self.network.get_submodule(self._name)
        hook = module.register_forward_hook(lambda *call: outputs.append(call[-1]))
        try:
            self._run(images)
        finally:
            hook.remove()
        return pooled_map(outputs[-1], self._layout)


def pooled_map(features: Tensor, layout: Layout) -> Tensor:
    """Mean over the positions of a feature map → (B, C)."""
    return features.mean(dim={"NCHW": (2, 3), "NHWC": (1, 2), "tokens": (1,)}[layout])


@torch.no_grad()
def coarsest_map(network: nn.Module, run: Callable[[Tensor], Tensor], image_size: int) -> tuple[str, Layout]:
    """Name and layout of the module with the fewest spatial positions in its output, the last called of equals.

    Raises:
        S4miError: the network has no feature map.
    """
    like = next(network.parameters())
    probe = torch.zeros(1, 3, image_size, image_size, dtype=like.dtype, device=like.device)
    best: tuple[int, str, Layout] | None = None

    def record(name: str, _: nn.Module, __: Any, output: Any) -> None:
        nonlocal best
        layout, positions = _spatial_positions(output)
        if layout is not None and (best is None or positions <= best[0]):
            best = (positions, name, layout)

    hooks = [module.register_forward_hook(partial(record, name)) for name, module in network.named_modules() if name]
    try:
        run(probe)
    finally:
        for hook in hooks:
            hook.remove()
    if best is None:
        raise S4miError(f"{type(network).__name__}: no feature map found; pass the run of another network")
    return best[1], best[2]


def _spatial_positions(output: Any) -> tuple[Layout | None, int]:
    """Layout of a module's output and its number of spatial positions, or None if it is not a feature map."""
    if not isinstance(output, Tensor) or output.shape[0] != 1:
        return None, 0
    shape = tuple(output.shape)
    if len(shape) == 4 and shape[2] == shape[3] >= MIN_SIDE:
        return "NCHW", shape[2] * shape[3]
    if len(shape) == 4 and shape[1] == shape[2] >= MIN_SIDE:
        return "NHWC", shape[1] * shape[2]
    if len(shape) == 3 and shape[1] >= MIN_SIDE * MIN_SIDE:
        return "tokens", shape[1]
    return None, 0
