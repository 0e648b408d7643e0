"""LoRA: low-rank updates of frozen weights (Hu et al. 2022), through the library peft.

    W' = W + (α / r) B A        A: (r, in), random; B: (out, r), 0 at the start, so that W' = W

Adapted are the query and value projections of a transformer's attention, which timm keeps with the keys' in one matrix
`qkv`: the rows of B for the keys stay 0. Attention whose matrix is not the three blocks q, k, v in this order (TinyViT,
whose rows are ordered by head) is adapted as a whole. Where a network has no attention, its 1×1 convolutions without
groups and its linear layers are adapted.
"""

from collections.abc import Iterator
from typing import Any

import torch
from timm.layers import Attention, AttentionRope
from timm.models.eva import EvaAttention
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn

from s4mi.errors import S4miError

FUSED = "qkv"
SEPARATE = ("q_proj", "v_proj", "query", "value", "q", "v")
"""Names of the projections of attention, in one matrix or in several."""
IN_BLOCKS = (Attention, AttentionRope, EvaAttention, WindowAttention)
"""Attention whose `qkv` has the rows of the queries, then of the keys, then of the values."""


def add_lora(net: nn.Module, *, name: str, rank: int, alpha: float, image_size: int) -> None:
    """Freeze a network and add trainable low-rank updates, in place; its outputs stay as they are.

    Args:
        name: for error messages. image_size: side of the square images, in pixels, of a trial pass.

    Raises:
        S4miError: peft is not installed, or the network has no layer that can be adapted.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise S4miError("tuning lora needs the library peft; install it with: pip install 's4mi[peft]'") from error
    targets = _targets(net)
    if not targets:
        raise S4miError(f"{name!r} has no attention, 1×1 convolution or linear layer for LoRA; use tuning last_blocks")
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=targets)
    inject_adapter_in_model(config, net)
    for parameter_name, parameter in net.named_parameters():
        parameter.requires_grad_("lora_" in parameter_name)
    keep_keys(net)
    _check_reached(net, name=name, image_size=image_size)


def merge_lora(net: nn.Module) -> None:
    """Replace adapted layers by plain ones with the updates added to their weights, in place; nothing without LoRA."""
    for parent, child_name, layer in list(_adapted(net)):
        layer.merge()
        setattr(parent, child_name, layer.get_base_layer())


def keep_keys(net: nn.Module) -> None:
    """Keep the rows of B at 0 that belong to the keys of attention with one matrix for q, k and v."""
    for parent, child_name, layer in _adapted(net):
        if child_name == FUSED and isinstance(parent, IN_BLOCKS):
            for b in layer.lora_B.values():
                b.weight.register_hook(_without_keys)


def _without_keys(gradient: Tensor) -> Tensor:
    """The gradient of the (3 D, r) rows of q, k and v with 0 for those of k, so that these never change."""
    q, k, v = gradient.chunk(3)
    return torch.cat([q, torch.zeros_like(k), v])


def _targets(net: nn.Module) -> list[str]:
    layers = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.requires_grad
    }
    attention = [name for name in layers if name.rpartition(".")[2] in (FUSED, *SEPARATE) and "attn" in name]
    if attention:
        return attention
    return [name for name, layer in layers.items() if isinstance(layer, nn.Linear) or _is_pointwise(layer)]


def _is_pointwise(layer: nn.Linear | nn.Conv2d) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1


def _adapted(net: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Adapted layers, each with the module that holds it and its name there."""
    for parent in net.modules():
        for child_name, child in parent.named_children():
            if hasattr(child, "lora_A") and hasattr(child, "get_base_layer"):
                yield parent, child_name, child


def _check_reached(net: nn.Module, *, name: str, image_size: int) -> None:
    """Freeze updates without effect, and raise `S4miError` if all are.

    Some networks use the weight of a layer without calling the layer.
    """
    updates = [parameter for parameter in net.parameters() if parameter.requires_grad]
    was_training = net.training
    with torch.enable_grad():
        outputs = net.eval()(torch.zeros(1, 3, image_size, image_size))
        total = sum(each.sum() for each in (outputs if isinstance(outputs, list | tuple) else [outputs]))
        none = (None,) * len(updates)
        gradients = torch.autograd.grad(total, updates, allow_unused=True) if total.requires_grad else none
    net.train(was_training)
    for update, gradient in zip(updates, gradients, strict=True):
        update.requires_grad_(gradient is not None)
    if all(gradient is None for gradient in gradients):
        raise S4miError(f"LoRA has no effect on {name!r}, which does not call its layers; use tuning last_blocks")
