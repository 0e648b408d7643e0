"""U-Nets on the encoders of segmentation_models_pytorch (any of its names, or a timm name after `tu-`)."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from timm.models import FeatureListNet
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.backbone import Normalise, bad_size, check_backbone, no_imagenet, tiny_resnet
from s4mi.nets.weights import IMAGENET, NONE, check_file, check_weights, fetching, fitting, load_file

TINY_ENCODERS = ("tiny_resnet",)
TIMM = "tu-"
"""What segmentation_models_pytorch puts before a timm name."""


class UNet(nn.Module):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits; H and W are multiples of 2^depth."""

    def __init__(
        self,
        encoder: str,
        *,
        classes: int,
        image_size: int | None = None,
        weights: str = NONE,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        attention: Literal["scse"] | None = None,
    ) -> None:
        """Build a U-Net as deep as `decoder_channels` is long; `weights` as for a backbone.

        `image_size`, H = W in pixels, is for transformers, which are built for one size; a CNN takes any.

        Raises:
            S4miError: an unknown encoder, a size or widths it cannot have, or weights that are not there or do not fit.
        """
        super().__init__()
        check_encoder(encoder)
        check_weights(weights)
        if attention is not None and min(decoder_channels) < 16:
            raise S4miError(
                f"attention {attention!r} squeezes 16-fold, which leaves nothing of decoder_channels "
                f"{list(decoder_channels)}; make each at least 16"
            )
        size = image_size or 64
        if weights == IMAGENET and not _has_imagenet(encoder):
            raise no_imagenet(encoder)
        if encoder in TINY_ENCODERS:
            self.net: nn.Module = _TinyUNet(classes=classes, decoder_channels=decoder_channels, attention=attention)
        else:
            self.net = _smp_unet(
                encoder,
                image_size=size,
                weights=weights,
                encoder_depth=len(decoder_channels),
                decoder_channels=tuple(decoder_channels),
                decoder_attention_type=attention,
                classes=classes,
            )
        if weights not in (IMAGENET, NONE) and not encoder.startswith(TIMM):
            load_file(self.net.get_submodule("encoder"), weights, name=encoder)
        self.normalise = _normalise(encoder)
        _freeze_unused(self.net, encoder=encoder, image_size=size)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(self.normalise(images))
        return logits


def _smp_unet(encoder: str, *, image_size: int, weights: str, **shape: Any) -> nn.Module:
    """The network of segmentation_models_pytorch; `shape` goes to its decoder and head."""

    def create(start: str | bool | None, **timm_only: Any) -> nn.Module:
        with fetching(encoder, weights):
            net: nn.Module = smp.Unet(encoder, encoder_weights=start, **shape, **timm_only)
        return net

    if not encoder.startswith(TIMM):
        return create(IMAGENET if weights == IMAGENET else None)
    start, overlay = None if weights == NONE else True, {}
    if weights not in (IMAGENET, NONE):
        check_file(encoder.removeprefix(TIMM), weights)
        overlay = {"pretrained_cfg_overlay": {"file": weights}}
    try:
        with fitting(weights, encoder) if overlay else nullcontext():
            try:
                return create(start, img_size=image_size, **overlay)  # transformers are built for one size
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
                return create(start, **overlay)
    except ValueError as error:
        raise S4miError(f"encoder {encoder!r} makes no U-Net ({error}); choose another, such as resnet34") from error


class _TinyUNet(nn.Module):
    """The same decoder on the tiny ResNet-10, which segmentation_models_pytorch does not have."""

    def __init__(self, *, classes: int, decoder_channels: Sequence[int], attention: Literal["scse"] | None) -> None:
        super().__init__()
        depth = len(decoder_channels)
        self.encoder = FeatureListNet(tiny_resnet(), out_indices=tuple(range(depth)))
        self.decoder = UnetDecoder(
            encoder_channels=(3, *self.encoder.feature_info.channels()),
            decoder_channels=tuple(decoder_channels),
            n_blocks=depth,
            attention_type=attention,
        )
        self.head = SegmentationHead(decoder_channels[-1], classes, kernel_size=3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.decoder([images, *self.encoder(images)]))
        return logits


def check_encoder(name: str) -> None:
    """Raise `S4miError` naming the nearest known encoder if segmentation_models_pytorch has none of this name."""
    known = [*TINY_ENCODERS, *smp.encoders.get_encoder_names()]
    if name not in known and not (name.startswith(TIMM) and timm.is_model(name.removeprefix(TIMM))):
        raise S4miError(f"encoder {name!r} is unknown{nearest(name, known)}; any timm name works after {TIMM!r}")
    if name.startswith(TIMM):
        check_backbone(name.removeprefix(TIMM))


def _has_imagenet(encoder: str) -> bool:
    if encoder.startswith(TIMM):
        return bool(timm.models.is_model_pretrained(encoder.removeprefix(TIMM)))
    return encoder not in TINY_ENCODERS and IMAGENET in smp.encoders.encoders[encoder]["pretrained_settings"]


def _normalise(encoder: str) -> Normalise:
    """What the encoder was trained on, from timm, as segmentation_models_pytorch asks a server for it."""
    if encoder in ("xception", "inceptionv4", "inceptionresnetv2"):  # by other names in timm
        return Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    name = encoder.removeprefix(TIMM).removeprefix("timm-")
    known = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return Normalise(known.mean, known.std) if known else Normalise()


def _freeze_unused(net: nn.Module, *, encoder: str, image_size: int) -> None:
    """Take out of training what no gradient reaches, such as the deep stages under a shallow decoder.

    Training on several devices waits for the gradient of every parameter that is to be trained.
    """
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    try:
        logits: Tensor = net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise bad_size(encoder, image_size, error) from error
    for weight, gradient in zip(weights, torch.autograd.grad(logits.sum(), weights, allow_unused=True), strict=True):
        weight.requires_grad_(gradient is not None)
    net.train()
