"""Techniques have the names that readers know; what a user has named stays."""

import pytest

from s4mi.reporting.results.technique_names import technique_name


@pytest.mark.parametrize(
    ("method", "backbone", "name"),
    [
        ("dedl", "resnet50 U-Net", "U-Net (DEDL)"), ("dedl", "resnet50 FPN", "FPN (DEDL)"),
        ("dedl, frozen encoder", "", "U-Net (DEDL), frozen encoder"), ("transfer from scratch", "", "from scratch"),
        ("transfer", "", "transfer"), ("cross_teaching", "", "cross teaching"),
        ("frozen from dino", "", "frozen from DINO"),
        ("picie from scratch, 4 clusters", "", "PiCIE from scratch, 4 clusters"), ("my_dino", "", "my_dino"),
        ("dino-v2_ours", "", "dino-v2_ours"), ("50%_of", "", "50%_of"),
        ("dedl: dino", "resnet50 U-Net", "U-Net (DEDL): dino"),
        ("dino, linear probe: dedl-2", "", "DINO, linear probe: dedl-2"),
    ],
)  # fmt: skip
def test_a_name(method: str, backbone: str, name: str) -> None:
    assert technique_name(method, backbone) == name
