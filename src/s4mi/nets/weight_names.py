"""Which network a weight file is for, told from its name and verified by its tensors.

A file belongs to the network with the longest name that its own begins with, up to the end or one of `.`, `_` and `-`:
`resnet50_gn.pth` is never taken for weights of `resnet50`. A trailing image size may be left out, so that
`tiny_vit_5m_mobilesam.pth` can be for `tiny_vit_5m_224`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import TINY
from s4mi.nets.network_names import Library
from s4mi.nets.weight_file_names import SIZE, accepted_names, begins, stem_of, weight_paths
from s4mi.nets.weight_files import read_file
from s4mi.nets.weight_layouts import match_weights
from s4mi.nets.weights import without_head

_RESIZED = re.compile(r"pos_embed|relative_position|rel_pos|attention_bias|attn_mask")
"""Tensors whose shape depends on the image size and that timm resizes."""


def weight_file(
    name: str, folders: Iterable[Path], *, library: Library = "timm", url: str = ""
) -> tuple[Path | None, list[str]]:
    """The first file in `folders` with weights of the network `name`, and why others of that name do not fit.

    Args:
        name: name in the library; with a tag, such as `resnet50.a1_in1k`, files must have the tag in their name too.
        url: address of published weights, whose file may be here under its original name.
    """
    refused: list[str] = []
    for folder in folders:
        for path in _candidates(name, folder, original=Path(url).name):
            problem = misfit(path, name, library=library)
            if not problem:
                return path.absolute(), refused
            refused.append(f"{path.name}: {problem}")
    return None, refused


def _candidates(name: str, folder: Path, *, original: str) -> Iterator[Path]:
    """Files of a folder whose names are right for the network: its exact name first, then by length."""
    right = [path for path in weight_paths(folder) if path.name == original or is_named_for(stem_of(path), name)]
    yield from sorted(right, key=lambda path: (len(path.name), path.name))


def is_named_for(stem: str, name: str) -> bool:
    """Whether a file whose name without ending is `stem` is named for the network `name`, and for no other."""
    accepted = accepted_names(name)
    longest = max((known for known in {*_known_names(), *accepted} if begins(stem, known)), key=len, default="")
    # Of a tagged name the tag has to be there; of `tiny_vit_5m_224`, which drops to `tiny_vit_5m`, the size has not.
    return longest in accepted


@cache
def _known_names() -> frozenset[str]:
    names = {*timm.list_models(), *smp.encoders.get_encoder_names(), *TINY}
    return frozenset(names | {SIZE.sub("", name) for name in names})


def misfit(path: Path, name: str, *, library: Library = "timm") -> str:
    """Why the tensors in a file are not those of the network, in words; empty if they are."""
    status = path.stat()
    return _misfit(path, name, library, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _misfit(path: Path, name: str, library: Library, _size: int, _changed: int) -> str:
    try:
        model = _empty(name, library)
        expected = model.state_dict()
        tensors = read_file(str(path), name=name).tensors
        match = match_weights(
            tensors,
            expected,
            path=str(path),
            model=model if library == "timm" and name not in TINY else None,
            name=name,
        )
    except S4miError as error:
        return str(error).removeprefix(f"{path}: ").partition(";")[0]
    if match.missing:
        return f"lacks {match.missing[0]!r}"
    return _other_shape(match.tensors, expected)


def _other_shape(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> str:
    for key, tensor in expected.items():
        given = tensors.get(key)
        if given is not None and given.shape != tensor.shape and not _RESIZED.search(key):
            return f"{key!r} is {_shape(given.shape)}, not {_shape(tensor.shape)}"
    return ""


def _shape(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes)) or "a number"


def _empty(name: str, library: Library) -> nn.Module:
    """The network as names and shapes alone."""
    if name in TINY:
        return TINY[name](image_size=64)
    if library == "timm":
        return without_head(name)
    with torch.device("meta"):
        encoder: nn.Module = smp.encoders.get_encoder(name, weights=None)
    return encoder
