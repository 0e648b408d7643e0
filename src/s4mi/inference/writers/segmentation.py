"""The answers of a segmenter: a mask a picture, if wanted its overlay, and `measurements.csv`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.spacing import Spacing
from s4mi.errors import S4miError
from s4mi.inference.image_list import InputImage
from s4mi.inference.overlays.masks import clustered, compared, tinted
from s4mi.inference.pipeline import Decoded, KeepOptions, SourceImage
from s4mi.inference.predictor import Predictor, Probabilities, classes_of
from s4mi.inference.writers.mask_files import mask_paths, save_png, write_masks
from s4mi.inference.writers.output_settings import MaskFormat
from s4mi.inference.writers.resumable_csv import Cells, ResumableCsv
from s4mi.maths.regions import measure

OVERLAYS = "overlays"
"""Folder of the overlays, below that of the masks."""
MEASUREMENTS = "measurements.csv"
COLUMNS = (
    "id", "class", "pixels", "share", "area_mm2", "components", "largest_component", "centre_row", "centre_column",
    "probability",
)  # fmt: skip


@dataclass(frozen=True)
class MaskMeasurements:
    """What becomes of a file's answers beside its masks: rows, and for a sheet each picture with its classes."""

    rows: list[Cells]
    pages: tuple[tuple[str, Pixels, Pixels], ...] = ()


class MaskWriter:
    """Masks at each picture's own size; a row of `measurements.csv` for each and each class but the background."""

    def __init__(
        self,
        out: Path,
        images: Sequence[InputImage],
        answerer: Predictor,
        *,
        overlay: bool,
        sheet: bool,
        form: MaskFormat,
        resume: bool,
    ) -> None:
        """Begin; nothing is written yet.

        Args:
            overlay: lay each mask over its image, in `out/overlays`. sheet: give the pages back, for a sheet.

        Raises:
            S4miError: a file would be written over an image, or over another answer.
        """
        self.output = out
        self._answerer, self._overlay, self._sheet, self._form = answerer, overlay, sheet, form
        self._unnamed = answerer.about.unnamed
        self.wanted = KeepOptions(pixels=overlay or sheet, truth=overlay and not sheet, spacing=True)
        # Of clusters none is background.
        self._measured = tuple(enumerate(answerer.about.classes))[0 if self._unnamed else 1 :]
        _check_places(images, [self._paths(image) for image in images])
        self._rows = ResumableCsv(
            out / MEASUREMENTS, COLUMNS, ids=[name for image in images for name in image.ids],
            rows_each=len(self._measured), resume=resume,
        )  # fmt: skip

    def __enter__(self) -> None:
        self._rows.__enter__()

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def has(self, asked: InputImage) -> bool:
        """Whether the answer is there from an earlier time; a sheet needs all of them again."""
        return not self._sheet and self._rows.has(asked.ids) and all(path.is_file() for path in self._paths(asked))

    def work(self, decoded: Decoded, pages: Iterator[Probabilities]) -> MaskMeasurements:
        """Write the masks and overlays of a file; its measurements come back."""
        asked, about = decoded.asked, self._answerer.about
        rows: list[Cells] = []
        masks = []
        for name, page in zip(asked.ids, pages, strict=True):
            masks.append(classes_of(page))
            rows += self._rows_of(name, masks[-1], page, decoded.spacing)
        if self._overlay:
            for path, seen, mask in zip(self._overlays(asked), decoded.seen, masks, strict=True):
                save_png(self._laid_over(seen, mask), path)
        write_masks(
            asked, masks, mask_paths(asked, self.output, self._form), mask_values=about.spec.mask_values,
            classes=about.classes, made_by=about.name,
        )  # fmt: skip
        if not self._sheet:
            return MaskMeasurements(rows)
        shown = [one.pixels for one in decoded.seen if one.pixels is not None]
        return MaskMeasurements(rows, tuple(zip(asked.ids, shown, masks, strict=True)))

    def take(self, asked: InputImage, measured: MaskMeasurements) -> None:  # noqa: ARG002
        """Write the rows of a file."""
        self._rows.add(measured.rows)

    def _paths(self, asked: InputImage) -> tuple[Path, ...]:
        return (*mask_paths(asked, self.output, self._form), *(self._overlays(asked) if self._overlay else ()))

    def _overlays(self, asked: InputImage) -> tuple[Path, ...]:
        return tuple(self.output / OVERLAYS / f"{place}.png" for place in asked.places)

    def _laid_over(self, seen: SourceImage, classes: Pixels) -> Pixels:
        assert seen.pixels is not None
        if seen.truth is not None:
            return compared(seen.pixels, seen.truth, classes)
        return (clustered if self._unnamed else tinted)(seen.pixels, classes)

    def _rows_of(self, name: str, mask: Pixels, page: Probabilities, spacing: Spacing | None) -> Iterator[Cells]:
        for index, class_name in self._measured:
            where = mask == index
            regions = measure(where)
            area = "" if spacing is None else f"{regions.pixels * spacing[0] * spacing[1]:.6g}"
            centre = ("", "") if regions.centre is None else tuple(f"{at:.2f}" for at in regions.centre)
            sure = f"{np.mean(page[index][where], dtype=np.float64):.6f}" if regions.pixels else ""
            yield [
                name, class_name, str(regions.pixels), f"{regions.pixels / mask.size:.6f}", area,
                str(regions.components), str(regions.largest), *centre, sure,
            ]  # fmt: skip


def _check_places(images: Sequence[InputImage], places: Sequence[tuple[Path, ...]]) -> None:
    """Refuse two answers in one file, and answers over images and their true masks."""
    given = {path.resolve() for one in images for path in (one.picture.path, one.picture.mask) if path is not None}
    taken: dict[Path, str] = {}
    for image, paths in zip(images, places, strict=True):
        for path in paths:
            if path in taken:
                raise S4miError(
                    f"{image.picture.path}: its mask would overwrite that of {taken[path]!r}; "
                    "predict them into two folders"
                )
            if path.resolve() in given:
                raise S4miError(f"{path}: would be overwritten by a predicted mask; choose another folder with -o")
            taken[path] = image.name
