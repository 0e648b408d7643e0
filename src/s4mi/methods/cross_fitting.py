"""Heads on a frozen encoder's feature maps, each fitted to all folds of the images with masks but one.

decoder    ½ [Dice + CE] over a fixed number of steps, each in one of the flips and quarter turns
linear     multinomial logistic regression on the share of each class in the pixels of a token
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s4mi.contract import TURNS, Losses, turned
from s4mi.maths.class_shares import class_shares
from s4mi.maths.losses import dice_cross_entropy
from s4mi.maths.soft_logistic import SoftLogistic
from s4mi.methods.decoder_fit import train_decoder
from s4mi.nets.token_decoder import Standardise, TokenDecoder
from s4mi.nets.token_linear import TokenLinear
from s4mi.records import IGNORE

Head = TokenDecoder | TokenLinear
STRENGTH = 1e-2
"""Strength of the linear head's penalty on its squared weights."""
MOST_TOKENS = 2**15
"""Tokens that a linear head is fitted to at most."""
BATCH, LR, WEIGHT_DECAY = 8, 2e-3, 1e-2
"""Images per step, greatest learning rate and weight decay of a decoder's fit."""
SAMPLED = 2
"""Every so many-th row and column of the pixels serve to choose the confidence."""


@dataclass(frozen=True)
class LabelledViews:
    """Views of images with masks: (N,) patients of the images, (N, H, W) masks, and features of `FrozenNet.encode`."""

    patients: Tensor
    masks: Tensor
    features: tuple[Tensor, ...]

    def of(self, chosen: Tensor | slice, *, view: int = 0) -> "LabelledViews":
        """The chosen ones in one of `TURNS` flips and quarter turns."""
        features = tuple(turned(level[chosen].float(), view) for level in self.features)
        return LabelledViews(self.patients[chosen], turned(self.masks[chosen], view), features)

    def folds(self, count: int) -> Tensor:
        """(N,) fold of each view, drawn so that all of a patient are in one, and folds differ by one patient."""
        patients, patient_of = torch.unique(self.patients, return_inverse=True)
        order = torch.randperm(len(patients)).to(patient_of.device)
        return order[patient_of] % count


@dataclass(frozen=True)
class HeldOut:
    """(N,) pixels of masks that a head has not seen: probability, predicted class, annotated class."""

    p: Tensor
    predicted: Tensor
    true: Tensor

    @classmethod
    def joined(cls, parts: Sequence["HeldOut"]) -> "HeldOut":
        names = ("p", "predicted", "true")
        if not parts:
            return cls(torch.empty(0), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def fit_to_folds(heads: Sequence[Head], data: LabelledViews, *, classes: int, steps: int) -> HeldOut:
    """Fit each head to the images of all folds but its own; return its predictions for its own.

    With a single patient all heads are fitted to it, and nothing is held out.

    Args:
        steps: number of steps of a decoder.
    """
    fold_of, held_out = data.folds(len(heads)), []
    for number, head in enumerate(heads):
        own = fold_of == number
        seen = data.of(own) if bool(own.all()) else data.of(~own)
        standardise(head, seen)
        if isinstance(head, TokenLinear):
            fit_linear(head, seen, classes)
        else:
            fit_decoder(head, seen, steps=steps)
        if bool(own.any()) and not bool(own.all()):
            held_out.append(predictions(head, data.of(own)))
    return HeldOut.joined(held_out)


@torch.no_grad()
def standardise(head: Head, data: LabelledViews) -> None:
    """Fit the head's standardisation to the feature maps of the views."""
    for layer, level in zip(head.standardise, data.features[1:], strict=True):
        assert isinstance(layer, Standardise)
        channels = level.transpose(0, 1).flatten(1)
        layer.fit(channels.mean(dim=1), channels.std(dim=1, correction=0))


def fit_decoder(head: TokenDecoder, data: LabelledViews, *, steps: int) -> None:
    """Train a decoder by AdamW, each step on a batch in one of the flips and quarter turns."""

    def draw_losses() -> Losses:
        drawn = torch.randperm(len(data.patients))[:BATCH].to(data.patients.device)
        batch = data.of(drawn, view=int(torch.randint(TURNS, ())))
        images, *maps = batch.features
        return Losses(dice_cross_entropy=dice_cross_entropy(head(maps, images), batch.masks))

    head.requires_grad_(True).train()
    train_decoder(head.parameters(), draw_losses, steps=steps, lr=LR, weight_decay=WEIGHT_DECAY)
    head.requires_grad_(False).eval()


def fit_linear(head: TokenLinear, data: LabelledViews, classes: int) -> None:
    """Fit a linear head to the shares of classes in the pixels of tokens, as many tokens of each view."""
    columns = head.standardised(data.features[1:])
    shares = class_shares(data.masks, classes, columns.shape[-2:])
    tokens, targets = (each.movedim(1, -1).flatten(0, 2) for each in (columns, shares))
    drawn = torch.randperm(len(tokens))[:MOST_TOKENS].to(tokens.device)
    fit = SoftLogistic(tokens[drawn]).fit(targets[drawn], strength=STRENGTH)
    head.take(fit.weight, fit.bias)


@torch.no_grad()
def predictions(head: Head, data: LabelledViews) -> HeldOut:
    """Predictions for a share of the annotated pixels, in evaluation mode."""
    parts = []
    for first in range(0, len(data.patients), BATCH):
        batch = data.of(slice(first, first + BATCH))
        images, *maps = batch.features
        z, y = (each[..., ::SAMPLED, ::SAMPLED] for each in (head(maps, images), batch.masks))
        p, predicted = z.softmax(dim=1).max(dim=1)
        known = y != IGNORE
        parts.append(HeldOut(p[known], predicted[known], y[known]))
    return HeldOut.joined(parts)
