"""A trained method as one self-contained network: pixels in, probabilities out."""

from typing import final

import torch
from torch import Tensor, nn

from s4mi.contract import Classifier, Extractor, Segmenter


@final
class Deployable(nn.Module):
    """A network that includes normalisation, temperature scaling and the final activation.

    A segmentation method with several ensemble members predicts with the one selected on validation.
    """

    def __init__(
        self, method: Classifier | Segmenter, *, multilabel: bool, red_channel_normalisation: bool, temperature: float
    ) -> None:
        """Wrap a method, put it into evaluation mode and fix its selected ensemble member."""
        super().__init__()
        if isinstance(method, Segmenter) and method.members is not None:
            method.members.choice.settle()
        for module in list(method.modules()):
            if isinstance(module, Extractor):
                module.materialise()  # the file is to hold the encoder too
        self.method = method.eval().requires_grad_(False)
        self.multilabel, self.red, self.temperature = multilabel, red_channel_normalisation, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 RGB → probabilities after temperature scaling, and logits: (B, K) or (B, K, S, S)."""
        x = images.permute(0, 3, 1, 2).float()
        if self.red:
            x = normalised_red(x)
        logits = self.method.logits(x / 255).float()
        tempered = logits / self.temperature
        return tempered.sigmoid() if self.multilabel else tempered.softmax(dim=1), logits


def normalised_red(images: Tensor) -> Tensor:
    """`data.images.normalise_red` for (B, 3, H, W) floats with integer values from 0 to 255, bit-identical."""
    # In double precision: a float32 square root is not correctly rounded on every processor.
    norm = images.double().square().sum(dim=1, keepdim=True).sqrt().float()
    red = (255 * (images[:, :1] / norm.clamp_min(1))).round()  # a norm below 1 is 0, where red is 0 too
    return torch.cat([red, images[:, 1:]], dim=1)
