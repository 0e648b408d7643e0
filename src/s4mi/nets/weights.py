"""Initial weights: ImageNet through timm, a weight file, or the encoders saved by a pre-training run."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.nets.initial_weights import (
    ELSEWHERE,
    ENCODERS,
    IMAGENET,
    NONE,
    check_weights,
    encoder_file,
    encoder_path,
    start_weights,
)
from s4mi.nets.weight_files import read_file
from s4mi.nets.weight_layouts import Match, match_weights
from s4mi.records.atomic import replacing

__all__ = [
    "ENCODERS",
    "IMAGENET",
    "NONE",
    "check_weights",
    "classifier_of",
    "downloading",
    "encoder_file",
    "encoder_path",
    "load_file",
    "loading",
    "read_for_timm",
    "read_weights",
    "save_encoder",
    "start_weights",
    "without_head",
]
"""Those of `initial_weights` are here for methods of other packages, which import all of weights from one place."""

log = logging.getLogger("s4mi")


@contextmanager
def downloading(name: str, weights: str) -> Iterator[None]:
    """Turn errors of downloading ImageNet weights into a one-line `S4miError`.

    The errors of timm, the hub and its HTTP client have no common class. Errors of wrong arguments pass through.
    """
    try:
        yield
    except Exception as error:
        wrong_argument = isinstance(error, AssertionError | TypeError | ValueError) and not isinstance(error, OSError)
        if weights != IMAGENET or wrong_argument:
            raise
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise S4miError(
            f"ImageNet weights of {name!r} cannot be downloaded ({line}); "
            f"pass method.weights=none to start from random weights, or method.weights=FILE {ELSEWHERE}"
        ) from error


def read_weights(
    path: str, expected: Mapping[str, Tensor], *, name: str, model: nn.Module | None = None, as_stored: str = ""
) -> dict[str, Tensor]:
    """Read the tensors with the names in `expected` from a weight file; others, such as a head, are ignored.

    Args:
        model: the timm network `name`, which may be on the device meta, to convert other layouts to timm's.
        as_stored: ending of the names of tensors that are not to be resized.

    Raises:
        S4miError: not a weight file, or some of the tensors are missing.
    """
    match = _matched(path, expected, name=name, model=model)
    kept = {key: tensor for key, tensor in match.source.items() if as_stored and key.endswith(as_stored)}
    return {key: kept.get(key, match.tensors[key]) for key in expected if key in match.tensors}


def read_for_timm(path: str, *, name: str) -> dict[str, Tensor]:
    """Read the tensors for the timm network `name` in a layout that timm loads by itself.

    Raises:
        S4miError: not a weight file, or tensors of the network other than those of its head are missing.
    """
    model = without_head(name)
    return _matched(path, model.state_dict(), name=name, model=model).source


def _matched(path: str, expected: Mapping[str, Tensor], *, name: str, model: nn.Module | None) -> Match:
    file = read_file(path, name=name)
    match = match_weights(file.tensors, expected, path=path, model=model, name=name)
    needed = [key for key in expected if not key.endswith("num_batches_tracked")]
    if match.missing:
        share = 1 - len(match.missing) / len(needed)
        raise S4miError(
            f"{path}: holds {share:.0%} of the tensors of {name!r}, {match.prefix + match.missing[0]!r} is missing; "
            f"pass weights of this network (the file holds {next(iter(file.tensors))!r})"
        )
    said = [
        f"from {file.container!r}" if file.container else "",
        f"without the prefix {match.prefix!r}" if match.prefix else "",
        f"renamed: {match.renamed}" if match.renamed else "",
        _summary_of_unused(match.unused),
    ]
    details = "".join(f"; {part}" for part in said if part)
    log.info("%s: %d of %d tensors of %r loaded (100 %%)%s", path, len(needed), len(needed), name, details)
    return match


def _summary_of_unused(names: Sequence[str]) -> str:
    if not names:
        return ""
    groups = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    more = f" and {len(groups) - 3} more modules" if len(groups) > 3 else ""
    return f"{plural(len(names), 'tensor')} not used ({', '.join(groups[:3])}{more})"


def load_file(net: nn.Module, path: str, *, name: str, timm_model: bool = False) -> None:
    """Load all weights of `net`, which is the timm network `name` if `timm_model`, from a file.

    Raises:
        S4miError: not a weight file, or one that does not fit.
    """
    with loading(path, name):
        tensors = read_weights(path, net.state_dict(), name=name, model=net if timm_model else None)
        # Batch counters may be missing, and nothing else, as read_weights has checked.
        net.load_state_dict(tensors, strict=all(key in tensors for key in net.state_dict()))


@contextmanager
def loading(path: str, name: str) -> Iterator[None]:
    """Turn torch's error about tensors of another shape into a one-line `S4miError`."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).strip().splitlines()[:2][-1].strip()  # the first tensor, which follows torch's heading
        raise S4miError(f"{path}: does not fit {name!r} ({line}); pass weights of this network") from error


def without_head(name: str) -> nn.Module:
    """The timm network `name` without its head, as names and shapes alone."""
    with torch.device("meta"):
        model: nn.Module = timm.create_model(name, num_classes=0)
    return model


def classifier_of(name: str, weights: str) -> nn.Linear | None:
    """The linear classifier of a network with these weights, or None if the weights have none.

    Raises:
        S4miError: ImageNet weights cannot be downloaded.
    """
    if not timm.is_model(name) or weights == NONE:
        return None
    if weights == IMAGENET:
        with downloading(name, weights):
            layer = timm.create_model(name, pretrained=True).get_classifier()
        return layer if isinstance(layer, nn.Linear) else None
    model, cfg = without_head(name), timm.get_pretrained_cfg(name)
    file = read_file(weights, name=name)
    tensors = match_weights(file.tensors, model.state_dict(), path=weights, model=model, name=name).tensors
    key = cfg.classifier if cfg is not None else None
    if not isinstance(key, str) or f"{key}.weight" not in tensors:
        return None
    weight = tensors[f"{key}.weight"].float()
    if weight.ndim != 2:
        return None
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": tensors[f"{key}.bias"].float()})
    return layer


def save_encoder(net: nn.Module, run: Path, name: str) -> Path:
    """Save the weights of the timm network `net` where `encoder_file` finds them, atomically; return the path."""
    path = encoder_path(run, name)
    with replacing(path) as draft:
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in net.state_dict().items()}, draft)
    return path
