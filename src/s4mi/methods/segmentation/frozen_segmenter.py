"""Segmentation from few masks: a frozen encoder's feature maps and a light head, which alone is fitted.

    x, y       (B, 3, H, W) images and their (B, H, W) masks
    m_i        (B, C_i, h_i, w_i) feature maps of chosen blocks of the encoder, which never changes
    linear     p = softmax(up(W s(m) + b))    fitted to t, the (B, K, h, w) share of each class in a token's pixels, by
                                              multinomial logistic regression with a penalty of λ/2 |W|²
    decoder    p = softmax(decoder(m, x))     ½ [Dice(p, y) + CE(p, y)] over a fixed number of steps

The encoder sees each image once, in up to eight flips and quarter turns; a step of the decoder takes map, image and
mask in the same one of them. λ is chosen by folds inside the images with masks. Linear heads on frozen features for
dense tasks: Oquab et al. 2024, section 7.4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s4mi.contract import (
    Batch,
    Extractor,
    Fit,
    FittedSegmenter,
    Losses,
    MaskedBatch,
    MaskedFeatures,
    Task,
)
from s4mi.errors import S4miError
from s4mi.maths.class_shares import class_shares
from s4mi.maths.losses import class_weights, cross_entropy, dice
from s4mi.maths.soft_logistic import SoftLogistic, losses_on_folds
from s4mi.methods.decoder_fit import train_decoder
from s4mi.nets.block_maps import block_widths, frozen_encoders
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.frozen_encoder import TOKENS
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.token_decoder import TokenDecoder
from s4mi.nets.token_linear import TokenLinear
from s4mi.records import IGNORE
from s4mi.settings.segmentation.frozen_segmenter import FrozenSegmenterConfig

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""λ to choose from."""
DEFAULT_STRENGTH = 1e-2
"""λ where all images are of one patient, so that there are no folds."""
FOLDS = 5
ABSENT = -30.0
"""Logit of a class that was in no mask; of finite size, so that the loss on other masks is finite."""
MOST_TOKENS = 2**15
"""Tokens that the linear head is fitted to, drawn at random, as many from each image: 50 MB per 384 channels."""
READ = 16  # images at a time


@final
class FrozenSegmenter(FittedSegmenter):
    """A frozen encoder at one or more image sizes, and a linear layer or a decoder on its feature maps."""

    weight: Tensor | None
    present: Tensor

    def __init__(self, config: FrozenSegmenterConfig, task: Task) -> None:
        super().__init__()
        self.config, self.classes = config, task.classes
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        encoders = frozen_encoders(
            config.backbone, weights=weights, image_size=task.image_size, sizes=config.encoder_sizes,
            blocks=config.blocks,
        )  # fmt: skip
        self.encoders = nn.ModuleList(encoders)
        self.keys = ExtractorKeys(encoders)
        self.widths = [width for encoder in encoders for width in block_widths(config.backbone, encoder.blocks)]
        self.head = self._new_head()
        self.register_buffer("present", torch.ones(len(task.classes), dtype=torch.bool))
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def _new_head(self) -> TokenLinear | TokenDecoder:
        count = len(self.classes)
        if self.config.head == "linear":
            return TokenLinear(self.widths, classes=count)
        return TokenDecoder(self.widths, classes=count, width=self.config.width, dropout=self.config.dropout)

    @property
    def extractors(self) -> Sequence[Extractor]:
        return [encoder for encoder in self.encoders if isinstance(encoder, Extractor)]

    @property
    def views(self) -> int:
        return self.config.turns

    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        return self._logits(maps_of(features), images)

    def _logits(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        return torch.where(self.present[:, None, None], self.head(maps, images), ABSENT)

    def loss(self, batch: Batch) -> Losses:
        return self._losses(self.logits(batch.images), batch.known_masks)

    def _losses(self, z: Tensor, y: Tensor) -> Losses:
        return Losses(dice=dice(z, y) / 2, cross_entropy=cross_entropy(z, y, self.weight) / 2)

    def fit(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        self.present.copy_(torch.tensor(self._standardise(data)) > 0)
        present = [name for name, there in zip(self.classes, self.present.tolist(), strict=True) if there]
        if len(present) < 2:
            only = present[0] if present else "no class"
            raise S4miError(
                f"method frozen_segmenter: the {len(data)} images with masks show {only} alone; add masks of other "
                "classes, or raise label_fraction"
            )
        notes = tuple(
            f"class {name!r} is in none of the {len(data)} masks and is never predicted"
            for name in self.classes
            if name not in present
        )
        fit = self._fit_linear if isinstance(self.head, TokenLinear) else self._fit_decoder
        return replace(fit(data, generator), notes=notes)

    @torch.no_grad()
    def _standardise(self, data: MaskedFeatures) -> list[int]:
        """Fit the standardisation of the maps to the images with masks; return the number of pixels of each class."""
        moments = [torch.zeros(2, width, dtype=torch.float64) for width in self.widths]
        tokens = [0] * len(self.widths)
        pixels = torch.zeros(len(self.classes), dtype=torch.int64)
        for batch in data.batches(size=READ):
            known = batch.masks[batch.masks != IGNORE].cpu()
            pixels += torch.bincount(known, minlength=len(pixels))
            for number, map_ in enumerate(maps_of(batch.features)):
                values = map_.cpu().double()
                moments[number] += torch.stack([values.sum(dim=(0, 2, 3)), values.square().sum(dim=(0, 2, 3))])
                tokens[number] += values[:, 0].numel()
        for layer, (total, squares), count in zip(self.head.standardise, moments, tokens, strict=True):
            mean = total / count
            layer.fit(mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().float())  # type: ignore[operator]
        return [int(count) for count in pixels]

    def _fit_linear(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        assert isinstance(self.head, TokenLinear)
        rows = self._token_rows(data, generator)
        solver, held_out, strength = SoftLogistic(rows.features), {}, self.config.strength
        if strength is None:
            held_out = losses_on_folds(
                solver, rows.targets, rows.groups, strengths=STRENGTHS, folds=FOLDS, generator=generator
            )
            strength = min(held_out, key=lambda each: held_out[each]) if held_out else DEFAULT_STRENGTH
        fit = solver.fit(rows.targets, strength=strength)
        self.head.take(fit.weight, fit.bias)
        return Fit(
            chosen={"strength": strength} if held_out else None,
            scores={"folds cross_entropy": held_out[strength]} if held_out else None,
            losses={"cross_entropy": float(fit.loss(rows.features, rows.targets))},
        )

    @torch.no_grad()
    def _token_rows(self, data: MaskedFeatures, generator: np.random.Generator) -> "TokenRows":
        """Draw tokens of the images in all views, as many from each."""
        assert isinstance(self.head, TokenLinear)
        each = max(1, MOST_TOKENS // (len(data) * self.views))
        features, targets, groups = [], [], []
        for view in range(self.views):
            for first, batch in zip(range(0, len(data), READ), data.batches(size=READ, view=view), strict=True):
                columns = self.head.standardised(maps_of(batch.features))
                shares = class_shares(batch.masks, len(self.classes), columns.shape[-2:])
                for number, (column, share) in enumerate(zip(columns.flatten(2), shares.flatten(2), strict=True)):
                    chosen = torch.from_numpy(generator.permutation(column.shape[1])[:each]).to(column.device)
                    features.append(column[:, chosen].T)
                    targets.append(share[:, chosen].T)
                    groups.append(np.full(len(chosen), data.groups[first + number]))
        weights = torch.cat(targets) if self.weight is None else torch.cat(targets) * self.weight
        return TokenRows(torch.cat(features), weights, np.concatenate(groups))

    def _fit_decoder(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        """Train for a fixed number of steps; each reads two halves of its batch, each half in a view of its own."""
        config, head = self.config, self.head
        assert isinstance(head, TokenDecoder)

        def draw_losses() -> Losses:
            halves = list(_drawn_halves(data, size=config.decoder_batch, views=self.views, generator=generator))
            maps = [torch.cat(parts) for parts in zip(*(maps_of(half.features) for half in halves), strict=True)]
            images, masks = (torch.cat([getattr(half, name) for half in halves]) for name in ("images", "masks"))
            return self._losses(self._logits(maps, images), masks)

        device = head.classify.weight.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
            torch.manual_seed(int(generator.integers(2**62)))
            head.draw()
            head.train()
            losses = train_decoder(
                head.parameters(), draw_losses, steps=config.decoder_steps, lr=config.decoder_lr,
                weight_decay=config.decoder_weight_decay,
            )  # fmt: skip
        head.eval()
        return Fit(losses={name: float(value.detach()) for name, value in losses.items()})


@dataclass(frozen=True)
class TokenRows:
    """Standardised tokens (N, D), the weight (N, K) of each class in them, and the group (N,) of their images."""

    features: Tensor
    targets: Tensor
    groups: NDArray[np.int64]


def maps_of(features: Sequence[dict[str, Tensor]]) -> list[Tensor]:
    """The feature maps among the outputs of each extractor, in their order."""
    return [map_ for outputs in features for name, map_ in outputs.items() if name.startswith(TOKENS)]


def _drawn_halves(
    data: MaskedFeatures, *, size: int, views: int, generator: np.random.Generator
) -> Iterator[MaskedBatch]:
    """Draw a batch of `size` images in two views; fewer where there are fewer images."""
    chosen = generator.permutation(len(data))[:size]
    for half in np.array_split(chosen, min(2, len(chosen))):
        yield data.batch(half, int(generator.integers(views)))
