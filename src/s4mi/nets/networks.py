"""Networks for segmentation by name, for the methods that take any of them."""

from typing import Literal

from s4mi.contract import Task
from s4mi.errors import S4miError, nearest
from s4mi.nets.segmentation import SegmentationNet, say_padding
from s4mi.nets.small_unet import SmallUNet
from s4mi.nets.smp_net import (
    ARCHITECTURES,
    TIMM,
    TINY_ENCODERS,
    SmpNet,
    check_architecture,
    check_encoder,
    encoder_names,
)
from s4mi.nets.swin_unet import SwinUNet
from s4mi.nets.weights import NONE

SMALL = "small_unet"
SWIN: dict[str, Literal["swin_tiny", "tiny_swin"]] = {"swin_unet": "swin_tiny", "tiny_swin_unet": "tiny_swin"}
"""Swin-UNets and what they encode with."""

LABELS = {SMALL: "U-Net (small)", "swin_unet": "Swin-UNet", "tiny_swin_unet": "Swin-UNet (tiny)"}
TINY_CHANNELS = (64, 32, 16, 8)
"""Widths of the decoder on a tiny encoder: a quarter of the usual, and one block less."""


def build_network(name: str, *, classes: int, image_size: int, weights: str = NONE) -> SegmentationNet:
    """The network of this name with fresh weights, its encoder with `weights` as for a backbone.

    Names are small_unet, swin_unet, tiny_swin_unet, an encoder for a U-Net on it (resnet34, tiny_resnet, tu- and a timm
    name), or an architecture and an encoder, such as unetplusplus/resnet34.

    Raises:
        S4miError: an unknown name, a size the network cannot have, or weights that are not there or do not fit.
    """
    net = _build(name, classes=classes, image_size=image_size, weights=weights)
    say_padding(image_size, net.stride)
    return net


def network_for(task: Task, name: str, weights: str = NONE) -> SegmentationNet:
    """`build_network` with the classes and the image size of a task."""
    return build_network(name, classes=len(task.classes), image_size=task.image_size, weights=weights)


def network_label(name: str) -> str:
    """What tables call the network of this name, such as "resnet34 UNet++".

    Raises:
        S4miError: an unknown architecture; an encoder is not looked up.
    """
    if name in LABELS:
        return LABELS[name]
    architecture, encoder = _split(name)
    return f"{encoder} {ARCHITECTURES[architecture].label}"


def _build(name: str, *, classes: int, image_size: int, weights: str) -> SegmentationNet:
    if name == SMALL:
        if weights != NONE:
            raise S4miError(f"{name!r} starts from random weights and takes no {weights!r}; pass none as its weights")
        return SmallUNet(classes=classes)
    if name in SWIN:
        return SwinUNet(SWIN[name], classes=classes, image_size=image_size, weights=weights)
    architecture, encoder = _split(name)
    _check(name, encoder)
    return SmpNet(
        encoder,
        architecture=architecture,
        classes=classes,
        image_size=image_size,
        weights=weights,
        decoder_channels=TINY_CHANNELS if architecture == "unet" and encoder in TINY_ENCODERS else None,
    )


def _split(name: str) -> tuple[str, str]:
    """Architecture and encoder of ARCHITECTURE/ENCODER, or of an encoder alone, which is for a U-Net."""
    architecture, _, encoder = name.rpartition("/")
    if not architecture:
        return "unet", encoder
    check_architecture(architecture)
    return architecture, encoder


def _check(name: str, encoder: str) -> None:
    """Raise `S4miError` with the nearest name of any network where it may not be an encoder that was meant."""
    known = [*LABELS, *encoder_names()]
    if "/" not in name and name not in known and not name.startswith(TIMM):
        raise S4miError(
            f"network {name!r} is unknown{nearest(name, known)}; any encoder of segmentation_models_pytorch makes a "
            "U-Net, a timm name after 'tu-' too, and ARCHITECTURE/ENCODER other networks"
        )
    check_encoder(encoder)
