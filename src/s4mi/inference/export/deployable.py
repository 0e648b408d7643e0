"""A trained method as one network that needs nothing around it: pixels in, probabilities out."""

from typing import final

import torch
from torch import Tensor, nn

from s4mi.contract import Classifier, Segmenter


@final
class Deployable(nn.Module):
    """Images as files have them → what they show; all that lies between is inside.

    Of a segmenter with several members, the one that validation chose answers.
    """

    def __init__(
        self, method: Classifier | Segmenter, *, multilabel: bool, red_channel_normalisation: bool, temperature: float
    ) -> None:
        """Wrap a method, which is put into evaluation mode and chooses no more."""
        super().__init__()
        if isinstance(method, Segmenter) and method.members is not None:
            method.members.choice.settle()
        self.method = method.eval().requires_grad_(False)
        self.multilabel, self.red, self.temperature = multilabel, red_channel_normalisation, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 RGB → probabilities at the run's temperature, and logits: (B, K) or (B, K, S, S)."""
        x = images.permute(0, 3, 1, 2).float()
        if self.red:
            x = normalised_red(x)
        logits = self.method.logits(x / 255).float()
        tempered = logits / self.temperature
        return tempered.sigmoid() if self.multilabel else tempered.softmax(dim=1), logits


def normalised_red(images: Tensor) -> Tensor:
    """`data.images.normalise_red` of (B, 3, H, W) floats that are whole numbers from 0 to 255, to the bit."""
    # In double precision: a float32 square root is not correctly rounded on every processor.
    norm = images.double().square().sum(dim=1, keepdim=True).sqrt().float()
    red = (255 * (images[:, :1] / norm.clamp_min(1))).round()  # below 1 lies only 0, where red is 0 as well
    return torch.cat([red, images[:, 1:]], dim=1)
