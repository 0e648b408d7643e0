"""Names of segmentation networks, and what they stand for; known without torch."""

from typing import Literal

from s4mi.nets.architectures import ARCHITECTURES, TIMM, check_architecture

Library = Literal["timm", "smp"]
"""Whose network a name stands for: timm's, or an encoder of segmentation_models_pytorch."""


SMALL = "small_unet"

SWIN: dict[str, Literal["swin_tiny", "tiny_swin"]] = {"swin_unet": "swin_tiny", "tiny_swin_unet": "tiny_swin"}
"""Names of Swin-UNets, with the shapes of their encoders."""

DPT_KIND, FROZEN_KIND = "dpt", "frozen"
"""What stands before the slash for a ViT with DPT's decoder, and for a light decoder on a frozen encoder."""

LABELS = {SMALL: "U-Net (small)", "swin_unet": "Swin-UNet", "tiny_swin_unet": "Swin-UNet (tiny)"}


def network_label(name: str) -> str:
    """Label of a network in tables, such as "resnet34 UNet++".

    Raises:
        S4miError: an unknown architecture; encoders are not checked.
    """
    if name in LABELS:
        return LABELS[name]
    kind, encoder = of_timm(name)
    if kind is not None:
        return f"{encoder} DPT" if kind == DPT_KIND else f"{encoder} (frozen)"
    architecture, encoder = split_name(name)
    return f"{encoder} {ARCHITECTURES[architecture].label}"


def encoder_of(name: str) -> tuple[Library, str] | None:
    """Library and name of the encoder of a network, or None if no weights are published for its encoder.

    Raises:
        S4miError: an unknown architecture; encoders are not checked.
    """
    if name == "swin_unet":
        return "timm", "swin_tiny_patch4_window7_224"
    if name in LABELS:
        return None
    kind, encoder = of_timm(name)
    if kind is not None:
        return "timm", encoder
    _, encoder = split_name(name)
    return ("timm", encoder.removeprefix(TIMM)) if encoder.startswith((TIMM, "tiny_")) else ("smp", encoder)


def of_timm(name: str) -> tuple[str | None, str]:
    """Kind and encoder of dpt/NAME and frozen/NAME; None and the name for other networks."""
    kind, slash, encoder = name.partition("/")
    return (kind, encoder) if slash and kind in (DPT_KIND, FROZEN_KIND) else (None, name)


def split_name(name: str) -> tuple[str, str]:
    """Architecture and encoder of ARCHITECTURE/ENCODER, or a U-Net for an encoder alone."""
    architecture, _, encoder = name.rpartition("/")
    if not architecture:
        return "unet", encoder
    check_architecture(architecture)
    return architecture, encoder
