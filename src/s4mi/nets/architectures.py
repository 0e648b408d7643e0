"""Architectures of segmentation_models_pytorch, and how their encoders are named; known without torch."""

from dataclasses import dataclass
from typing import Literal

from s4mi.errors import S4miError, nearest

TINY_ENCODERS = ("tiny_resnet",)

TIMM = "tu-"
"""Prefix of timm encoders in segmentation_models_pytorch."""


@dataclass(frozen=True)
class Architecture:
    """Properties of an architecture.

    Attributes:
        label: its name in tables.
        stride: image sides must be multiples of it; where `widths` holds, that of `PAPER_CHANNELS`.
        widths: whether the widths of the decoder's blocks, whose number sets the depth, can be chosen.
        attention: whether the decoder supports squeeze and excitation.
        pooled: whether it applies batch normalisation to globally pooled features, which needs more than one image.
    """

    label: str
    stride: int
    widths: bool = False
    attention: bool = False
    pooled: bool = False


ArchitectureName = Literal[
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "pan", "deeplabv3", "deeplabv3plus", "upernet",
    "segformer",
]  # fmt: skip

ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture("U-Net", 32, widths=True, attention=True),
    "unetplusplus": Architecture("UNet++", 32, widths=True, attention=True),
    "manet": Architecture("MA-Net", 32, widths=True),
    "linknet": Architecture("LinkNet", 32),
    "fpn": Architecture("FPN", 32),
    "pspnet": Architecture("PSPNet", 8),
    "pan": Architecture("PAN", 16, pooled=True),
    "deeplabv3": Architecture("DeepLabV3", 8, pooled=True),
    "deeplabv3plus": Architecture("DeepLabV3+", 16, pooled=True),
    "upernet": Architecture("UPerNet", 32, pooled=True),
    "segformer": Architecture("SegFormer", 32),
}
"""All of segmentation_models_pytorch except DPT, whose plain ViT encoders return tokens besides their features."""


def check_architecture(name: str) -> None:
    """Raise `S4miError` if `name` is not one of `ARCHITECTURES`."""
    if name not in ARCHITECTURES:
        raise S4miError(
            f"architecture {name!r} is unknown{nearest(name, ARCHITECTURES)}; choose from {', '.join(ARCHITECTURES)}"
        )
