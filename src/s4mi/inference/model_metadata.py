"""Metadata of an exported model: all that is needed to use the file without its run. Free of torch."""

import hashlib
import json
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, ValidationError, model_validator

from s4mi import __version__
from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError
from s4mi.formatting import is_whole
from s4mi.inference.predictor import Model, ModelInfo
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration
from s4mi.records.plain import load_json
from s4mi.records.scores import Frozen

FORMAT: Final = 1
KEY = "s4mi"
"""Key of the metadata in an ONNX file; in a torch.export archive they are the file s4mi.json."""
ONNX, PROGRAM = ".onnx", ".pt2"
ENDINGS = (ONNX, PROGRAM)
IMAGES, PROBABILITIES, LOGITS = "images", "probabilities", "logits"
"""Names of the input and the outputs of the graph."""
RESIZING = (
    "OpenCV, on uint8: cv2.INTER_AREA where both sides shrink, else cv2.INTER_LINEAR; to (resize_through, "
    "resize_through) first unless that is null, then to (image_size, image_size)"
)


class ImageInput(Frozen):
    """Preprocessing outside the graph, from an image file to (image_size, image_size, 3) uint8 RGB."""

    image_size: int = Field(ge=1, le=16_384)
    resize_through: int | None = Field(ge=1, le=65_536)
    tile: int | None = Field(
        ge=1, le=65_536, description="side of the square tiles that images are cut into first; null: whole images"
    )
    resizing: str = RESIZING
    intensity: str = Field(description="rule that maps images of more than 8 bits to 0..255")
    channels: Literal["rgb", "grey"] = Field(
        description="channels of the training images; greyscale images are repeated"
    )


class SourceRun(Frozen):
    """The run that the model was exported from."""

    name: str = Field(description="name of the run folder")
    method: str
    technique: str
    backbone: str
    member: str = Field(
        validation_alias=AliasChoices("member", "reading"),
        description="ensemble member selected on validation, such as cnn; empty: a single network",
    )
    dataset: str
    synthetic: bool
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str


class ModelMetadata(Frozen):
    """Everything known about an exported model, stored as JSON in its file.

    The graph maps `images`, (B, S, S, 3) uint8, to `probabilities` and `logits`, (B, K) or (B, K, S, S).
    """

    format: Literal[1] = FORMAT
    version: str = Field(__version__, description="s4mi version")
    task: TaskKind
    classes: tuple[str, ...] = Field(min_length=1)
    unnamed: bool = Field(False, description="the classes are clusters without names")
    mask_values: dict[str, str] = Field(description="encoding of the data set's masks: number or colour → class")
    input: ImageInput
    red_channel_normalisation: bool = Field(
        description="whether the graph includes red-channel normalisation; scaling to 0..1 and normalisation always are"
    )
    calibration: Calibration | None = Field(
        description="temperature of the probabilities, logits / temperature, and thresholds of multi-label tasks"
    )
    run: SourceRun

    @model_validator(mode="after")
    def _consistent(self) -> "ModelMetadata":
        if len(set(self.classes)) < len(self.classes) or not all(map(str.isprintable, self.classes)):
            raise ValueError("classes: names must be distinct and printable")
        if self.calibration is not None and tuple(self.calibration.classes) != self.classes:
            raise ValueError("calibration: is of other classes")
        return self

    @property
    def temperature(self) -> float:
        """Temperature of `probabilities`; `logits` are before temperature scaling."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def model_info(self, path: Path) -> ModelInfo:
        """Description of the model in the file `path` for a `Predictor`."""
        segments = self.task == "segmentation"
        spec = DatasetSpec(
            name=self.run.dataset,
            tasks=(self.task,),
            classes=() if segments else self.classes,
            mask_values={int(key) if is_whole(key) else key: name for key, name in self.mask_values.items()},
            intensity=self.input.intensity,
            channels=self.input.channels,
            synthetic=self.run.synthetic,
        )
        preprocessing = Preprocessing(
            self.input.image_size, resize_through=self.input.resize_through, tile=self.input.tile
        )
        return ModelInfo(
            name=str(path), kind=self.task, classes=self.classes, spec=spec, preprocessing=preprocessing,
            unnamed=self.unnamed, digest=_digest(path),
        )  # fmt: skip


class ExportedModel(Model, Protocol):
    """A `Model` loaded from an exported file."""

    @property
    def metadata(self) -> ModelMetadata:
        """Metadata stored in the file."""

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB → (B, K, ...) float32, after temperature scaling, as other software sees them."""


def read_metadata(text: str | None, path: Path) -> ModelMetadata:
    """Parse the metadata of the file `path` from JSON.

    Raises:
        S4miError: there are none, as the file is of other software, they are of a newer format, or damaged.
    """
    if text is None:
        raise S4miError(
            f"{path}: no s4mi metadata, so its inputs and outputs are unknown; use a file written by s4mi export"
        )
    try:
        contents = load_json(text)
        number = contents.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise S4miError(
                f"{path}: has format {number} of s4mi {contents.get('version')}, but this s4mi ({__version__}) reads "
                f"formats up to {FORMAT}; upgrade it with: pip install --upgrade s4mi"
            )
        metadata = ModelMetadata.model_validate_json(text)
        metadata.model_info(path)
        return metadata
    except ValidationError as error:
        problem = error.errors()[0]
        location = ".".join(str(part) for part in problem["loc"])
        raise S4miError(f"{path}: {location or 'metadata'}: {problem['msg']}; export the run again") from error
    except (json.JSONDecodeError, AttributeError, ValueError) as error:
        raise S4miError(f"{path}: its s4mi metadata are damaged ({error}); export the run again") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]


def check_ending(path: Path) -> None:
    """Raise `S4miError` unless the suffix of `path` is that of an exported model."""
    if path.suffix.lower() not in ENDINGS:
        raise S4miError(
            f"{path}: {f'unknown model format {path.suffix}' if path.suffix else 'no file suffix'}; end it in {ONNX} "
            f"(ONNX) or {PROGRAM} (torch.export)"
        )
