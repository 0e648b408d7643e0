"""A torch.export archive written by `s4mi export`, as a `Model`; needs torch, but none of the training code."""

import logging
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError
from s4mi.inference.model_metadata import KEY, read_metadata
from s4mi.inference.program_check import check_program

METADATA_FILE = f"{KEY}.json"


@final
class ProgramModel:
    """A torch.export program with its metadata."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            S4miError: torch cannot read the file, or it was not written by s4mi export.
        """
        self.metadata = read_metadata(_read_metadata_text(path), path)
        try:
            check_program(path)
            with _without_log():
                self._network = torch.export.load(path).module()
        except S4miError:
            raise
        except Exception as error:  # a damaged archive, or one of another torch version, may raise nearly anything
            raise S4miError(f"{path}: cannot be read by torch {torch.__version__} ({_reason(error)})") from error
        self.info = self.metadata.model_info(path)
        self._check_outputs(path)
        self.calibration = self.metadata.calibration

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, before temperature scaling."""
        return self._run(inputs)[1]

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, after temperature scaling."""
        return self._run(inputs)[0]

    def _check_outputs(self, path: Path) -> None:
        """Check that the network gives what the metadata say; otherwise classes would be named wrongly."""
        size, classes = self.metadata.input.image_size, len(self.metadata.classes)
        expected = (2, classes, size, size) if self.metadata.task == "segmentation" else (2, classes)
        try:
            found = {output.shape for output in self._run(np.zeros((2, size, size, 3), dtype=np.uint8))}
        except Exception as error:  # a network of another shape may raise nearly anything
            raise S4miError(f"{path}: does not run ({_reason(error)}); export the run again") from error
        if found != {expected}:
            raise S4miError(f"{path}: gives {sorted(found)}, but its metadata say {expected}; export the run again")

    @torch.inference_mode()
    def _run(self, inputs: Pixels) -> tuple[NDArray[np.float32], ...]:
        return tuple(output.numpy() for output in self._network(torch.from_numpy(np.ascontiguousarray(inputs))))


def _read_metadata_text(path: Path) -> str | None:
    """The metadata in an archive, None if it has none. Checked first, as torch logs a page for files it cannot read.

    Raises:
        S4miError: it is not an archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith(f"/extra/{METADATA_FILE}")), None)
            return None if name is None else archive.read(name).decode("utf-8")
    except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise S4miError(
            f"{path}: not a valid torch.export archive ({_reason(error)}); copy it again, or re-create it with: "
            "s4mi export"
        ) from error


@contextmanager
def _without_log() -> Iterator[None]:
    """Silence the tracebacks that torch logs for files that it cannot read."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
