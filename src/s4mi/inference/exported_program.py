"""A torch.export archive that `s4mi export` wrote, as a `Model`; it needs torch, and none of the code that trains."""

import zipfile
import zlib
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError
from s4mi.inference.model_metadata import KEY, read_metadata

FACTS = f"{KEY}.json"


@final
class ProgramModel:
    """A network in a file, with all that its facts say."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            S4miError: torch cannot read the file, or it was not written by s4mi export.
        """
        self.facts = read_metadata(_read(path), path)
        try:
            self._network = torch.export.load(path).module()
        except Exception as error:  # what a damaged archive, or one of another torch, raises is nearly anything
            raise S4miError(f"{path}: cannot be read by torch {torch.__version__} ({_reason(error)})") from error
        self.about = self.facts.about(path)
        self.calibration = self.facts.calibration

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, before the temperature."""
        return self._run(inputs)[1]

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, at the temperature of the run."""
        return self._run(inputs)[0]

    @torch.inference_mode()
    def _run(self, inputs: Pixels) -> tuple[NDArray[np.float32], ...]:
        return tuple(given.numpy() for given in self._network(torch.from_numpy(np.ascontiguousarray(inputs))))


def _read(path: Path) -> str | None:
    """The facts in an archive, or None where there are none; of a file that is none torch would print a page.

    Raises:
        S4miError: it is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith(f"/extra/{FACTS}")), None)
            return None if name is None else archive.read(name).decode("utf-8")
    except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error) as error:
        raise S4miError(
            f"{path}: is no torch.export archive ({_reason(error)}); copy it again, or write it anew with: s4mi export"
        ) from error


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
