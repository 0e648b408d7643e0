"""Features of a run's training images, so that a prediction can say when new images are far from them.

<run>/training_features.npz
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.records.atomic import write_bytes_atomically

TRAINING_FEATURES_NAME = "training_features.npz"


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """Projected features of training images.

    Attributes:
        features: (N, W) of length 1; N is 0 for a method without features, or too few images.
        reach: distance beyond which an image is unlike those of training.
    """

    features: NDArray[np.float32]
    reach: float


def write_training_features(training: TrainingFeatures, run: Path) -> None:
    """Write the features into the folder of a run, in half precision."""
    content = io.BytesIO()
    np.savez_compressed(content, features=training.features.astype(np.float16), reach=np.float32(training.reach))
    write_bytes_atomically(run / TRAINING_FEATURES_NAME, content.getvalue())


def read_training_features(run: Path) -> TrainingFeatures | None:
    """Read the features of a run; None for a run of a version that did not keep them.

    Raises:
        S4miError: the file is damaged.
    """
    path = run / TRAINING_FEATURES_NAME
    try:
        with np.load(path, allow_pickle=False) as arrays:
            features, reach = arrays["features"].astype(np.float32), float(arrays["reach"])
        if features.ndim != 2:
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise S4miError(f"{path}: not valid features of training images; remove it to predict without them") from error
    return TrainingFeatures(features, reach)
