"""U-Nets on the encoders of segmentation_models_pytorch (any of its names, or a timm name after `tu-`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from timm.models import FeatureListNet
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.backbone import IMAGENET, NONE, Normalise, check_weights, no_download, tiny_resnet

TINY_ENCODERS = ("tiny_resnet",)


class UNet(nn.Module):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits; H and W are multiples of 2^depth."""

    def __init__(
        self,
        encoder: str,
        *,
        classes: int,
        weights: str = NONE,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        attention: Literal["scse"] | None = None,
    ) -> None:
        """Build a U-Net as deep as `decoder_channels` is long; `weights` as for a backbone.

        Raises:
            S4miError: an unknown encoder, or weights that cannot be had or do not fit.
        """
        super().__init__()
        check_encoder(encoder)
        check_weights(weights)
        if encoder in TINY_ENCODERS and weights == IMAGENET:
            raise S4miError(f"{encoder!r} has no ImageNet weights; pass method.weights=none or choose another encoder")
        if encoder in TINY_ENCODERS:
            self.net: nn.Module = _TinyUNet(classes=classes, decoder_channels=decoder_channels, attention=attention)
        else:
            self.net = _smp_unet(
                encoder, classes=classes, weights=weights, decoder_channels=decoder_channels, attention=attention
            )
        if weights not in (IMAGENET, NONE):
            _load_encoder(self.net.get_submodule("encoder"), Path(weights), name=encoder)
        self.normalise = Normalise()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(self.normalise(images))
        return logits


def _smp_unet(
    encoder: str, *, classes: int, weights: str, decoder_channels: Sequence[int], attention: Literal["scse"] | None
) -> nn.Module:
    try:
        net: nn.Module = smp.Unet(
            encoder_name=encoder,
            encoder_depth=len(decoder_channels),
            encoder_weights=IMAGENET if weights == IMAGENET else None,
            decoder_channels=tuple(decoder_channels),
            decoder_attention_type=attention,
            classes=classes,
        )
    except (OSError, ConnectionError) as error:
        raise no_download(encoder, reason=error) from error
    return net


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
    if name not in known and not (name.startswith("tu-") and timm.is_model(name[3:])):
        raise S4miError(f"encoder {name!r} is unknown{nearest(name, known)}; any timm name works after 'tu-'")


def _load_encoder(encoder: nn.Module, path: Path, *, name: str) -> None:
    given = timm.models.load_state_dict(str(path))
    wanted = encoder.state_dict()
    missing = [key for key in wanted if key not in given]
    if missing:
        share = 1 - len(missing) / len(wanted)
        raise S4miError(
            f"{path}: holds {share:.0%} of the tensors of {name!r}, {missing[0]!r} is missing; "
            "pass weights of this encoder"
        )
    encoder.load_state_dict({key: given[key] for key in wanted})
