"""Weak-to-strong consistency in the style of UniMatch (Yang et al. 2023, after FixMatch, Sohn et al. 2020).

    x, y         (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, w         network(x), network(x_u)                     logits; x_u keeps its colours
    s_1, s_2     network of two strong views of x_u           colour jitter, blur and CutMix; the weak view's geometry
    f            decoder(dropout(encoder(x_u)))               half of the channels dropped
    c            pixels with max softmax(w) ≥ confidence
    supervised   ½ [Dice(p, y) + CE(p, y)]
    images       ½ λ ½ [CE(s_1, argmax w) + CE(s_2, argmax w)] over c
    features     ½ λ CE(f, argmax w) over c

Confident predictions on the weak view, which changes no colour, are the targets of the strong views and of the
perturbed features. The terms over c are divided by the number of all pixels, so that a few confident pixels have little
weight.

UniMatch V2 (Yang et al. 2025) perturbs image and features at once: with `complementary` the features of the two strong
views of half of the images are multiplied by 2 m and 2 (1 - m), m a random half of the channels, and there is one term:

    images       λ ½ [CE(s_1, argmax w) + CE(s_2, argmax w)] over c

It is made for a ViT that is pre-trained without labels, such as network dpt/vit_small_patch14_dinov2.
"""

from collections.abc import Sequence
from functools import partial
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task
from s4mi.maths.distributed import draw_for_batch, from_all_processes, mean_over_images, own_share
from s4mi.maths.losses import class_weights, cross_entropy, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.records import IGNORE
from s4mi.settings.segmentation.weak_to_strong import WeakToStrongConfig


@final
class WeakToStrong(SemiSupervised):
    """A network trained on its own predictions for weakly augmented images."""

    config: WeakToStrongConfig
    weight: Tensor | None

    def __init__(self, config: WeakToStrongConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.network = network_for(task, config.network, config.weights)
        self.tunings = tune_networks({config.network: self.network}, config, task)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.network(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = batch.images, batch.known_masks
        weak, *strong = batch.known_unlabelled.chunk(3)  # each (U, 3, H, W)
        size = (x.shape[-2], x.shape[-1])
        features = self.network.encode(torch.cat([x, weak]))
        p, w = self.network.decode(features, size).tensor_split([len(x)])
        labels = confident(w, self.config.confidence)
        boxes = [cutmix_boxes(weak, self.config.cutmix) for _ in strong]
        mixed = torch.cat([cut(view, box) for view, box in zip(strong, boxes, strict=True)])
        targets = torch.cat([cut(labels, box[:, 0]) for box in boxes])
        supervised = dice_cross_entropy(p, y, self.weight)
        if self.config.complementary:
            halves = complementary_halves(self.network.encode(mixed))
            s = self.network.decode(halves, size)
            return Losses(supervised=supervised, images=self.strength * over_all_pixels(s, targets))
        losses = {
            "supervised": supervised,
            "images": self.strength / 2 * over_all_pixels(self.logits(mixed), targets),
        }
        if self.config.feature_dropout:
            dropped = [drop_channels(level[len(x) :], self.config.feature_dropout) for level in features]
            f = self.network.decode(dropped, size)
            losses["features"] = self.strength / 2 * over_all_pixels(f, labels)
        return Losses(**losses)


def over_all_pixels(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropy over pixels whose label is not `IGNORE`, divided by the number of all pixels."""
    return cross_entropy(logits, labels) * mean_over_images((labels != IGNORE).float())


def drop_channels(features: Tensor, probability: float) -> Tensor:
    """Channel dropout of (U, C, h, w) features, drawn for each image; kept channels are scaled by 1 / (1 - p)."""

    def draw(count: int) -> Tensor:
        return F.dropout2d(features.new_ones(count, features.shape[1], 1, 1), probability)

    return features * draw_for_batch(len(features), draw)


def complementary_halves(features: Sequence[Tensor]) -> list[Tensor]:
    """Features (2U, C, h, w) of two views of each image → the same, times 2 m in one and 2 (1 - m) in the other.

    m is drawn for each image, once for all levels of one width; of half of the images, drawn too, nothing is left out.
    """
    count = len(features[0]) // 2
    whole = draw_for_batch(count, lambda images: torch.randperm(images, device=features[0].device) % 2)
    factors: dict[int, Tensor] = {}
    for level in features:
        if level.shape[1] not in factors:
            m = draw_for_batch(count, partial(_half, level))
            doubled = torch.where(whole[:, None, None, None] == 0, 2 * m, 1)
            factors[level.shape[1]] = torch.cat([doubled, 2 - doubled])
    return [level * factors[level.shape[1]] for level in features]


def _half(level: Tensor, images: int) -> Tensor:
    """(`images`, C, 1, 1) 0 or 1, each with probability ½."""
    return torch.bernoulli(level.new_full((images, level.shape[1], 1, 1), 0.5))


def cutmix_boxes(images: Tensor, probability: float) -> Tensor:
    """(U, 1, H, W) bool boxes of CutMix, drawn with `probability` for each image; all False where there is none.

    A box covers 2 to 40 % of the image, with an aspect ratio of up to 1 : 3 (Yun et al. 2019, as UniMatch draws it).
    """
    return draw_for_batch(len(images), lambda count: _boxes(count, images, probability))


def _boxes(count: int, images: Tensor, probability: float) -> Tensor:
    height, width = images.shape[2:]
    area = torch.empty(count).uniform_(0.02, 0.4) * height * width
    ratio = torch.empty(count).uniform_(0.3, 1 / 0.3)
    tall, wide = (area * ratio).sqrt().clamp_max(height), (area / ratio).sqrt().clamp_max(width)
    top, left = torch.rand(count) * (height - tall), torch.rand(count) * (width - wide)
    drawn = torch.rand(count) < probability
    y, x = torch.arange(height)[None, :, None] + 0.5, torch.arange(width)[None, None, :] + 0.5  # centres of pixels
    (top, left, tall, wide, drawn) = (each[:, None, None] for each in (top, left, tall, wide, drawn))
    inside = (y >= top) & (y < top + tall) & (x >= left) & (x < left + wide) & drawn
    return inside[:, None].to(images.device, non_blocking=True)


def cut(images: Tensor, boxes: Tensor) -> Tensor:
    """(U, ...) images with their boxes filled from the previous image of the batch over all processes."""
    before = own_share(from_all_processes(images).roll(1, dims=0))
    return torch.where(boxes, before, images)
