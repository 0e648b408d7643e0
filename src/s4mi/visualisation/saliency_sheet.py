"""One sheet of classification: rows of test images; of each run beside it the map of where it looks."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.images import read_image
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import DatasetImage, dataset_images, spread
from s4mi.inference.overlays.saliency import RunOverlays, SaliencySheet, overlay
from s4mi.inference.saliency_maps import TITLES, TRUTH, Explainer, MapName, run_names
from s4mi.training.run_dir import RunDir


def saliency_sheet(
    runs: Sequence[Path], manifest: Manifest, titles: Sequence[tuple[str, str]], *, images: int
) -> bytes:
    """A PNG: Grad-CAM of each run for the class that the image shows, or the input gradient where a network has none.

    Args:
        titles: two lines over each run's column.
        images: at most so many, spread over the classes, from the test part of every run.

    Raises:
        S4miError: a run is no classifier or has no weights, or no image of the part has a label or can be read.
    """
    found = [one for one in dataset_images(manifest, [RunDir(run) for run in runs], "test") if one.labels]
    shown = [found[i] for i in spread([one.labels for one in found], images)]
    if not shown:
        raise S4miError("no test image has a label")
    columns = []
    for run, name in zip(runs, run_names(runs), strict=True):
        columns.append(_column(run, name, shown))  # one network at a time
    drawn = "Drawn, not photographed. " if manifest.spec.synthetic else ""
    sheet = SaliencySheet(titles, [""], note=f"{drawn}Yellow: the probability depends on it.")
    for n, one in enumerate(shown):
        pixels = read_image(one.path, manifest.spec.rule)
        sheet.add(one.name, f"truth: {', '.join(one.labels or ())}", pixels, [blocks[n] for blocks in columns], None)
    return sheet.png()


def _column(run: Path, name: str, shown: Sequence[DatasetImage]) -> list[RunOverlays]:
    """The map of a run for each image."""
    kind: MapName = "grad_cam"
    try:
        explainer = Explainer(run, name=name, methods=[kind], sanity=False, seed=0)
    except S4miError:  # no layer of this network keeps places; what else is wrong is said again
        kind = "input_gradient"
        explainer = Explainer(run, name=name, methods=[kind], sanity=False, seed=0)
    blocks = []
    for one in shown:
        pixels = read_image(one.path, explainer.intensity)
        given = explainer.explain(pixels, TRUTH, one.labels or ())
        caption = f"{given.label}  p = {given.probability:.2f}"
        kept = f"{TITLES[kind]}{'' if given.maps[kind].any() else ': 0 everywhere'}"
        blocks.append(RunOverlays(caption, (overlay(pixels, given.maps[kind]),), (kept,)))
    return blocks
