"""Prepacked convolutions: weights in the order in which oneDNN multiplies them, for networks that only infer.

    y = a(W * x + b)               a: activation, none or the one that follows the convolution
    y = a(W * x + b + shortcut)    the last convolution of a block of a ResNet

Weights are packed once, instead of at each call, and the activation and the sum with the shortcut are computed while
the output is still in cache, instead of in passes of their own through memory. The values are the same.
"""

from collections.abc import Mapping
from typing import Any, final

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

Activation = tuple[str, list[float]]
"""Name and numbers of an activation in oneDNN's terms."""
NO_ACTIVATION: Activation = ("none", [])


def prepack_convolutions(network: nn.Module, images: Tensor, *, batch: int, fuse: bool = True) -> int:
    """Replace convolutions within a network in evaluation mode by `PrepackedConv`; returns how many.

    For inference on a CPU alone. Subclasses of `nn.Conv2d` are left alone.

    Args:
        images: (B, 3, S, S), of the usual size. batch: the usual B. Both decide on the packed layout; others work too.
        fuse: whether to fuse what follows. The order in which a network calls its modules is unknown: an activation
            that is registered after a convolution is taken to follow it, so the caller must compare the outputs.
    """
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return 0
    sizes = _input_sizes(network, images)
    if fuse:
        _fuse_blocks(network)
    replaced = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not nn.Conv2d or child not in sizes or isinstance(child.padding, str):
                continue
            if child.padding_mode != "zeros":
                continue
            after = _activation_after(parent, name) if fuse and not isinstance(parent, FusedBlock) else None
            activation = NO_ACTIVATION
            if after is not None:
                activation = _in_their_terms(parent.get_submodule(after)) or NO_ACTIVATION
            elif isinstance(parent, FusedBlock):
                activation = parent.activation
            parent.add_module(name, PrepackedConv(child, activation, size=(batch, *sizes[child][1:])))
            if after is not None:
                parent.set_submodule(after, nn.Identity())
            replaced += 1
    return replaced


@final
class PrepackedConv(nn.Module):
    """(B, C, H, W) → (B, K, h, w) in the precision of the weights, channels last, without gradients."""

    def __init__(self, layer: nn.Conv2d, activation: Activation, *, size: tuple[int, ...]) -> None:
        super().__init__()
        assert not isinstance(layer.padding, str)
        self._geometry = ([*layer.padding], [*layer.stride], [*layer.dilation], layer.groups)
        self._activation = activation
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(layer.weight.detach(), *self._geometry, [*size])
        bias = layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
        self.bias = nn.Parameter(bias.detach(), requires_grad=False)  # also tells the precision of the network

    def forward(self, x: Tensor) -> Tensor:
        name, numbers = self._activation
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self.bias, *self._geometry, name, numbers, ""
        )
        return y

    def plus(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """The activation of the convolution's output plus the shortcut, of the same shape."""
        name, numbers = self._activation
        y: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, shortcut, self._weight, self.bias, *self._geometry, "add", 1.0, name, numbers, ""
        )
        return y


@final
class FusedBlock(nn.Module):
    """A residual block of timm's ResNets whose batch normalisation has been folded into its convolutions."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        names = ["conv1", "conv2", "conv3"] if isinstance(block, Bottleneck) else ["conv1", "conv2"]
        self._names = names
        for name in names:
            self.add_module(name, getattr(block, name))
        self.downsample = block.downsample
        activation = _in_their_terms(block.act1)
        assert activation is not None
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        *first, last = (self.get_submodule(name) for name in self._names)
        assert isinstance(last, PrepackedConv)
        y = x
        for conv in first:
            y = conv(y)
        return last.plus(y, x if self.downsample is None else self.downsample(x))


def _fuse_blocks(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in (BasicBlock, Bottleneck) and _is_plain(child):
                parent.add_module(name, FusedBlock(child))


def _is_plain(block: Any) -> bool:
    """Whether a block is convolutions, one kind of activation and a shortcut, and nothing else."""
    acts = [getattr(block, name) for name in ("act1", "act2", "act3") if hasattr(block, name)]
    kinds = [_in_their_terms(act) for act in acts]
    others = [getattr(block, name, None) for name in ("bn1", "bn2", "bn3", "drop_block", "aa", "se", "drop_path")]
    return (
        all(kind is not None and kind == kinds[0] for kind in kinds)
        and all(other is None or _does_nothing(other) for other in others)
        and all(type(getattr(block, name)) is nn.Conv2d for name in ("conv1", "conv2", "conv3") if hasattr(block, name))
    )


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or (
        isinstance(module, nn.Sequential) and all(_does_nothing(child) for child in module)
    )


def _activation_after(parent: nn.Module, name: str) -> str | None:
    """Name of the activation that is registered next after a convolution, within a sequence if it is in one."""
    names = [key for key, _ in parent.named_children()]
    for key in names[names.index(name) + 1 :]:
        module = parent.get_submodule(key)
        if _in_their_terms(module) is not None:
            return key
        if isinstance(module, nn.Sequential):  # what is left of a layer of timm whose normalisation has been folded
            inner = [one for one, child in module.named_children() if not _does_nothing(child)]
            return f"{key}.{inner[0]}" if inner and _in_their_terms(module.get_submodule(inner[0])) else None
        if not _does_nothing(module):
            return None
    return None


def _in_their_terms(module: nn.Module) -> Activation | None:
    if type(module) is nn.ReLU:
        return "relu", []
    if type(module) is nn.ReLU6:
        return "hardtanh", [0.0, 6.0]
    if type(module) is nn.Hardswish:
        return "hardswish", []
    return ("swish", []) if type(module) is nn.SiLU else None


@torch.inference_mode()
def _input_sizes(network: nn.Module, images: Tensor) -> Mapping[nn.Module, tuple[int, ...]]:
    """Input shape of each convolution that is called once in a forward pass."""
    found: dict[nn.Module, list[tuple[int, ...]]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.setdefault(module, []).append(tuple(inputs[0].shape))

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    handles = [module.register_forward_pre_hook(note) for module in convolutions]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return {module: shapes[0] for module, shapes in found.items()}
