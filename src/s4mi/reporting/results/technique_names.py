"""Names of techniques as readers know them: records and CSV files keep the ids of the settings."""

import re
from typing import Final

NAMES: Final = {
    "transfer from scratch": "from scratch",
    "cass": "CASS",
    "cross_pseudo_supervision": "cross pseudo-supervision",
    "diet": "DIET",
    "dino": "DINO",
    "mdc": "MDC",
    "picie": "PiCIE",
    "simclr": "SimCLR",
    "simmim": "SimMIM",
    "stego": "STEGO",
}
"""Where the id alone does not say it; underscores of others become spaces."""
SUPERVISED_NAME: Final = "DEDL"
"""The paper's name of plain supervised segmentation, shown after that of its network."""
_IDS = re.compile(r"(?<![\w.])(" + "|".join(sorted(map(re.escape, NAMES), key=len, reverse=True)) + r")(?![\w.])")
_DEDL = re.compile(r"(?<![\w.])dedl(?![\w.])")
_OTHER_NETWORKS = re.compile(r"\b(UNet\+\+|LinkNet|FPN|PSPNet|PAN|DeepLabV3\+?|MA-Net|UPerNet|SegFormer|DPT)")


def technique_name(method: str, backbone: str = "") -> str:
    """`U-Net (DEDL)` for `dedl`, `from scratch` for `transfer from scratch`, `cross teaching` for `cross_teaching`."""
    other = _OTHER_NETWORKS.search(backbone)
    network = other[1] if other else "U-Net"
    named = _IDS.sub(lambda found: NAMES[found[1]], method)
    return _DEDL.sub(f"{network} ({SUPERVISED_NAME})", named).replace("_", " ")
