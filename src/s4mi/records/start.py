"""What weights a network began training with."""

from pydantic import Field

from s4mi.records.scores import Frozen

RANDOM = "random"
"""`Start.weights` of a network without pre-trained weights."""


class Start(Frozen):
    """The weights that one network of a run began with."""

    network: str = Field(description="name of the network, such as `resnet50`")
    weights: str = Field(description="`random`, `file NAME`, `timm NAME.TAG`, or `pre-training`; see `pretraining`")
    content: str = Field("", description="hash of the file's content, if it is a file that could be read")
    licence: str = Field("", description="licence of the weights, as published; empty: not stated")
    auto: bool = Field(False, description="whether they were chosen by `weights: auto`, or the network by `auto`")
    why: str = Field("", description="why they were chosen, for `auto`")
    normalisation: str = Field("", description="mean and standard deviation per channel that the network expects")

    @property
    def unintended(self) -> bool:
        """Whether the network began from random weights though the best at hand were asked for."""
        return self.auto and self.weights == RANDOM

    @property
    def text(self) -> str:
        """The start in words, such as `resnet50: file resnet50.pth (a1b2c3d4)`."""
        return f"{self.network}: {self.weights}{f' ({self.content[:8]})' if self.content else ''}"
