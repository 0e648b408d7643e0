"""What a network of pixels sees of a whole image: its coarsest map, averaged over all places.

In a U-Net that is what the encoder gives to the decoder, in a Swin-UNet the tokens of its last stage. It is found by
looking at what every module makes of one image, so that any network will do.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from s4mi.errors import S4miError

Layout = Literal["NCHW", "NHWC", "tokens"]
FEWEST = 2
"""Places on each side of a map; what has one place is a weight of channels and no map."""


class EncoderFeatures(nn.Module):
    """(B, 3, S, S) in [0, 1] → (B, C), through `give`, which runs the modules of `network`."""

    def __init__(self, network: nn.Module, give: Callable[[Tensor], Tensor], image_size: int) -> None:
        """Look for the coarsest map.

        Raises:
            S4miError: the network makes no maps.
        """
        super().__init__()
        self.network, self._give = network, give
        like = next(network.parameters())
        probe = torch.zeros(1, 3, image_size, image_size, dtype=like.dtype, device=like.device)
        self._name, self._layout = _coarsest(network, give, probe)

    def forward(self, images: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hook = self.network.get_submodule(self._name).register_forward_hook(lambda *ran: seen.append(ran[-1]))
        try:
            self._give(images)
        finally:
            hook.remove()
        places = {"NCHW": (2, 3), "NHWC": (1, 2), "tokens": (1,)}[self._layout]
        return seen[-1].mean(dim=places)


@torch.no_grad()
def _coarsest(network: nn.Module, give: Callable[[Tensor], Tensor], probe: Tensor) -> tuple[str, Layout]:
    """The module with the fewest places in its map, of several alike the last that ran."""
    best: tuple[int, str, Layout] | None = None

    def note(name: str, _: nn.Module, __: Any, output: Any) -> None:
        nonlocal best
        layout, places = _places(output)
        if layout is not None and (best is None or places <= best[0]):
            best = (places, name, layout)

    hooks = [module.register_forward_hook(partial(note, name)) for name, module in network.named_modules() if name]
    try:
        give(probe)
    finally:
        for hook in hooks:
            hook.remove()
    if best is None:
        raise S4miError(f"{type(network).__name__}: makes no map of an image; give the run of another network")
    return best[1], best[2]


def _places(output: Any) -> tuple[Layout | None, int]:
    if not isinstance(output, Tensor) or output.shape[0] != 1:
        return None, 0
    shape = tuple(output.shape)
    if len(shape) == 4 and shape[2] == shape[3] >= FEWEST:
        return "NCHW", shape[2] * shape[3]
    if len(shape) == 4 and shape[1] == shape[2] >= FEWEST:
        return "NHWC", shape[1] * shape[2]
    if len(shape) == 3 and shape[1] >= FEWEST * FEWEST:
        return "tokens", shape[1]
    return None, 0
