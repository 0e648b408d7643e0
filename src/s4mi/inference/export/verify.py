"""Does an exported file answer as the run does? Asked of real images of the run's data set, where these are there."""

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
from s4mi.inference.model_metadata import ExportedModel
from s4mi.maths.calibration import sigmoid, softmax
from s4mi.training.run_dir import RunDir

TOLERANCE = 1e-4
"""Probabilities that differ by no more are the same."""
IMAGES = 8
BATCHES = (1, 3, 4)
"""Images at once, so that a file which has learnt one number of them by heart is found out; together `IMAGES`."""


@dataclass(frozen=True)
class Inputs:
    """What is asked: (`IMAGES`, S, S, 3) before red-channel normalisation, and where it comes from, in words."""

    pixels: Pixels
    origin: str
    real: bool


@dataclass(frozen=True)
class Check:
    """How far a file's probabilities are from the run's, at most, and on what they were compared."""

    difference: float
    origin: str
    real: bool


def check_inputs(run: RunDir, spec: DatasetSpec, preprocessing: Preprocessing) -> Inputs:
    """Images of the test part, or of all where there is none; random pixels where the data set is gone."""
    size = preprocessing.image_size
    plain = Preprocessing(size, resize_through=preprocessing.resize_through, tile=preprocessing.tile)
    paths, words = _files(run)
    found: list[Pixels] = []
    for path in paths:
        try:
            inputs = plain.images(read_image(path, spec.rule))
        except S4miError:
            continue
        found.append(inputs[len(inputs) // 2])  # of a page its middle
        if len(found) == IMAGES:
            break
    if not found:
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
        return Inputs(noise, "random pixels, as no image of its data set could be read", real=False)
    number = f"{len(found)} image{'' if len(found) == 1 else 's'}"
    cycled = [found[i % len(found)] for i in range(IMAGES)]
    return Inputs(np.stack(cycled), f"{number} of {words}", real=True)


def check_exported(
    model: ExportedModel, inputs: Inputs, expected: tuple[NDArray[np.float32], NDArray[np.float32]], *, name: Path
) -> Check:
    """Hold both outputs of a file against the run's probabilities, at its temperature and without.

    Raises:
        S4miError: they differ by more than `TOLERANCE`.
    """
    to_probabilities = sigmoid if model.facts.task == "multilabel" else softmax
    start, worst = 0, 0.0
    for count in BATCHES:
        batch = slice(start, start + count)
        start += count
        tempered = model.probabilities(inputs.pixels[batch])
        raw = to_probabilities(model.logits(inputs.pixels[batch]))
        for given, wanted in ((tempered, expected[0][batch]), (raw, expected[1][batch])):
            if given.shape != wanted.shape:
                raise S4miError(f"{name}: answers {given.shape} where the run answers {wanted.shape}; nothing was kept")
            worst = max(worst, float(np.abs(given - wanted).max()))
    if not worst <= TOLERANCE:
        raise S4miError(
            f"{name}: its probabilities differ from the run's by up to {worst:.1e} on {inputs.origin}, where "
            f"{TOLERANCE:.0e} is allowed, so it was not kept; try the other format (.onnx, .pt2)"
        )
    return Check(worst, inputs.origin, inputs.real)


def _files(run: RunDir) -> tuple[list[Path], str]:
    """Image files to try, evenly over the test part, and what they are of in words."""
    try:
        manifest = load_manifest(run.config().data.path)
    except S4miError:
        return [], ""
    rows, words = list(range(len(manifest.rows))), "its data set"
    test = _test_rows(run, manifest)
    if test:
        rows, words = test, "its test part"
    order = np.argsort(np.arange(len(rows)) * ((np.sqrt(5) - 1) / 2) % 1, kind="stable")
    return [manifest.rows[rows[place]].image for place in order], words


def _test_rows(run: RunDir, manifest: Manifest) -> list[int]:
    """None where the data set has changed since."""
    try:
        return list(read_parts(run.split_path, manifest)["test"])
    except S4miError:
        return []
