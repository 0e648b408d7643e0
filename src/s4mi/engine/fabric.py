"""Lightning Fabric, imported without TorchMetrics.

Fabric compares the version of TorchMetrics when it is imported, and for that imports all of it: audio and text metrics,
and with them Transformers, Matplotlib and SciPy's signal processing, a third of the processor time of a start. Fabric
needs TorchMetrics for its spike detector alone, which nothing here uses, so its version is all it gets.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

NAME = "torchmetrics"


@contextmanager
def version_only(name: str) -> Iterator[None]:
    """Let code find nothing but the version of a package that is not imported yet."""
    stand_in = ModuleType(name)
    try:
        stand_in.__dict__["__version__"] = version(name)
    except PackageNotFoundError:  # then importing it fails, as it should
        yield
        return
    if sys.modules.setdefault(name, stand_in) is not stand_in:
        yield
        return
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


with version_only(NAME):
    from lightning_fabric import Fabric

__all__ = ["Fabric"]
