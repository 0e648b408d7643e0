"""Contact sheets of test images: those that a run gets most wrong and most right, and those that runs dispute."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.manifest import MANIFEST_NAME, Manifest, Row
from s4mi.errors import S4miError
from s4mi.inference.overlays.masks import compared, tinted
from s4mi.inference.overlays.saliency import DRAWN
from s4mi.inference.run_model import RunModel
from s4mi.report.results.hard_cases import Case, HardCases
from s4mi.visualisation.comparison_sheet import mask_legend, read_truth_of
from s4mi.visualisation.contact_sheet import Card, Group, contact_sheet


def prediction_sheet(cases: HardCases, manifest: Manifest) -> bytes:
    """A PNG of images with truth and answer of a classifier: its surest mistakes, and its surest right answers.

    Raises:
        S4miError: an image is not in the data set or cannot be read.
    """
    rows = {row.id: row for row in manifest.rows}

    def card(case: Case) -> Card:
        return Card((_pixels(rows, case.image, manifest),), (case.image, *case.lines))

    groups = [
        Group(f"Surest of {cases.wrong} mistakes in {cases.images} images", tuple(map(card, cases.worst))),
        Group("Surest right answers", tuple(map(card, cases.best))),
    ]
    return contact_sheet(groups, columns=3, notes=_notes(manifest))


def outlined_sheet(cases: HardCases, manifest: Manifest, run: Path) -> bytes:
    """A PNG of the image, its truth and what a segmentation run makes of it, worst images first.

    Raises:
        S4miError: the run has no weights, or an image or a mask is not in the data set or cannot be read.
    """
    rows, predictor = {row.id: row for row in manifest.rows}, RunModel(run)

    def card(case: Case) -> Card:
        pixels = _pixels(rows, case.image, manifest)
        row = rows[case.image]
        truth = read_truth_of(row, manifest)
        if truth.shape != pixels.shape[:2]:
            raise S4miError(
                f"{manifest.folder / MANIFEST_NAME}:{row.line}: mask is {truth.shape[0]}×{truth.shape[1]} but its "
                f"image is {pixels.shape[0]}×{pixels.shape[1]}; re-export the mask at the image's size"
            )
        found = compared(pixels, truth, predictor.mask(row.image), line=False)  # it would hide small objects
        return Card((pixels, tinted(pixels, truth), found), (f"{case.image}  IoU {case.score:.3f}",))

    columns = "image, truth, prediction"
    groups = [
        Group(f"Lowest IoU of {cases.images} test images: {columns}", tuple(map(card, cases.worst))),
        Group(f"Highest IoU: {columns}", tuple(map(card, cases.best))),
    ]
    return contact_sheet(groups, columns=1, legend=mask_legend(manifest.spec.mask_classes)[:-1], notes=_notes(manifest))


def disputed_sheet(lines: Mapping[str, Sequence[str]], names: Sequence[str], manifest: Manifest) -> bytes:
    """A PNG of images, by id, with lines on what each run answers; `names` are lines on which run is which.

    Raises:
        S4miError: an image is not in the data set or cannot be read.
    """
    rows = {row.id: row for row in manifest.rows}
    cards = tuple(Card((_pixels(rows, image, manifest),), (image, *own)) for image, own in lines.items())
    return contact_sheet([Group("Most disputed", cards)], columns=3, notes=(*names, *_notes(manifest)))


def _pixels(rows: Mapping[str, Row], image: str, manifest: Manifest) -> Pixels:
    if image not in rows:
        raise S4miError(f"{manifest.folder / MANIFEST_NAME}: has no image {image!r} any more; restore the data set")
    return read_image(rows[image].image, manifest.spec.rule)


def _notes(manifest: Manifest) -> tuple[str, ...]:
    return (DRAWN,) if manifest.spec.synthetic else ()
