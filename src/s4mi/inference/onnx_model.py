"""An ONNX file written by `s4mi export`, as a `Model` that runs in ONNX Runtime. Free of torch."""

import os
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError, require_extra
from s4mi.inference.model_metadata import IMAGES, KEY, LOGITS, PROBABILITIES, ModelMetadata, read_metadata

PROVIDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CUDAExecutionProvider", {"use_tf32": 0}),  # TF32 is accurate to three digits only
    ("CPUExecutionProvider", {}),
)

DAMAGED = ("InvalidProtobuf", "InvalidArgument", "NoSuchFile", "NoModel")
"""Exceptions of the runtime for a file without a valid network; it raises others for one that it does not support."""


@final
class OnnxModel:
    """An ONNX network with its metadata."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Open the file.

        Args:
            threads: CPU threads; None: ONNX Runtime's default, one per core.

        Raises:
            S4miError: ONNX Runtime is not installed or cannot run the file, or it was not written by s4mi export.
        """
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import: no store in the home folder, no look-up of a host
        runtime: Any = require_extra("onnxruntime", extra="onnx", purpose=f"{path}: running an ONNX file")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        available = runtime.get_available_providers()
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=[provider for provider in PROVIDERS if provider[0] in available]
            )
        except Exception as error:  # the runtime's exceptions share no base class
            damaged = type(error).__name__ in DAMAGED
            problem = "not a valid ONNX file" if damaged else f"not supported by ONNX Runtime {runtime.__version__}"
            raise S4miError(f"{path}: {problem}; copy it again, or re-create it with: s4mi export") from error
        self.metadata = read_metadata(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        _check_shapes(self._session, self.metadata, path)
        self.info = self.metadata.model_info(path)
        self.calibration = self.metadata.calibration

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, before temperature scaling."""
        return self._run(LOGITS, inputs)

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 → (B, K, ...) float32, after temperature scaling, as other software sees them."""
        return self._run(PROBABILITIES, inputs)

    def _run(self, output: str, inputs: Pixels) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run([output], {IMAGES: np.ascontiguousarray(inputs)})[0]
        return result


def _check_shapes(session: Any, metadata: ModelMetadata, path: Path) -> None:
    """Check that the graph takes and gives what the metadata say; otherwise classes would be named wrongly."""
    size, classes = metadata.input.image_size, len(metadata.classes)
    output = [classes, size, size] if metadata.task == "segmentation" else [classes]
    expected = {IMAGES: [size, size, 3], LOGITS: output, PROBABILITIES: output}
    found = {value.name: list(value.shape[1:]) for value in (*session.get_inputs(), *session.get_outputs())}
    for name, shape in expected.items():
        if found.get(name) != shape:
            raise S4miError(
                f"{path}: its graph has {name} of shape {found.get(name, 'none')}, but its metadata say {shape}; "
                "export the run again"
            )
