"""An ONNX file that `s4mi export` wrote, as a `Model` that answers through ONNX Runtime. No torch in here."""

from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError, require_extra
from s4mi.inference.model_metadata import IMAGES, KEY, LOGITS, PROBABILITIES, read_metadata

PROVIDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CUDAExecutionProvider", {"use_tf32": 0}),  # which would be right to three digits only
    ("CPUExecutionProvider", {}),
)

DAMAGED = ("InvalidProtobuf", "InvalidArgument", "NoSuchFile", "NoModel")
"""What the runtime raises of a file that holds no network; of one that it cannot run, it is something else."""


@final
class OnnxModel:
    """A network in a file, with all that its facts say."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Open the file.

        Args:
            threads: of the processor; None: as many as ONNX Runtime thinks right, one a core.

        Raises:
            S4miError: ONNX Runtime is not installed or cannot run the file, or it was not written by s4mi export.
        """
        runtime: Any = require_extra("onnxruntime", extra="onnx", purpose=f"{path}: running an ONNX file")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        there = runtime.get_available_providers()
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=[one for one in PROVIDERS if one[0] in there]
            )
        except Exception as error:  # the runtime has an exception for every kind of damage, all by itself
            damaged = type(error).__name__ in DAMAGED
            what = (
                "is no ONNX file, or a damaged one"
                if damaged
                else f"is no network that ONNX Runtime {runtime.__version__} runs"
            )
            raise S4miError(f"{path}: {what}; copy it again, or write it anew with: s4mi export") from error
        self.facts = read_metadata(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        self.about = self.facts.about(path)
        self.calibration = self.facts.calibration

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, before the temperature."""
        return self._run(LOGITS, inputs)

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, as other software sees them: at the temperature of the run."""
        return self._run(PROBABILITIES, inputs)

    def _run(self, output: str, inputs: Pixels) -> NDArray[np.float32]:
        given: NDArray[np.float32] = self._session.run([output], {IMAGES: np.ascontiguousarray(inputs)})[0]
        return given
