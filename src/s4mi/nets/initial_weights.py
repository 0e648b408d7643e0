"""What initial weights can be, and where a pre-training run keeps its encoders; known without torch."""

import hashlib
from functools import lru_cache
from pathlib import Path

from s4mi.errors import S4miError

IMAGENET = "imagenet"

NONE = "none"

ENCODERS = "encoders"
"""Folder in a pre-training run with one weight file per encoder, named after it, in timm's format."""

ELSEWHERE = "(of a second network by its own setting, such as method.teacher_weights, or NAME=FILE in method.join)"
"""Where the weights of other networks than the first are set, for messages that know the network alone."""


def check_weights(weights: str) -> None:
    """Raise `S4miError` if `weights` is neither "imagenet", "none" nor an existing file."""
    if weights not in (IMAGENET, NONE) and not Path(weights).is_file():
        raise S4miError(
            f"weights file {weights!r} does not exist; pass 'imagenet', 'none' or the path of a weight file {ELSEWHERE}"
        )


def encoder_path(run: Path, name: str) -> Path:
    """Path of the weights of the encoder `name` in a run's folder."""
    return run / ENCODERS / f"{name.replace('/', '--')}.safetensors"


def start_weights(weights: str, *, pretrained: Path | None, name: str) -> str:
    """`weights`, or the weight file of the encoder `name` in the folder `pretrained` of a pre-training run.

    Raises:
        S4miError: the run has no encoder of this name.
    """
    return weights if pretrained is None else str(encoder_file(pretrained, name))


def encoder_file(run: Path, name: str) -> Path:
    """The weight file of the encoder `name` in the folder of a pre-training run.

    Raises:
        S4miError: the run has no encoder of this name.
    """
    path = encoder_path(run, name)
    if path.is_file():
        return path
    saved = sorted(file.stem.replace("--", "/") for file in path.parent.glob("*.safetensors"))
    if not saved:
        raise S4miError(
            f"{run}: holds no encoders; pass the folder of a finished pre-training run, or method.weights=FILE"
        )
    raise S4miError(
        f"{run}: is a pre-training run of {' and '.join(saved)}, not of {name!r}; set method.backbone to "
        f"{' or '.join(saved)}, or pre-train {name!r}"
    )


def file_hash(path: Path) -> str:
    """Hash of the content of a file; read again only if its size or time of change differs."""
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_hash(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
