"""Pooled features of a trained network, read off its own forward pass, so that they cost no second one."""

from typing import Any

import torch
from torch import Tensor, nn

from s4mi.contract import POOLED, Classifier, FittedClassifier, FittedSegmenter, Segmenter
from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.encoder_features import Layout, coarsest_map, pooled_map


class FeatureTap:
    """Keeps the (B, D) features of the first forward pass of a method since they were last taken.

    They are the output of the first extractor of a method that is fitted to features, of the backbone of a classifier,
    and of other networks the coarsest feature map, averaged over its positions.
    """

    def __init__(self, module: nn.Module, layout: Layout | None = None) -> None:
        self._layout = layout
        self._kept: Tensor | None = None
        module.register_forward_hook(self._keep)

    @classmethod
    def of(cls, method: Classifier | Segmenter, image_size: int) -> "FeatureTap | None":
        """Attach to a method; None if it computes no features of an image as a whole, such as clusters of colours."""
        if isinstance(method, FittedClassifier | FittedSegmenter):
            extractor = next(iter(method.extractors), None)
            return cls(extractor) if isinstance(extractor, nn.Module) else None
        if isinstance(backbone := getattr(method, "backbone", None), Backbone):
            return cls(backbone)
        if next(method.parameters(), None) is None:
            return None
        try:
            name, layout = coarsest_map(method, method.logits, image_size)
        except S4miError:
            return None
        return cls(method.get_submodule(name), layout)

    def take(self) -> Tensor | None:
        """(B, D) float32 features on the CPU, once; None if there was no forward pass."""
        kept, self._kept = self._kept, None
        return kept

    def _keep(self, _: nn.Module, __: Any, output: Any) -> None:
        if self._kept is not None:
            return
        if isinstance(output, dict):
            output = _of_extractor(output)
        if not isinstance(output, Tensor) or torch.compiler.is_exporting():
            return
        self._kept = _pooled(output, self._layout)


def pooled_output(outputs: dict[str, Tensor]) -> Tensor:
    """(B, D) float32 features on the CPU, as the tap of an extractor keeps them, from its outputs."""
    return _pooled(_of_extractor(outputs), None)


def _of_extractor(outputs: dict[str, Tensor]) -> Tensor:
    return outputs[POOLED] if POOLED in outputs else next(reversed(outputs.values()))


def _pooled(output: Tensor, layout: Layout | None) -> Tensor:
    if output.dim() > 2:
        output = pooled_map(output, layout or ("NCHW" if output.dim() == 4 else "tokens"))
    return output.detach().float().cpu()
