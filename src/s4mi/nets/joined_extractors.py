"""Extractors of features by name: a frozen encoder, and what is joined to it."""

from collections.abc import Sequence

from s4mi.contract import CLASSICAL, Extractor
from s4mi.nets.classical_features import ClassicalFeatures
from s4mi.nets.frozen_encoder import FrozenEncoder
from s4mi.nets.initial_weights import IMAGENET


def joined_extractors(backbone: str, *, weights: str, join: Sequence[str], image_size: int) -> list[Extractor]:
    """Return the frozen encoder `backbone`, and an extractor for each of `join`.

    Args:
        join: "classical", or encoders as NAME=FILE, or NAME for its ImageNet weights.

    Raises:
        S4miError: an unknown name, or a weight file that does not exist.
    """
    found: list[Extractor] = [FrozenEncoder(backbone, weights=weights, image_size=image_size)]
    for each in join:
        name, _, file = each.partition("=")
        if name == CLASSICAL:
            found.append(ClassicalFeatures())
        else:
            found.append(FrozenEncoder(name, weights=file or IMAGENET, image_size=image_size))
    return found
