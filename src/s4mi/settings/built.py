"""How settings build the method that they are for, whose module, with its networks and torch, is imported then."""

from importlib import import_module
from typing import Any

from s4mi.contract import MethodConfig, Task


def built(config: MethodConfig, task: Task, *, by: str) -> Any:
    """The method of a class of `s4mi.methods`, such as `segmentation.supervised:Supervised`, built for a task."""
    module, _, name = by.partition(":")
    return getattr(import_module(f"s4mi.methods.{module}"), name)(config, task)
