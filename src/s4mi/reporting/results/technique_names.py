"""Names of techniques as readers know them: records and CSV files keep the ids of the settings."""

import re
from typing import Final

NAMES: Final = {
    "transfer from scratch": "from scratch",
    "cass": "CASS",
    "classical_segmenter": "classical segmenter",
    "co_training": "co-training",
    "colour_clusters": "colour clusters",
    "cross_pseudo_supervision": "cross pseudo-supervision",
    "cross_teaching": "cross teaching",
    "diet": "DIET",
    "dino": "DINO",
    "frozen_segmenter": "frozen segmenter",
    "frozen_teacher": "frozen teacher",
    "mdc": "MDC",
    "mean_teacher": "mean teacher",
    "picie": "PiCIE",
    "pseudo_labels": "pseudo-labels",
    "self_training": "self-training",
    "simclr": "SimCLR",
    "simmim": "SimMIM",
    "token_clusters": "token clusters",
    "weak_to_strong": "weak to strong",
}
"""Where the id is not what readers call it; names that a user has given stay as they are."""
SUPERVISED_NAME: Final = "DEDL"
"""The paper's name of plain supervised segmentation, shown after that of its network."""
ARM: Final = ": "
"""What separates the name of a technique from that of an arm, where arms of one study share a technique."""
_IDS = re.compile(r"(?<![\w.-])(" + "|".join(sorted(map(re.escape, NAMES), key=len, reverse=True)) + r")(?![\w.-])")
_DEDL = re.compile(r"(?<![\w.-])dedl(?![\w.-])")
_OTHER_NETWORKS = re.compile(r"\b(UNet\+\+|LinkNet|FPN|PSPNet|PAN|DeepLabV3\+?|MA-Net|UPerNet|SegFormer|DPT)")


def technique_name(method: str, backbone: str = "") -> str:
    """`U-Net (DEDL)` for `dedl`, `from scratch` for `transfer from scratch`, `cross teaching` for `cross_teaching`.

    The name of an arm behind it stays as it is: `U-Net (DEDL): long` for `dedl: long`.
    """
    other = _OTHER_NETWORKS.search(backbone)
    network = other[1] if other else "U-Net"
    method, separator, arm = method.partition(ARM)
    named = _IDS.sub(lambda found: NAMES[found[1]], method)
    return _DEDL.sub(f"{network} ({SUPERVISED_NAME})", named) + separator + arm
