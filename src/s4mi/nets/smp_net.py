"""Networks of segmentation_models_pytorch: its architectures on its own encoders or, with the prefix `tu-`, timm's."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal, final

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from timm.models import FeatureListNet
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.architectures import ARCHITECTURES, TIMM, TINY_ENCODERS, check_architecture
from s4mi.nets.backbone import Normalise, check_backbone, no_imagenet, tiny_resnet
from s4mi.nets.initial_weights import IMAGENET, NONE, check_weights
from s4mi.nets.segmentation import SegmentationNet, freeze_unused
from s4mi.nets.weights import downloading, load_file, loading, read_for_timm

PAPER_CHANNELS = (256, 128, 64, 32, 16)
"""Default widths of a decoder's blocks, from the deepest up."""


_PROBE = 128
"""Side in pixels of the image that probes a network without a given size, the smallest that PAN takes."""


@final
class SmpNet(SegmentationNet):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits, through an encoder, a decoder and a head."""

    def __init__(
        self,
        encoder: str,
        *,
        architecture: str = "unet",
        classes: int,
        image_size: int | None = None,
        weights: str = NONE,
        decoder_channels: Sequence[int] | None = None,
        attention: Literal["scse"] | None = None,
    ) -> None:
        """Build one of `ARCHITECTURES` on an encoder with `weights` as for a backbone.

        Args:
            image_size: H = W in pixels, for transformers, which are built for one size; a CNN takes any.
            decoder_channels: widths from the deepest block up, one per level, for architectures with `widths`; None:
                `PAPER_CHANNELS`.
            attention: squeeze and excitation in the decoder, for architectures that support it.

        Raises:
            S4miError: an unknown architecture or encoder, an unsupported combination of them, of image size or of
                settings, or weights that are missing or do not fit.
        """
        super().__init__()
        check_architecture(architecture)
        check_encoder(encoder)
        check_weights(weights)
        _check_decoder(architecture, decoder_channels, attention)
        if weights == IMAGENET and not _has_imagenet(encoder):
            raise no_imagenet(encoder)
        self.architecture, self.encoder = architecture, encoder
        self.stride = 2 ** len(decoder_channels) if decoder_channels else ARCHITECTURES[architecture].stride
        size = image_size or _PROBE
        if encoder in TINY_ENCODERS:
            if architecture != "unet":
                raise S4miError(
                    f"encoder {encoder!r} works with unet only; choose another for {architecture!r}, such as resnet18"
                )
            self.net = _tiny_unet(decoder_channels or PAPER_CHANNELS, classes=classes, attention=attention)
        else:
            self.net = _smp_net(
                encoder,
                architecture,
                image_size=size + -size % self.stride,
                weights=weights,
                classes=classes,
                **_decoder_settings(architecture, decoder_channels, attention),
            )
        if weights not in (IMAGENET, NONE) and not encoder.startswith(TIMM):
            load_file(self.encoder_module, weights, name=encoder)
        self.normalise = _normalise(encoder)
        freeze_unused(self, image_size=size, name=encoder if architecture == "unet" else f"{architecture}/{encoder}")

    @property
    def encoder_module(self) -> nn.Module:
        """The encoder."""
        return self.net.get_submodule("encoder")

    def _features(self, images: Tensor) -> list[Tensor]:
        if ARCHITECTURES[self.architecture].pooled and self.training and len(images) == 1:
            raise S4miError(
                f"{self.architecture!r} normalises over the images of a batch and cannot train on a batch of one; "
                "use larger batches, or another architecture such as unet"
            )
        x = self.normalise(images)
        features = self.encoder_module(x)
        return [x, *features] if self.encoder in TINY_ENCODERS else list(features)  # other encoders return x too

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.net.get_submodule("segmentation_head")(self.net.get_submodule("decoder")(list(features)))
        return logits


def _decoder_settings(
    architecture: str, channels: Sequence[int] | None, attention: Literal["scse"] | None
) -> dict[str, Any]:
    """Arguments for segmentation_models_pytorch, which silently ignores those that an architecture does not support."""
    supported = ARCHITECTURES[architecture]
    widths = tuple(channels or PAPER_CHANNELS)
    return {
        **({"encoder_depth": len(widths), "decoder_channels": widths} if supported.widths else {}),
        **({"decoder_attention_type": attention} if supported.attention else {}),
    }


def _smp_net(encoder: str, architecture: str, *, image_size: int, weights: str, **shape: Any) -> nn.Module:
    """A network of segmentation_models_pytorch; `shape` goes to its decoder and head."""

    def create(pretrained: str | bool | None, **timm_only: Any) -> nn.Module:
        with downloading(encoder, weights):
            net: nn.Module = smp.create_model(architecture, encoder, encoder_weights=pretrained, **shape, **timm_only)
        return net

    def create_timm() -> nn.Module:
        pretrained, overlay = None if weights == NONE else True, {}
        if weights not in (IMAGENET, NONE):
            overlay = {
                "pretrained_cfg_overlay": {"state_dict": read_for_timm(weights, name=encoder.removeprefix(TIMM))}
            }
        with loading(weights, encoder) if overlay else nullcontext():
            try:
                return create(pretrained, img_size=image_size, **overlay)  # transformers are built for one size
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
                return create(pretrained, **overlay)

    try:
        return create_timm() if encoder.startswith(TIMM) else create(IMAGENET if weights == IMAGENET else None)
    except (AssertionError, TypeError, ValueError) as error:
        if isinstance(error, TypeError) and "output_stride" not in str(error):  # an argument transformers lack
            raise
        reason = str(error) or "its last stages cannot be dilated"
        raise S4miError(
            f"encoder {encoder!r} does not work with {ARCHITECTURES[architecture].label} ({reason}); choose another, "
            "such as resnet34"
        ) from error


def _tiny_unet(channels: Sequence[int], *, classes: int, attention: Literal["scse"] | None) -> nn.Module:
    """A U-Net on the tiny ResNet-10, which segmentation_models_pytorch does not have."""
    depth = len(channels)
    encoder = FeatureListNet(tiny_resnet(), out_indices=tuple(range(depth)))
    decoder = UnetDecoder(
        encoder_channels=(3, *encoder.feature_info.channels()),
        decoder_channels=tuple(channels),
        n_blocks=depth,
        attention_type=attention,
    )
    head = SegmentationHead(channels[-1], classes, kernel_size=3)
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder, "segmentation_head": head})


def check_encoder(name: str) -> None:
    """Raise `S4miError` if neither segmentation_models_pytorch nor, with the prefix, timm has this encoder."""
    known = encoder_names()
    if name not in known and not (name.startswith(TIMM) and timm.is_model(name.removeprefix(TIMM))):
        raise S4miError(
            f"encoder {name!r} is unknown{nearest(name, known)}; for a timm encoder, prefix it with {TIMM!r}"
        )
    if name.startswith(TIMM):
        check_backbone(name.removeprefix(TIMM))


def encoder_names() -> list[str]:
    """Names of all encoders except timm's."""
    return [*TINY_ENCODERS, *smp.encoders.get_encoder_names()]


def _check_decoder(architecture: str, channels: Sequence[int] | None, attention: Literal["scse"] | None) -> None:
    """Raise `S4miError` for settings of the decoder that the architecture does not support."""
    supported = ARCHITECTURES[architecture]
    if channels is not None and not supported.widths:
        raise S4miError(f"decoder_channels works with unet, unetplusplus and manet; leave it out for {architecture!r}")
    if attention is not None and not supported.attention:
        raise S4miError(f"attention works with unet and unetplusplus; leave it out for {architecture!r}")
    if attention is not None and min(channels or PAPER_CHANNELS) < 16:
        raise S4miError(
            f"attention {attention!r} squeezes channels 16-fold; make each of decoder_channels at least 16 "
            f"(given {list(channels or PAPER_CHANNELS)})"
        )


def _has_imagenet(encoder: str) -> bool:
    if encoder.startswith(TIMM):
        return bool(timm.models.is_model_pretrained(encoder.removeprefix(TIMM)))
    return encoder not in TINY_ENCODERS and IMAGENET in smp.encoders.encoders[encoder]["pretrained_settings"]


def _normalise(encoder: str) -> Normalise:
    """Normalisation of the encoder's weights, from timm: segmentation_models_pytorch would query a server for it."""
    if encoder in ("xception", "inceptionv4", "inceptionresnetv2"):  # timm has these under other names
        return Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    name = encoder.removeprefix(TIMM).removeprefix("timm-")
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return Normalise(cfg.mean, cfg.std) if cfg else Normalise()
