"""Comparison sheet of classification runs: rows of test images; columns with the saliency map of each run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import DatasetImage, dataset_images, select_evenly
from s4mi.inference.overlays.saliency import ComparisonSheet, OverlayBlock, overlay
from s4mi.inference.saliency_maps import TITLES, TRUTH, Explainer, MapName, run_names
from s4mi.inference.saliency_scores import SMALL, alike
from s4mi.training.run_dir import RunDir


def saliency_sheet(
    runs: Sequence[Path], manifest: Manifest, titles: Sequence[tuple[str, str]], *, images: int
) -> bytes:
    """Draw a PNG with Grad-CAM of each run for the true class, or the input gradient where a network has no Grad-CAM.

    Maps that are too coarse are not drawn, and those that are alike on all images are called so.

    Args:
        titles: two title lines of each run's column.
        images: maximum number of images, balanced over the classes, from the test part of every run.

    Raises:
        S4miError: a run is not a classifier or has no weights, or no image of the part has a label or can be read.
    """
    labelled = [image for image in dataset_images(manifest, [RunDir(run) for run in runs], "test") if image.labels]
    shown = [labelled[i] for i in select_evenly([image.labels for image in labelled], images)]
    if not shown:
        raise S4miError("no test image has a label")
    columns = []
    for run, name in zip(runs, run_names(runs), strict=True):
        columns.append(_column(run, name, shown, manifest.spec.rule))  # one network in memory at a time
    synthetic = "Synthetic images. " if manifest.spec.synthetic else ""
    sheet = ComparisonSheet(titles, [""], note=f"{synthetic}Yellow: strong influence on the predicted probability.")
    for index, image in enumerate(shown):
        pixels = read_image(image.path, manifest.spec.rule)
        truth = f"truth: {', '.join(image.labels or ())}"
        sheet.add(image.name, truth, pixels, [blocks[index] for blocks in columns], None)
    return sheet.png()


def _column(run: Path, name: str, shown: Sequence[DatasetImage], rule: Intensity) -> list[OverlayBlock]:
    """The saliency map of a run for each image; the image alone for a run without a network."""
    if not RunDir(run).config().method.differentiable:
        return [OverlayBlock("", (read_image(image.path, rule),), ("no network, no map",)) for image in shown]
    kind: MapName = "grad_cam"
    try:
        explainer = Explainer(run, name=name, methods=[kind], sanity=False, seed=0)
    except S4miError:  # no layer of this network has a feature map; any other error is raised again
        kind = "input_gradient"
        explainer = Explainer(run, name=name, methods=[kind], sanity=False, seed=0)
    blocks = []
    coarse = explainer.coarse(kind)
    maps: list[NDArray[np.float32]] = []
    for image in shown:
        pixels = read_image(image.path, explainer.intensity)
        explanation = explainer.explain(pixels, TRUTH, image.labels or ())
        saliency = explanation.maps[kind]
        caption = f"{explanation.label}  p = {explanation.probability:.2f}"
        map_caption = f"{TITLES[kind]}{'' if saliency.any() else ': 0 everywhere'}"
        maps.append(cv2.resize(saliency, SMALL, interpolation=cv2.INTER_AREA))
        drawn, told = (pixels, f"{TITLES[kind]}: too coarse") if coarse else (overlay(pixels, saliency), map_caption)
        blocks.append(OverlayBlock(caption, (drawn,), (told,)))
    if not coarse and alike(maps):
        return [replace(block, captions=(f"{TITLES[kind]}: alike on all",)) for block in blocks]
    return blocks
