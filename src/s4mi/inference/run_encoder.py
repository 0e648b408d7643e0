"""The encoder of a finished run as an extractor, so that its features of an image are computed once and stored."""

import hashlib
from pathlib import Path
from typing import final

from torch import Tensor, nn

from s4mi.contract.feature_names import POOLED
from s4mi.contract.features import Extractor
from s4mi.nets.initial_weights import file_hash

REVISION = 1
"""Raised when the features of the same weights change."""


@final
class RunEncoder(Extractor):
    """The features of whole images that a trained network computes.

    They are stored in 32 bits: `s4mi embed` writes what the network computed.
    """

    float16 = False

    def __init__(self, name: str, network: nn.Module, weights: Path, *, image_size: int) -> None:
        """Describe the encoder.

        Args:
            name: of the encoder. network: (B, 3, S, S) in [0, 1] → (B, D), in evaluation mode.
            weights: file of the network's weights, whose content the key holds.
        """
        super().__init__()
        self.name = name
        text = f"run encoder {REVISION}, {name}, {type(network).__name__}, {file_hash(weights)}, {image_size}"
        self.key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._network = [network]  # in a list, so that it is no submodule

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        return {POOLED: self._network[0](images)}
