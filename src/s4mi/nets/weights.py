"""Where weights come from: ImageNet through timm, a file, or the encoders that a pre-training run left behind."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.errors import S4miError

IMAGENET = "imagenet"
NONE = "none"
ENCODERS = "encoders"
"""Folder below a pre-training run with a weight file an encoder, named after it, in timm's format."""

log = logging.getLogger("s4mi")


def check_weights(weights: str) -> None:
    """Raise `S4miError` if `weights` is neither "imagenet", "none" nor a file that is there."""
    if weights not in (IMAGENET, NONE) and not Path(weights).is_file():
        raise S4miError(f"weights {weights!r} is no file; pass 'imagenet', 'none' or the path of a weight file")


@contextmanager
def fetching(name: str, weights: str) -> Iterator[None]:
    """Say in one line that weights cannot be downloaded, whatever it is that timm, the hub and its http client raise.

    Their errors have no class in common. Those of the network's own arguments go through.
    """
    try:
        yield
    except Exception as error:
        own = isinstance(error, AssertionError | TypeError | ValueError) and not isinstance(error, OSError)
        if weights != IMAGENET or own:
            raise
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise S4miError(
            f"ImageNet weights of {name!r} cannot be downloaded ({line}); "
            "pass method.weights=none to start from random weights, or method.weights=FILE"
        ) from error


def read_weights(path: str, wanted: Mapping[str, Tensor], *, name: str) -> dict[str, Tensor]:
    """The `wanted` tensors of a weight file; what else is there, such as a head, is left alone.

    Raises:
        S4miError: it is no weight file, or some of the tensors are not in it.
    """
    try:
        given: dict[str, Tensor] = timm.models.load_state_dict(path)
    except Exception as error:  # pickle, zip and safetensors each raise their own
        line = str(error).strip().partition("\n")[0]
        raise S4miError(f"{path}: is no weight file ({line}); pass a .safetensors or .pth of {name!r}") from error
    # The counter of batches is no weight: old files do not have it, and torch does without it.
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in given]
    if missing:
        share = 1 - len(missing) / len(needed)
        raise S4miError(
            f"{path}: holds {share:.0%} of the tensors of {name!r}, {missing[0]!r} is missing; "
            "pass weights of this network"
        )
    log.info("%s: %d of %d tensors of %r loaded (100 %%)", path, len(needed), len(needed), name)
    return {key: given[key] for key in wanted if key in given}


def load_file(net: nn.Module, path: str, *, name: str) -> None:
    """Load the weights of all of `net` from a file.

    Raises:
        S4miError: it is no weight file, or does not fit.
    """
    with fitting(path, name):
        net.load_state_dict(read_weights(path, net.state_dict(), name=name))


@contextmanager
def fitting(path: str, name: str) -> Iterator[None]:
    """Say in one line that tensors of a file have other shapes than the network's."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).strip().splitlines()[:2][-1].strip()  # under torch's heading, the first of the tensors
        raise S4miError(f"{path}: does not fit {name!r} ({line}); pass weights of this network") from error


def check_file(name: str, path: str) -> None:
    """Raise `S4miError` unless all tensors of the timm network `name`, but for its head, are in the file."""
    with torch.device("meta"):
        wanted = timm.create_model(name, num_classes=0).state_dict()
    read_weights(path, wanted, name=name)


def classifier_of(name: str, weights: str) -> nn.Linear | None:
    """The linear layer that ends the network with these weights, or None where the weights bring none.

    Raises:
        S4miError: ImageNet weights cannot be downloaded.
    """
    if not timm.is_model(name) or weights == NONE:
        return None
    if weights == IMAGENET:
        with fetching(name, weights):
            layer = timm.create_model(name, pretrained=True).get_classifier()
        return layer if isinstance(layer, nn.Linear) else None
    given, place = timm.models.load_state_dict(weights), timm.get_pretrained_cfg(name)
    key = place.classifier if place is not None else None
    if not isinstance(key, str) or f"{key}.weight" not in given:
        return None
    weight = given[f"{key}.weight"].float()
    if weight.ndim != 2:
        return None
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": given[f"{key}.bias"].float()})
    return layer


def save_encoder(net: nn.Module, run: Path, name: str) -> Path:
    """Write the weights of the timm network `net` where `encoder_file` finds them, atomically; return the path."""
    path = encoder_path(run, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(".new")
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in net.state_dict().items()}, waiting)
    waiting.replace(path)
    return path


def encoder_path(run: Path, name: str) -> Path:
    """Where the weights of the encoder `name` belong in a run's folder."""
    return run / ENCODERS / f"{name.replace('/', '--')}.safetensors"


def start_weights(weights: str, *, pretrained: Path | None, name: str) -> str:
    """`weights`, or the file of the encoder `name` that a pre-training run left, where one is given.

    Raises:
        S4miError: the run has none, or none of this name.
    """
    return weights if pretrained is None else str(encoder_file(pretrained, name))


def encoder_file(run: Path, name: str) -> Path:
    """The weights of the encoder `name` that a pre-training run left in its folder.

    Raises:
        S4miError: the run has none, or none of this name.
    """
    path = encoder_path(run, name)
    if path.is_file():
        return path
    there = sorted(file.stem.replace("--", "/") for file in path.parent.glob("*.safetensors"))
    if not there:
        raise S4miError(
            f"{run}: holds no encoders; give the folder of a finished pre-training run, or method.weights=FILE"
        )
    raise S4miError(
        f"{run}: is a pre-training run of {' and '.join(there)}, not of {name!r}; set method.backbone to "
        f"{' or '.join(there)}, or pre-train {name!r}"
    )
