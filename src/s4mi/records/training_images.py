"""What the training images of a run look like, so that a prediction can say when new images differ from them.

<run>/training_images.json
"""

from pathlib import Path

from pydantic import Field, ValidationError

from s4mi.errors import S4miError
from s4mi.records.atomic import write_text_atomically
from s4mi.records.scores import Frozen

TRAINING_IMAGES_NAME = "training_images.json"
MIN_IMAGES = 10
"""Images from which others can be told apart."""
SIZE_FACTOR = 2.0
"""An image differs in size if a side is this many times larger or smaller than in training."""

Range = tuple[float, float]


class TrainingImages(Frozen):
    """Sizes of the training images of a run, and their appearance in a few statistics."""

    images: int = Field(description="number of images whose appearance is described")
    height: Range = Field(description="least and largest height in pixels, of the files")
    width: Range = Field(description="least and largest width in pixels, of the files")
    statistics: tuple[str, ...] = Field(description="names of the statistics of network inputs")
    mean: tuple[float, ...] = Field(description="their means")
    covariance: tuple[tuple[float, ...], ...] = Field(description="their shrunk covariance")
    reach: float = Field(description="Mahalanobis distance beyond which an image is unlike those of training")

    def sizes_unlike(self, size: tuple[int, int]) -> dict[str, tuple[float, Range]]:
        """Return the sides of an image of (height, width) that differ, each with its value and those of training."""
        sides = (("height", size[0], self.height), ("width", size[1], self.width))
        return {
            name: (float(side), (low, high))
            for name, side, (low, high) in sides
            if self.images >= MIN_IMAGES and not low / SIZE_FACTOR <= side <= high * SIZE_FACTOR
        }


def write_training_images(images: TrainingImages, run: Path) -> None:
    """Write the description into the folder of a run."""
    write_text_atomically(run / TRAINING_IMAGES_NAME, images.model_dump_json(indent=2) + "\n")


def read_training_images(run: Path) -> TrainingImages | None:
    """Read the description of a run; None for a run of a version that did not write them.

    Raises:
        S4miError: the file is damaged.
    """
    path = run / TRAINING_IMAGES_NAME
    try:
        return TrainingImages.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise S4miError(
            f"{path}: not a valid description of training images; remove it to predict without them"
        ) from error
