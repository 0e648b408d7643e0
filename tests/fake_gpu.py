"""A GPU that is not there, to see whether somebody waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from s4mi.maths import kmeans

GPU = torch.device("cuda", 0)


@contextmanager
def not_waited_for() -> Iterator[None]:
    """Tensors made here are torch's fake ones: they say that they lie on a device and hold no numbers.

    Whoever asks for a number, or for a shape that depends on numbers, gets torch's DataDependentOutputException or
    DynamicOutputShapeException; a copy between devices that the host waits for is an AssertionError. The draws of
    k-means come from the GPU too, whose generator nobody has without one.
    """
    with pytest.MonkeyPatch.context() as patched, FakeTensorMode(allow_non_fake_inputs=True), _NoCopies():
        for draw in ("exponential_draws", "random_direction"):
            patched.setattr(kmeans, draw, lambda count, _generator: torch.empty(count, device=GPU))
        yield


class _NoCopies(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            named = dict(zip((each.name for each in func._schema.arguments), args, strict=False)) | (kwargs or {})
            devices = {leaf.device for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)}
            if len(devices) > 1 and not named.get("non_blocking"):
                raise AssertionError(f"a copy between {devices} is waited for")
        return given
