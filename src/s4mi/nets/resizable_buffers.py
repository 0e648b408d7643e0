"""Buffers whose shapes depend on the data that a head was fitted to, such as trees, or the features of a k-NN.

A method is built before its weights are loaded and does not know these shapes. Its empty buffers then take the shapes
of the checkpoint.
"""

from typing import Any

import torch
from torch import Tensor, nn


class ResizableBuffers(nn.Module):
    """A module whose own buffers take the shape of what is loaded or given; other modules inside it load strictly."""

    def declare(self, **buffers: torch.dtype) -> None:
        """Register buffers that are empty until something is fitted or loaded."""
        for name, dtype in buffers.items():
            self.register_buffer(name, torch.zeros(0, dtype=dtype))

    def give(self, **tensors: Tensor) -> None:
        """Set declared buffers; each keeps its type and device, and takes the shape of the tensor."""
        for name, tensor in tensors.items():
            buffer = self.get_buffer(name)
            setattr(self, name, tensor.detach().to(buffer.device, buffer.dtype).clone())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            loaded = state_dict.get(prefix + name)
            if isinstance(loaded, Tensor) and loaded.shape != buffer.shape:
                setattr(self, name, torch.zeros(loaded.shape, dtype=buffer.dtype, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
