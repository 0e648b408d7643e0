"""Fabric is imported without TorchMetrics, which whoever wants it still gets whole."""

import subprocess
import sys

from s4mi.engine.fabric import version_only

CODE = """
import sys
from s4mi.engine.fabric import Fabric
loaded = {name for name in sys.modules if name.partition('.')[0] in ('torchmetrics', 'transformers', 'matplotlib')}
assert not loaded, loaded
from lightning_fabric.utilities import imports
assert imports._TORCHMETRICS_GREATER_EQUAL_1_0_0
import torchmetrics
assert torchmetrics.MetricCollection and torchmetrics.__file__
assert Fabric(accelerator='cpu', devices=1).device.type == 'cpu'
"""


def test_importing_fabric_imports_no_torchmetrics() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_a_package_that_is_imported_already_stays() -> None:
    import pydantic

    with version_only("pydantic"):
        assert sys.modules["pydantic"] is pydantic
    assert sys.modules["pydantic"] is pydantic


def test_a_package_that_is_not_installed_stays_missing() -> None:
    with version_only("no_such_package_of_ours"):
        assert "no_such_package_of_ours" not in sys.modules
