"""Outputs of a segmentation model: a mask per frame, optionally its overlay, and `measurements.csv`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.spacing import Spacing
from s4mi.errors import S4miError
from s4mi.inference.bands import LargePage, PageTally, StreamedPage
from s4mi.inference.image_list import InputImage
from s4mi.inference.overlays.masks import class_overlay, cluster_overlay, comparison_overlay
from s4mi.inference.pipeline import DecodedImage, KeepOptions, SourceFrame
from s4mi.inference.predictor import Predictor, Probabilities, classes_of
from s4mi.inference.writers.mask_files import mask_paths, save_png, write_masks
from s4mi.inference.writers.output_settings import MaskFormat
from s4mi.inference.writers.page_masks import true_mask_reduced, write_page
from s4mi.inference.writers.resumable_csv import Cells, ResumableCsv
from s4mi.maths.regions import Regions, measure

OVERLAYS = "overlays"
"""Folder of the overlays, inside that of the masks."""
MEASUREMENTS = "measurements.csv"
COLUMNS = (
    "id", "class", "pixels", "share", "area_mm2", "components", "largest_component", "centre_row", "centre_column",
    "probability",
)  # fmt: skip


@dataclass(frozen=True)
class MaskMeasurements:
    """Measurements of the masks of a file.

    Attributes:
        rows: rows of `measurements.csv`.
        frames: (id, pixels, classes) of each frame, for a contact sheet; empty if none is drawn.
    """

    rows: list[Cells]
    frames: tuple[tuple[str, Pixels, Pixels], ...] = ()


class MaskWriter:
    """Write masks at each frame's own size, and a row of `measurements.csv` per frame and class except background."""

    def __init__(
        self,
        out: Path,
        images: Sequence[InputImage],
        predictor: Predictor,
        *,
        overlay: bool,
        sheet: bool,
        form: MaskFormat,
        resume: bool,
    ) -> None:
        """Prepare the outputs; nothing is written yet.

        Args:
            overlay: also write an overlay of each mask, in `out/overlays`. sheet: return frames for a contact sheet.

        Raises:
            S4miError: a file would overwrite an image, or the prediction of another one.
        """
        self.output = out
        self._predictor, self._overlay, self._sheet, self._format = predictor, overlay, sheet, form
        self._unnamed = predictor.info.unnamed
        self.keep = KeepOptions(pixels=overlay or sheet, true_mask=overlay and not sheet, spacing=True, bands=True)
        # None of the clusters is background.
        self._measured = tuple(enumerate(predictor.info.classes))[0 if self._unnamed else 1 :]
        _check_paths(images, [self._paths(image) for image in images])
        self._rows = ResumableCsv(
            out / MEASUREMENTS, COLUMNS, ids=[frame_id for image in images for frame_id in image.ids],
            rows_per_id=len(self._measured), resume=resume,
        )  # fmt: skip

    def __enter__(self) -> None:
        self._rows.__enter__()

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def has(self, image: InputImage) -> bool:
        """Whether an earlier call predicted the image; never for a contact sheet, which needs all images again."""
        return not self._sheet and self._rows.has(image.ids) and all(path.is_file() for path in self._paths(image))

    def process(
        self, decoded: DecodedImage, predictions: Iterator[Probabilities | LargePage | StreamedPage]
    ) -> MaskMeasurements:
        """Write the masks and overlays of a file and measure the masks; called in a thread."""
        image, info = decoded.image, self._predictor.info
        if decoded.page is not None:
            streamed = next(predictions)
            assert isinstance(streamed, StreamedPage)
            return self._process_page(decoded, streamed)
        rows: list[Cells] = []
        masks = []
        for frame_id, probabilities in zip(image.ids, predictions, strict=True):
            assert not isinstance(probabilities, StreamedPage)
            if isinstance(probabilities, LargePage):
                masks.append(probabilities.classes)
            else:
                masks.append(classes_of(probabilities))
            rows += self._measure(frame_id, masks[-1], probabilities, decoded.spacing)
        if self._overlay:
            for path, frame, mask in zip(self._overlay_paths(image), decoded.frames, masks, strict=True):
                save_png(self._draw_overlay(frame, mask), path)
        write_masks(
            image, masks, mask_paths(image, self.output, self._format), mask_values=info.spec.mask_values,
            classes=info.classes, model_name=info.name,
        )  # fmt: skip
        if not self._sheet:
            return MaskMeasurements(rows)
        pixels = [frame.pixels for frame in decoded.frames if frame.pixels is not None]
        return MaskMeasurements(rows, tuple(zip(image.ids, pixels, masks, strict=True)))

    def _process_page(self, decoded: DecodedImage, page: StreamedPage) -> MaskMeasurements:
        """Write the mask of a page while it is predicted; its overlay is reduced."""
        image, info = decoded.image, self._predictor.info
        (path,) = mask_paths(image, self.output, self._format)
        written = write_page(path, page, info.spec.mask_values, len(info.classes))
        rows = list(self._measure_page(image.name, written.tally, page.size, decoded.spacing))
        if not (self._overlay or self._sheet):
            return MaskMeasurements(rows)
        size = (written.reduced.shape[0], written.reduced.shape[1])
        pixels, truth = page.page.shrunk(size), None
        if self._overlay:
            if image.source.mask is not None and self.keep.true_mask:
                truth = true_mask_reduced(image.source.mask, image.source.mask_values, page.size, size)
            frame = SourceFrame(size, pixels, truth)
            save_png(self._draw_overlay(frame, written.reduced), self._overlay_paths(image)[0])
        return MaskMeasurements(rows, ((image.name, pixels, written.reduced),) if self._sheet else ())

    def write(self, image: InputImage, measurements: MaskMeasurements) -> None:  # noqa: ARG002
        """Write the rows of a file; called in the order of the images."""
        self._rows.add(measurements.rows)

    def discard(self, image: InputImage) -> None:
        """Remove the masks and overlays of an image that cannot be predicted: they are of an earlier call."""
        for path in self._paths(image):
            path.unlink(missing_ok=True)

    def _paths(self, image: InputImage) -> tuple[Path, ...]:
        overlays = self._overlay_paths(image) if self._overlay else ()
        return (*mask_paths(image, self.output, self._format), *overlays)

    def _overlay_paths(self, image: InputImage) -> tuple[Path, ...]:
        return tuple(self.output / OVERLAYS / f"{stem}.png" for stem in image.output_stems)

    def _draw_overlay(self, frame: SourceFrame, classes: Pixels) -> Pixels:
        assert frame.pixels is not None
        if frame.true_mask is not None:
            return comparison_overlay(frame.pixels, frame.true_mask, classes)
        return (cluster_overlay if self._unnamed else class_overlay)(frame.pixels, classes)

    def _measure(
        self, frame_id: str, mask: Pixels, probabilities: Probabilities | LargePage, spacing: Spacing | None
    ) -> Iterator[Cells]:
        if isinstance(probabilities, LargePage):
            yield from self._measure_page(frame_id, probabilities.tally, mask.shape, spacing)
            return
        for index, class_name in self._measured:
            inside = mask == index
            regions = measure(inside)
            average = float(np.mean(probabilities[index][inside], dtype=np.float64)) if regions.pixels else 0.0
            components = (str(regions.components), str(regions.largest))
            yield _row(frame_id, class_name, regions, mask.size, spacing, components=components, average=average)

    def _measure_page(
        self, frame_id: str, tally: PageTally, size: tuple[int, ...], spacing: Spacing | None
    ) -> Iterator[Cells]:
        for index, class_name in self._measured:
            regions, average = tally.regions(index), tally.mean(index)
            yield _row(frame_id, class_name, regions, math.prod(size), spacing, components=("", ""), average=average)


def _row(
    frame_id: str,
    class_name: str,
    regions: Regions,
    size: int,
    spacing: Spacing | None,
    *,
    components: tuple[str, str],
    average: float,
) -> Cells:
    area = "" if spacing is None else f"{regions.pixels * spacing[0] * spacing[1]:.6g}"
    centre = ("", "") if regions.centre is None else tuple(f"{position:.2f}" for position in regions.centre)
    mean = f"{average:.6f}" if regions.pixels else ""
    return [
        frame_id, class_name, str(regions.pixels), f"{regions.pixels / size:.6f}", area, *components, *centre, mean,
    ]  # fmt: skip


def _check_paths(images: Sequence[InputImage], outputs: Sequence[tuple[Path, ...]]) -> None:
    """Refuse two predictions in one file, and outputs that overwrite images or their true masks."""
    inputs = {path.resolve() for image in images for path in (image.source.path, image.source.mask) if path is not None}
    used: dict[Path, str] = {}
    for image, paths in zip(images, outputs, strict=True):
        for path in paths:
            if path in used:
                raise S4miError(
                    f"{image.source.path}: its mask would overwrite that of {used[path]!r}; "
                    "predict them into two folders"
                )
            if path.resolve() in inputs:
                raise S4miError(f"{path}: would be overwritten by a predicted mask; choose another folder with -o")
            used[path] = image.name
