"""Contact sheets of test images: best and worst cases of a run, and images on which runs disagree."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.manifest import Manifest
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import class_overlay, comparison_overlay
from s4mi.inference.overlays.saliency import SYNTHETIC_NOTE
from s4mi.inference.run_model import RunModel
from s4mi.reporting.results.hard_cases import Case, HardCases
from s4mi.visualisation.comparison_sheet import mask_legend, read_truth
from s4mi.visualisation.contact_sheet import Card, Group, contact_sheet


def classification_case_sheet(cases: HardCases, manifest: Manifest) -> bytes:
    """Draw a PNG of images with true and predicted class: the most confident errors and correct predictions.

    Raises:
        S4miError: an image is not in the data set or cannot be read.
    """
    rows = {row.id: row for row in manifest.rows}

    def card(case: Case) -> Card:
        return Card((_pixels(rows, case.image, manifest),), (case.image, *case.lines))

    groups = [
        Group(
            f"Most confident of {cases.wrong} errors on {cases.images} images",
            tuple(map(card, _left(cases.worst, manifest))),
        ),
        Group("Most confident correct predictions", tuple(map(card, _left(cases.best, manifest)))),
    ]
    return contact_sheet(groups, columns=3, notes=_notes(manifest))


def segmentation_case_sheet(cases: HardCases, manifest: Manifest, run: Path) -> bytes:
    """Draw a PNG of images with true mask and comparison overlay of a segmentation run, worst images first.

    Raises:
        S4miError: the run has no weights, or an image or a mask is not in the data set or cannot be read.
    """
    rows, model = {row.id: row for row in manifest.rows}, RunModel(run)

    def card(case: Case) -> Card:
        pixels = _pixels(rows, case.image, manifest)
        row = rows[case.image]
        truth = read_truth(row, manifest)
        if truth.shape != pixels.shape[:2]:
            raise S4miError(
                f"{manifest.folder / MANIFEST_NAME}:{row.line}: mask is {truth.shape[0]}×{truth.shape[1]} but its "
                f"image is {pixels.shape[0]}×{pixels.shape[1]}; re-export the mask at the image's size"
            )
        # An outline would hide small objects.
        comparison = comparison_overlay(pixels, truth, model.mask(row.image), outlined=False)
        return Card((pixels, class_overlay(pixels, truth), comparison), (f"{case.image}  IoU {case.score:.3f}",))

    columns = "image, ground truth, prediction"
    groups = [
        Group(f"Lowest IoU of {cases.images} images: {columns}", tuple(map(card, _left(cases.worst, manifest)))),
        Group(f"Highest IoU: {columns}", tuple(map(card, _left(cases.best, manifest)))),
    ]
    return contact_sheet(groups, columns=1, legend=mask_legend(manifest.spec.mask_classes)[:-1], notes=_notes(manifest))


def disputed_sheet(lines: Mapping[str, Sequence[str]], run_labels: Sequence[str], manifest: Manifest) -> bytes:
    """Draw a PNG of the images on which runs disagree.

    Args:
        lines: by image id, a line on the ground truth and one on the prediction of each run.
        run_labels: lines below the sheet that identify the runs.

    Raises:
        S4miError: an image is not in the data set or cannot be read.
    """
    rows = {row.id: row for row in manifest.rows}
    left = {image: text for image, text in lines.items() if image in rows or not manifest.erased}
    cards = tuple(Card((_pixels(rows, image, manifest),), (image, *text)) for image, text in left.items())
    return contact_sheet([Group("Largest disagreement", cards)], columns=3, notes=(*run_labels, *_notes(manifest)))


def _left(cases: Sequence[Case], manifest: Manifest) -> list[Case]:
    """Leave out the cases whose images were erased after the run was scored."""
    known = {row.id for row in manifest.rows}
    return [case for case in cases if case.image in known or not manifest.erased]


def _pixels(rows: Mapping[str, Row], image: str, manifest: Manifest) -> Pixels:
    if image not in rows:
        raise S4miError(
            f"{manifest.folder / MANIFEST_NAME}: image {image!r} is no longer in it; train the run again, or use "
            "--no-sheets"
        )
    return read_image(rows[image].image, manifest.spec.rule)


def _notes(manifest: Manifest) -> tuple[str, ...]:
    return (SYNTHETIC_NOTE,) if manifest.spec.synthetic else ()
