"""A frozen network for CPUs: the same weights, arranged for inference alone, in bfloat16 where the processor has it.

    convolutions        batch normalisation folded in, weights prepacked, activations and shortcuts fused, channels
                        last; in bfloat16 the whole network
    transformers        linear layers prepacked; in bfloat16 their products and the attention, while the sum of the
                        residual branches and layer normalisation stay in float32
    mixed               bfloat16 where it changes the features little (`lowered`)

Measured with one thread on a processor with AVX-512 BF16 at 224 pixels, the network alone: ViT-S 1.2 to 1.3 times as
fast as timm's in float32, 1.5 to 1.7 times mixed and 1.9 to 2.1 times in bfloat16, ResNet-50 1.3 to 1.5, 1.9 to 2.4
and 2.5 to 3.2 times (docs/decisions/0028, 0029).
"""

import copy
import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.engine.cpu.lowered import EXACT, lower_after_first_stage
from s4mi.engine.cpu.prepacked_conv import prepack_convolutions
from s4mi.engine.cpu.prepacked_linear import prepack_linear

FLAGS = ("avx512_bf16", "amx_bf16")
"""Processor flags for products in bfloat16. Without them, bfloat16 is slower than float32."""
Arithmetic = Literal["float32", "mixed", "bfloat16"]
LEAST_SIMILARITY: dict[Arithmetic, float] = {"float32": 1 - 1e-5, "mixed": 0.9999, "bfloat16": 0.998}
"""Least cosine similarity of the outputs of two networks that count as the same."""
POSITIONS = 196
"""Positions of a feature map, for the packed layout of the linear layers of a CNN; other numbers work too."""

log = logging.getLogger("s4mi")


@cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return any(flag in flags for flag in FLAGS)


@torch.inference_mode()
def frozen_network(network: nn.Module, arithmetic: Arithmetic, *, image_size: int, batch: int) -> nn.Module:
    """Return a copy of a network, arranged for inference on a CPU with batches of (B, 3, S, S) images.

    The copy is compared with the network on noise; if it fails or computes something else, as networks built in an
    unforeseen way may, it is arranged in float32 in place of mixed, or the network itself is returned.

    Args:
        image_size, batch: size of the usual input; others work too.
    """
    images = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    attempts: tuple[Callable[[Any, Arithmetic], nn.Module], ...] = (
        partial(_fused, images=images, batch=batch), partial(_packed, images=images, batch=batch),
        partial(_folded, images=images),
    )  # fmt: skip
    if isinstance(network, VisionTransformer | Eva):
        attempts = (partial(_transformer, batch=batch),)
    before = network(images).flatten(1)
    for arrange in attempts:
        try:
            arranged = arrange(copy.deepcopy(network), arithmetic)
            after = arranged(images.to(input_dtype(arranged))).float().flatten(1)
        except (RuntimeError, AttributeError, TypeError, IndexError, StopIteration) as error:
            log.debug("%s: arranged less (%s)", type(network).__name__, error)
            continue
        if bool(F.cosine_similarity(before, after).min() >= LEAST_SIMILARITY[arithmetic]):
            return arranged
    if arithmetic == "mixed":
        return frozen_network(network, "float32", image_size=image_size, batch=batch)
    return network


def input_dtype(network: nn.Module) -> torch.dtype:
    """Return the precision in which a network takes images."""
    return next((weight.dtype for weight in network.parameters()), torch.float32)


def _transformer(network: Any, arithmetic: Arithmetic, *, batch: int) -> nn.Module:
    rows = batch * (int(network.patch_embed.num_patches) + network.num_prefix_tokens)
    prepack_linear(network, _lowest(arithmetic), rows=rows, exact=EXACT if arithmetic == "mixed" else ())
    for module in network.modules():
        if arithmetic == "bfloat16" and hasattr(module, "fused_attn"):
            module.fused_attn = False  # torch's fused attention is slower than its three steps in bfloat16
    arranged: nn.Module = network
    return arranged


def _fused(network: nn.Module, arithmetic: Arithmetic, *, images: Tensor, batch: int) -> nn.Module:
    arranged = _folded(network, arithmetic, images=images)
    prepack_convolutions(arranged, images.to(input_dtype(arranged)), batch=batch)
    if arithmetic != "mixed":
        prepack_linear(arranged, _lowest(arithmetic), rows=batch * POSITIONS)
    return arranged


def _packed(network: nn.Module, arithmetic: Arithmetic, *, images: Tensor, batch: int) -> nn.Module:
    arranged = _folded(network, arithmetic, images=images)
    prepack_convolutions(arranged, images.to(input_dtype(arranged)), batch=batch, fuse=False)
    return arranged


def _folded(network: nn.Module, arithmetic: Arithmetic, *, images: Tensor) -> nn.Module:
    fold_batch_norm(network, network, images)
    if arithmetic == "mixed":
        lower_after_first_stage(network, torch.bfloat16)
    else:
        network.to(_lowest(arithmetic))
    arranged: nn.Module = network.to(memory_format=torch.channels_last)
    return arranged


def _lowest(arithmetic: Arithmetic) -> torch.dtype:
    return torch.float32 if arithmetic == "float32" else torch.bfloat16
