"""Segmentation networks by name, for methods that work with any of them."""

from s4mi.contract import Task
from s4mi.errors import S4miError, nearest
from s4mi.nets.architectures import TIMM, TINY_ENCODERS
from s4mi.nets.backbone import check_backbone
from s4mi.nets.dpt import DPT
from s4mi.nets.frozen_net import FrozenNet
from s4mi.nets.initial_weights import NONE
from s4mi.nets.network_names import DPT_KIND, LABELS, SMALL, SWIN, of_timm, split_name
from s4mi.nets.segmentation import SegmentationNet, log_padding
from s4mi.nets.small_unet import SmallUNet
from s4mi.nets.smp_net import SmpNet, check_encoder, encoder_names
from s4mi.nets.swin_unet import SwinUNet

TINY_CHANNELS = (64, 32, 16, 8)
"""Widths of the decoder on a tiny encoder: a quarter of the default, and one block less."""


def build_network(name: str, *, classes: int, image_size: int, weights: str = NONE) -> SegmentationNet:
    """Build a network with random weights, and with `weights` as for a backbone in its encoder.

    Args:
        name: small_unet, swin_unet, tiny_swin_unet, an encoder (resnet34, tiny_resnet, tu- and a timm name), which
            makes a U-Net, ARCHITECTURE/ENCODER, such as unetplusplus/resnet34, or, for a timm name without tu-,
            dpt/NAME (a plain ViT with DPT's decoder) or frozen/NAME (a light decoder on a frozen network).

    Raises:
        S4miError: an unknown name, an unsupported image size, or weights that are missing or do not fit.
    """
    net = _build(name, classes=classes, image_size=image_size, weights=weights)
    log_padding(image_size, net.stride)
    return net


def network_for(task: Task, name: str, weights: str = NONE) -> SegmentationNet:
    """Build a network by name for the classes and the image size of a task."""
    return build_network(name, classes=len(task.classes), image_size=task.image_size, weights=weights)


def _build(name: str, *, classes: int, image_size: int, weights: str) -> SegmentationNet:
    if name == SMALL:
        if weights != NONE:
            raise S4miError(f"{name!r} has no pre-trained weights (given {weights!r}); set its weights to none")
        return SmallUNet(classes=classes)
    if name in SWIN:
        return SwinUNet(SWIN[name], classes=classes, image_size=image_size, weights=weights)
    kind, encoder = of_timm(name)
    if kind is not None:
        net = DPT if kind == DPT_KIND else FrozenNet
        return net(encoder, classes=classes, image_size=image_size, weights=weights)
    architecture, encoder = split_name(name)
    _check(name, encoder)
    return SmpNet(
        encoder,
        architecture=architecture,
        classes=classes,
        image_size=image_size,
        weights=weights,
        decoder_channels=TINY_CHANNELS if architecture == "unet" and encoder in TINY_ENCODERS else None,
    )


def check_network(name: str) -> None:
    """Raise `S4miError` if there is no network `name`, as for `build_network`; nothing is built."""
    if name in LABELS:
        return
    kind, encoder = of_timm(name)
    if kind is not None:
        check_backbone(encoder)
    else:
        _check(name, split_name(name)[1])


def _check(name: str, encoder: str) -> None:
    """Raise `S4miError` if the encoder is unknown, with the nearest name of any network if no architecture is named."""
    known = [*LABELS, *encoder_names()]
    if "/" not in name and name not in known and not name.startswith(TIMM):
        raise S4miError(
            f"network {name!r} is unknown{nearest(name, known)}; pass {', '.join(LABELS)}, an encoder of "
            "segmentation_models_pytorch, 'tu-' and a timm name, ARCHITECTURE/ENCODER, dpt/NAME or frozen/NAME"
        )
    check_encoder(encoder)
