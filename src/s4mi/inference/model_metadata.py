"""A model as a file: what stands in it beside the network, so that it can be used without the run. No torch in here."""

import hashlib
import json
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, ValidationError

from s4mi import __version__
from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError
from s4mi.inference.predictor import Model, ModelInfo
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration
from s4mi.records.scores import Frozen

FORMAT: Final = 1
KEY = "s4mi"
"""What the facts are called in the metadata of an ONNX file; in a torch.export archive they are the file s4mi.json."""
ONNX, PROGRAM = ".onnx", ".pt2"
ENDINGS = (ONNX, PROGRAM)
IMAGES, PROBABILITIES, LOGITS = "images", "probabilities", "logits"
"""What the input and the outputs of the graph are called."""
RESIZING = (
    "OpenCV, on uint8: cv2.INTER_AREA where both sides shrink, else cv2.INTER_LINEAR; to (resize_through, "
    "resize_through) first unless that is null, then to (image_size, image_size)"
)


class ImageInput(Frozen):
    """How an image file becomes (image_size, image_size, 3) uint8 RGB, which is done outside the graph."""

    image_size: int
    resize_through: int | None
    tile: int | None = Field(description="pages are cut into squares of so many pixels first; null: taken whole")
    resizing: str = RESIZING
    intensity: str = Field(description="how images of more than 8 bits become 0..255")
    channels: Literal["rgb", "grey"] = Field(description="of the images it learnt from; grey ones are repeated")


class SourceRun(Frozen):
    """The run whose model this is."""

    name: str = Field(description="of its folder")
    method: str
    technique: str
    backbone: str
    member: str = Field(
        validation_alias=AliasChoices("member", "reading"),
        description="ensemble member that validation selected, such as cnn; empty: there is one network",
    )
    dataset: str
    synthetic: bool
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str


class ModelMetadata(Frozen):
    """All that is known of an exported model, as JSON in its file.

    The graph takes `images`, (B, S, S, 3) uint8, and gives `probabilities` and `logits`, (B, K) or (B, K, S, S).
    """

    format: Literal[1] = FORMAT
    version: str = Field(__version__, description="of s4mi")
    task: TaskKind
    classes: tuple[str, ...]
    unnamed: bool = Field(False, description="the classes are clusters, which nobody has named")
    mask_values: dict[str, str] = Field(description="of the data set's masks: number or colour → class")
    input: ImageInput
    red_channel_normalisation: bool = Field(description="whether the graph does it; it also scales to 0..1 and more")
    calibration: Calibration | None = Field(
        description="probabilities are those of logits / temperature; thresholds are of several labels"
    )
    run: SourceRun

    @property
    def temperature(self) -> float:
        """That `probabilities` have and `logits` have not."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def about(self, path: Path) -> ModelInfo:
        """What an `Answerer` has to know of the model in the file `path`."""
        segments = self.task == "segmentation"
        spec = DatasetSpec(
            name=self.run.dataset,
            tasks=(self.task,),
            classes=() if segments else self.classes,
            mask_values={int(key) if key.isdecimal() else key: name for key, name in self.mask_values.items()},
            intensity=self.input.intensity,
            channels=self.input.channels,
            synthetic=self.run.synthetic,
        )
        given = self.input
        preprocessing = Preprocessing(given.image_size, resize_through=given.resize_through, tile=given.tile)
        return ModelInfo(
            name=str(path), kind=self.task, classes=self.classes, spec=spec, preprocessing=preprocessing,
            unnamed=self.unnamed, digest=_digest(path),
        )  # fmt: skip


class ExportedModel(Model, Protocol):
    """A `Model` out of a file."""

    @property
    def facts(self) -> ModelMetadata:
        """All that the file says of it."""

    def probabilities(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB → (B, K, ...) float32, as other software sees them: at the temperature of the run."""


def read_metadata(text: str | None, path: Path) -> ModelMetadata:
    """The facts in the file `path`, from their JSON.

    Raises:
        S4miError: there are none, as the file is of other software, they are of a newer format, or damaged.
    """
    if text is None:
        raise S4miError(
            f"{path}: was not written by s4mi export, so nothing says how an image becomes its input and what its "
            "answers mean; give a file that was"
        )
    try:
        contents = json.loads(text)
        number = contents.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise S4miError(
                f"{path}: is of format {number}, written by s4mi {contents.get('version')}, but this s4mi "
                f"({__version__}) knows formats up to {FORMAT}; install a newer one: pip install --upgrade s4mi"
            )
        return ModelMetadata.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise S4miError(f"{path}: {place or 'facts'}: {problem['msg']}; export the run again") from error
    except (json.JSONDecodeError, AttributeError) as error:
        raise S4miError(f"{path}: what s4mi wrote into it is damaged ({error}); export the run again") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]


def check_ending(path: Path) -> None:
    """Raise `S4miError` unless the ending of `path` is that of an exported model."""
    if path.suffix.lower() not in ENDINGS:
        raise S4miError(
            f"{path}: {path.suffix or 'no ending'} is no format of a model; end it in {ONNX} (ONNX) or {PROGRAM} "
            "(torch.export)"
        )
