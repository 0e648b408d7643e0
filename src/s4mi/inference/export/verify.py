"""Verify that an exported file predicts what its run predicts, on real images of the run's data set if available."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.inference.model_metadata import ExportedModel
from s4mi.maths.calibration import sigmoid, softmax
from s4mi.training.run_dir import RunDir

TOLERANCE = 1e-4
"""Largest accepted difference of probabilities."""
TREES_APART = 1e-3
"""Accepted share of pixels that differ by more in a forest: its probabilities jump where a feature, which rounding
changes in its last digits, is at a threshold. Measured on PH² at 64 pixels: 0.0003, and no other decision."""
IMAGES = 8
BATCHES = (1, 3, 4)
"""Different batch sizes, to detect a file with a hard-coded one; they sum to `IMAGES`."""


@dataclass(frozen=True)
class VerificationInputs:
    """Images to compare predictions on.

    Attributes:
        pixels: (`IMAGES`, S, S, 3) before red-channel normalisation.
        origin: where they come from, in words.
        real: whether they are images rather than noise.
    """

    pixels: Pixels
    origin: str
    real: bool


@dataclass(frozen=True)
class Verification:
    """Largest difference between the probabilities of a file and its run, and the images they were compared on.

    Attributes:
        apart: share of the pixels that differ by more than `TOLERANCE`, which `difference` leaves out.
    """

    difference: float
    origin: str
    real: bool
    apart: float = 0.0

    @property
    def text(self) -> str:
        """How well the probabilities agree, such as `1e-07`."""
        rest = f" in all but {100 * self.apart:.2g} % of pixels, where trees split otherwise" if self.apart else ""
        return f"{max(self.difference, 1e-7):.0e}{rest}"


def verification_inputs(run: RunDir, spec: DatasetSpec, preprocessing: Preprocessing) -> VerificationInputs:
    """Read images of the test part, or of any part if it is empty; random pixels if the data set is not available."""
    size = preprocessing.image_size
    plain = Preprocessing(size, resize_through=preprocessing.resize_through, tile=preprocessing.tile)
    paths, source = _candidate_files(run)
    images: list[Pixels] = []
    for path in paths:
        try:
            tiles = plain.images(read_image(path, spec.rule))
        except S4miError:
            continue
        images.append(tiles[len(tiles) // 2])  # the central tile of an image in tiles
        if len(images) == IMAGES:
            break
    if not images:
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
        return VerificationInputs(noise, "random pixels, as no image of its data set could be read", real=False)
    cycled = [images[i % len(images)] for i in range(IMAGES)]
    return VerificationInputs(np.stack(cycled), f"{plural(len(images), 'image')} of {source}", real=True)


def verify_export(
    model: ExportedModel,
    inputs: VerificationInputs,
    expected: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    name: Path,
    apart: float = 0.0,
) -> Verification:
    """Compare both outputs of a file with the run's probabilities, with and without temperature scaling.

    Args:
        apart: share of the images or pixels that may differ by more than `TOLERANCE`.

    Raises:
        S4miError: they differ by more than `TOLERANCE`, in a larger share.
    """
    to_probabilities = sigmoid if model.metadata.task == "multilabel" else softmax
    start, differences = 0, list[NDArray[np.float32]]()
    for count in BATCHES:
        batch = slice(start, start + count)
        start += count
        calibrated = model.probabilities(inputs.pixels[batch])
        uncalibrated = to_probabilities(model.logits(inputs.pixels[batch]))
        for actual, target in ((calibrated, expected[0][batch]), (uncalibrated, expected[1][batch])):
            if actual.shape != target.shape:
                raise S4miError(
                    f"{name}: its output shape {actual.shape} is not the run's {target.shape}, so it was not kept; "
                    "try the other format (.onnx, .pt2)"
                )
            differences.append(np.abs(actual - target).max(axis=1).ravel())
    difference = np.concatenate(differences)
    agree = difference <= TOLERANCE
    share = float(1 - agree.mean())
    if share > apart or not np.isfinite(difference).all():
        raise S4miError(
            f"{name}: its probabilities differ from the run's by up to {difference.max():.1e} on {inputs.origin} "
            f"(allowed: {TOLERANCE:.0e}), so it was not kept; try the other format (.onnx, .pt2)"
        )
    return Verification(float(difference[agree].max(initial=0)), inputs.origin, inputs.real, share)


def _candidate_files(run: RunDir) -> tuple[list[Path], str]:
    """Image files to try, spread evenly over the test part, and a description of their source."""
    try:
        manifest = load_manifest(run.config().data.path)
    except S4miError:
        return [], ""
    rows, source = list(range(len(manifest.rows))), "its data set"
    test = _test_rows(run, manifest)
    if test:
        rows, source = test, "its test part"
    order = np.argsort(np.arange(len(rows)) * ((np.sqrt(5) - 1) / 2) % 1, kind="stable")
    return [manifest.rows[rows[position]].image for position in order], source


def _test_rows(run: RunDir, manifest: Manifest) -> list[int]:
    """Rows of the test part; empty if the data set has changed since training."""
    try:
        return list(read_parts(run.split_path, manifest)["test"])
    except S4miError:
        return []
