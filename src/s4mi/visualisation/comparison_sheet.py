"""Comparison sheet of segmentation runs: rows of images; columns of image, ground truth and the overlay of each run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import rows_in_part
from s4mi.inference.overlays.masks import (
    CORRECT,
    FALSE_POSITIVE,
    MISSED,
    WHITE,
    Colour,
    class_colour,
    class_overlay,
    comparison_overlay,
)
from s4mi.inference.overlays.saliency import SYNTHETIC_NOTE, ComparisonSheet, OverlayBlock
from s4mi.inference.run_model import RunModel
from s4mi.inference.saliency_maps import run_names
from s4mi.maths.segmentation_metrics import SegmentationTally
from s4mi.records import IGNORE, Part, RunRecord, read_record, write_bytes_atomically
from s4mi.training.run_dir import RunDir

IMAGES = 6
MAX_MASKS = 64
"""Masks read to select images by the size of their objects; a part may have thousands."""


@dataclass(frozen=True)
class _SheetImage:
    """An image of the sheet, with its (H, W) true class indices and its share of foreground."""

    row: Row
    truth: Pixels
    share: float


def write_comparison(
    runs: Sequence[Path],
    out: Path,
    *,
    data: Path | None = None,
    part: Part = "test",
    images: int = IMAGES,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Write a `comparison_sheet` to the PNG file `out`.

    Args:
        data: folder of the data set; None for that of the first run.

    Raises:
        S4miError: as `comparison_sheet`, or `out` does not end in .png.
    """
    if out.suffix.lower() != ".png":
        raise S4miError(f"{out}: a comparison sheet is a PNG file; end it in .png")
    manifest = load_manifest(data if data is not None else RunDir(runs[0]).config().data.path)
    png = comparison_sheet(runs, manifest, part=part, images=images, progress=progress)
    write_bytes_atomically(out, png)
    return out


def comparison_sheet(
    runs: Sequence[Path],
    manifest: Manifest,
    *,
    part: Part,
    images: int,
    only: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> bytes:
    """Draw a PNG that compares the predictions of runs on some images of this part of their own splits.

    The images have a mask, are in this part of every run, and are spread evenly over the share of foreground, smallest
    first. Below a prediction is its IoU on that image: the mean over the foreground classes in its ground truth or in
    the prediction.

    Args:
        images: maximum number of images.
        only: ids of the images to show, in the order of the rows; empty to select them.
        progress: called with the number of finished predictions and their total.

    Raises:
        S4miError: a run is unfinished or not of segmentation, the classes of runs or data set differ, no image of the
            part has a mask, or a file cannot be read.
    """
    records = _records(runs)
    _check_classes(runs, records, manifest)
    shown = _select_images(manifest, [RunDir(run) for run in runs], part, images, only)
    predictions: list[list[Pixels]] = []
    for number, run in enumerate(runs):
        model = RunModel(run)  # one network in memory at a time
        predictions.append([])
        for image in shown:
            predictions[-1].append(model.mask(image.row.image))
            progress(number * len(shown) + len(predictions[-1]), len(runs) * len(shown))
    return _draw(manifest, _titles(runs, records), shown, predictions)


def _records(runs: Sequence[Path]) -> list[RunRecord]:
    records = []
    for run in runs:
        RunDir(run).config()  # raises if this is not a run
        record = read_record(run)
        if record.task != "segmentation":
            raise S4miError(f"{run}: a {record.task} run predicts no masks; use segmentation runs")
        records.append(record)
    return records


def _check_classes(runs: Sequence[Path], records: Sequence[RunRecord], manifest: Manifest) -> None:
    first = records[0].classes
    for run, record in zip(runs, records, strict=True):
        if record.classes != first:
            raise S4miError(
                f"{run}: has the classes {', '.join(record.classes)}, but {runs[0]} has {', '.join(first)}; "
                "compare runs of the same classes"
            )
    if list(manifest.spec.mask_classes) != first:
        raise S4miError(
            f"{manifest.folder}: has the mask classes {', '.join(manifest.spec.mask_classes) or 'none'}, but {runs[0]} "
            f"has {', '.join(first)}; use the data set that the runs were trained on"
        )


def _select_images(
    manifest: Manifest, runs: Sequence[RunDir], part: Part, images: int, only: Sequence[str]
) -> list[_SheetImage]:
    """Images of the part, from the smallest foreground to the largest; or `only` these."""
    indices = rows_in_part(manifest, runs, part, hint="use the data set that the runs were trained on")
    rows = [manifest.rows[index] for index in indices if manifest.rows[index].mask is not None]
    if only:
        by_id = {row.id: row for row in rows}
        rows = [by_id[image] for image in only if image in by_id]
        truths = [(row, read_truth(row, manifest)) for row in rows[:images]]
        return [_SheetImage(row, truth, foreground_share(truth)) for row, truth in truths]
    if not rows:
        raise S4miError(f"{manifest.folder}: no image of the {part} part has a mask; choose another part with --split")
    candidates = [rows[i] for i in _evenly(len(rows), max(images, MAX_MASKS))]
    with ThreadPoolExecutor() as pool:
        shares = list(pool.map(lambda row: foreground_share(read_truth(row, manifest)), candidates))
    by_share = sorted(zip(shares, candidates, strict=True), key=lambda pair: (pair[0], pair[1].id))
    selected = [by_share[i] for i in _evenly(len(by_share), images)]
    return [_SheetImage(row, read_truth(row, manifest), share) for share, row in selected]


def _evenly(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` positions, evenly spaced."""
    limit = min(count, limit)
    return [(2 * i + 1) * count // (2 * limit) for i in range(limit)]


def read_truth(row: Row, manifest: Manifest) -> Pixels:
    """Read the mask of an image that has one as (H, W) class indices.

    Raises:
        S4miError: it cannot be read; with file and line.
    """
    assert row.mask is not None
    try:
        return read_mask(row.mask, manifest.spec.mask_values)
    except S4miError as error:
        raise S4miError(f"{manifest.folder / MANIFEST_NAME}:{row.line}: mask {row.mask.name!r} {error}") from error


def _titles(runs: Sequence[Path], records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Technique; label amount and network, or the folder name instead of the network for runs equal in all three."""
    names = run_names(runs)
    titles = [
        (
            record.technique or record.method,
            f"{record.labels_asked or f'{record.label_fraction:g} %'} · {record.backbone}",
        )
        for record in records
    ]
    return [
        title if titles.count(title) == 1 else (title[0], f"{title[1].split(' · ')[0]} · {name}")
        for title, name in zip(titles, names, strict=True)
    ]


def _draw(
    manifest: Manifest,
    titles: Sequence[tuple[str, str]],
    shown: Sequence[_SheetImage],
    predictions: Sequence[Sequence[Pixels]],
) -> bytes:
    """Draw the sheet; `predictions` are by run and image."""
    sheet = ComparisonSheet(
        [("ground truth", ""), *titles],
        [""],
        legend=mask_legend(manifest.spec.mask_classes),
        note=SYNTHETIC_NOTE if manifest.spec.synthetic else "",
        outline=WHITE,
        outlined_image=False,
    )
    for index, image in enumerate(shown):
        pixels = read_image(image.row.image, manifest.spec.rule)
        truth = image.truth
        if truth.shape != pixels.shape[:2]:
            raise S4miError(
                f"{manifest.folder / MANIFEST_NAME}:{image.row.line}: mask is {truth.shape[0]}×{truth.shape[1]} "
                f"but its image is {pixels.shape[0]}×{pixels.shape[1]}; re-export the mask at the image's size"
            )
        blocks = [OverlayBlock(f"foreground {100 * image.share:.1f} %", (class_overlay(pixels, truth),), ("",))]
        for run_predictions in predictions:
            predicted = run_predictions[index]
            picture = comparison_overlay(pixels, truth, predicted, outlined=False)
            blocks.append(OverlayBlock(_iou(predicted, truth, manifest.spec.mask_classes), (picture,), ("",)))
        edges = np.where(truth == IGNORE, 0, truth).astype(np.uint8)
        sheet.add(image.row.id, "", pixels, blocks, edges)
    return sheet.png()


def _iou(predicted: Pixels, truth: Pixels, classes: Sequence[str]) -> str:
    """Caption of a prediction; the IoU is undefined if ground truth and prediction are both empty."""
    tally = SegmentationTally(classes, distances=False)
    tally.add(predicted, truth)
    known = [value for value in tally.per_image()[0].iou.values() if value is not None]
    return f"IoU {sum(known) / len(known):.3f}" if known else "IoU –"


def mask_legend(classes: Sequence[str]) -> list[tuple[Colour, str]]:
    """Legend of the class colours of the ground truth, followed by the colours of the predictions."""
    truth = [(class_colour(index)[1], f"ground truth: {name}") for index, name in enumerate(classes) if index]
    wrong = "false positive" + (" or wrong class" if len(truth) > 1 else "")
    return [
        *truth,
        (CORRECT, "correct"),
        (MISSED, "missed"),
        (FALSE_POSITIVE, wrong),
        (WHITE, "outline of the ground truth"),
    ]
