"""One sheet of segmentation: rows of images; columns of the image, its truth, and what each run makes of it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.manifest import MANIFEST_NAME, Manifest, Row, load_manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import rows_in_part
from s4mi.inference.overlays.masks import HIT, MISSED, WHITE, WRONG, Colour, class_colour, compared, tinted
from s4mi.inference.overlays.saliency import DRAWN, RunOverlays, SaliencySheet
from s4mi.inference.run_model import RunModel
from s4mi.inference.saliency_maps import run_names
from s4mi.maths.metrics import SegmentationTally
from s4mi.records import IGNORE, Part, RunRecord, read_record
from s4mi.training.run_dir import RunDir

IMAGES = 6
MOST_MASKS = 64
"""Masks that are opened to choose images by the size of what they show; a part may hold thousands."""
CAPTION = (
    "small objects first, with the IoU of each prediction on that image. Green: found; orange: missed; purple: found "
    "where nothing or another class is; the white line is the truth."
)
"""What a report says below a sheet."""


@dataclass(frozen=True)
class _Shown:
    """An image of the sheet, with its (H, W) truth of class indices and the share of foreground in it."""

    row: Row
    truth: Pixels
    share: float


def write_compare_sheet(
    runs: Sequence[Path],
    out: Path,
    *,
    data: Path | None = None,
    part: Part = "test",
    images: int = IMAGES,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """`compare_sheet` as the PNG file `out`.

    Args:
        data: folder of the data set; None for that of the first run.

    Raises:
        S4miError: as `compare_sheet`, or `out` has another ending.
    """
    if out.suffix.lower() != ".png":
        raise S4miError(f"{out}: a sheet is a PNG file; end it in .png")
    manifest = load_manifest(data if data is not None else RunDir(runs[0]).config().data.path)
    png = compare_sheet(runs, manifest, part=part, images=images, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(png)
    return out


def compare_sheet(
    runs: Sequence[Path],
    manifest: Manifest,
    *,
    part: Part,
    images: int,
    only: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> bytes:
    """A PNG of what runs make of some images of this part of their own splits.

    The images are those with a mask that are in this part of every run, spread evenly over the share of foreground, the
    smallest first. Under a prediction is its IoU on that image: the mean over the foreground classes that are in its
    truth or in the prediction.

    Args:
        images: at most so many.
        only: ids of the images, in the order of the rows; of others none is shown.
        progress: called with the number of predictions made and of all.

    Raises:
        S4miError: a run is not finished or no segmentation, runs or data set differ in their classes, no image of the
            part has a mask, or something cannot be read.
    """
    records = _records(runs)
    _check_classes(runs, records, manifest)
    shown = _choose(manifest, [RunDir(run) for run in runs], part, images, only)
    predictions: list[list[Pixels]] = []
    for number, run in enumerate(runs):
        predictor = RunModel(run)  # one network at a time
        predictions.append([])
        for one in shown:
            predictions[-1].append(predictor.mask(one.row.image))
            progress(number * len(shown) + len(predictions[-1]), len(runs) * len(shown))
    return _draw(manifest, _titles(runs, records), shown, predictions)


def _records(runs: Sequence[Path]) -> list[RunRecord]:
    records = []
    for run in runs:
        RunDir(run).config()  # says so if this is no run at all
        record = read_record(run)
        if record.task != "segmentation":
            raise S4miError(f"{run}: is a {record.task} run and predicts no masks; give runs of segmentation")
        records.append(record)
    return records


def _check_classes(runs: Sequence[Path], records: Sequence[RunRecord], manifest: Manifest) -> None:
    first = records[0].classes
    for run, record in zip(runs, records, strict=True):
        if record.classes != first:
            raise S4miError(
                f"{run}: knows the classes {', '.join(record.classes)}, but {runs[0]} knows {', '.join(first)}; "
                "compare runs of the same classes"
            )
    if list(manifest.spec.mask_classes) != first:
        raise S4miError(
            f"{manifest.folder}: its masks show {', '.join(manifest.spec.mask_classes) or 'nothing'}, but {runs[0]} "
            f"knows {', '.join(first)}; give the data set that the runs were trained on"
        )


def _choose(manifest: Manifest, runs: Sequence[RunDir], part: Part, images: int, only: Sequence[str]) -> list[_Shown]:
    """Images of the part, from the smallest foreground to the largest; or these `only`."""
    numbers = rows_in_part(manifest, runs, part, cure="give the data set that the runs were trained on")
    rows = [manifest.rows[number] for number in numbers if manifest.rows[number].mask is not None]
    if only:
        of_id = {row.id: row for row in rows}
        rows = [of_id[image] for image in only if image in of_id]
        truths = [(row, read_truth_of(row, manifest)) for row in rows[:images]]
        return [_Shown(row, truth, foreground_share(truth)) for row, truth in truths]
    if not rows:
        raise S4miError(f"{manifest.folder}: no image of the {part} part has a mask; choose another with --split")
    looked_at = [rows[i] for i in _evenly(len(rows), max(images, MOST_MASKS))]
    with ThreadPoolExecutor() as pool:
        shares = list(pool.map(lambda row: foreground_share(read_truth_of(row, manifest)), looked_at))
    by_share = sorted(zip(shares, looked_at, strict=True), key=lambda pair: (pair[0], pair[1].id))
    chosen = [by_share[i] for i in _evenly(len(by_share), images)]
    return [_Shown(row, read_truth_of(row, manifest), share) for share, row in chosen]


def _evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` positions, each in the middle of its share of them."""
    wanted = min(count, wanted)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def read_truth_of(row: Row, manifest: Manifest) -> Pixels:
    """(H, W) class indices of the mask of an image that has one.

    Raises:
        S4miError: it cannot be read; with file and line.
    """
    assert row.mask is not None
    try:
        return read_mask(row.mask, manifest.spec.mask_values)
    except S4miError as error:
        raise S4miError(f"{manifest.folder / MANIFEST_NAME}:{row.line}: mask {row.mask.name!r} {error}") from error


def _titles(runs: Sequence[Path], records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Technique; amount of labels and network. Runs alike in all three have the name of their folder instead."""
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
    shown: Sequence[_Shown],
    predictions: Sequence[Sequence[Pixels]],
) -> bytes:
    """The sheet; `predictions` by run and image."""
    sheet = SaliencySheet(
        [("truth", ""), *titles],
        [""],
        legend=mask_legend(manifest.spec.mask_classes),
        note=DRAWN if manifest.spec.synthetic else "",
        outline=WHITE,
        outlined_image=False,
    )
    for number, one in enumerate(shown):
        pixels = read_image(one.row.image, manifest.spec.rule)
        if one.truth.shape != pixels.shape[:2]:
            raise S4miError(
                f"{manifest.folder / MANIFEST_NAME}:{one.row.line}: mask is {one.truth.shape[0]}×{one.truth.shape[1]} "
                f"but its image is {pixels.shape[0]}×{pixels.shape[1]}; re-export the mask at the image's size"
            )
        blocks = [RunOverlays(f"foreground {100 * one.share:.1f} %", (tinted(pixels, one.truth),), ("",))]
        for predicted in (of_run[number] for of_run in predictions):
            picture = compared(pixels, one.truth, predicted, line=False)
            blocks.append(RunOverlays(_iou(predicted, one.truth, manifest.spec.mask_classes), (picture,), ("",)))
        edges = np.where(one.truth == IGNORE, 0, one.truth).astype(np.uint8)
        sheet.add(one.row.id, "", pixels, blocks, edges)
    return sheet.png()


def _iou(predicted: Pixels, truth: Pixels, classes: Sequence[str]) -> str:
    """The caption of a prediction; where truth and prediction are both empty, no IoU is defined."""
    tally = SegmentationTally(classes, distances=False)
    tally.add(predicted, truth)
    known = [value for value in tally.per_image()[0].iou.values() if value is not None]
    return f"IoU {sum(known) / len(known):.3f}" if known else "IoU –"


def mask_legend(classes: Sequence[str]) -> list[tuple[Colour, str]]:
    """Colours of the runs, and before them those of the truth."""
    truth = [(class_colour(index)[1], f"truth: {name}") for index, name in enumerate(classes) if index]
    wrong = "found where nothing is" + (", or as another class" if len(truth) > 1 else "")
    return [*truth, (HIT, "found"), (MISSED, "missed"), (WRONG, wrong), (WHITE, "outline of the truth")]
