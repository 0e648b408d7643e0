"""Explain trained classifiers with saliency maps, scored against masks if there are any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import BandedPage, banded_page
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.series import Limits
from s4mi.errors import S4miError, nearest
from s4mi.inference.dataset_images import DatasetImage, find_dataset_images, select_evenly, shared_limits
from s4mi.inference.input_files import ErrorList, Unreadable
from s4mi.inference.mask_scores import MaskScores, score_map
from s4mi.inference.overlays.saliency import SYNTHETIC_NOTE, ComparisonSheet, OverlayBlock, overlay
from s4mi.inference.saliency_baselines import Placed, place
from s4mi.inference.saliency_maps import (
    MAP_NAMES,
    TITLES,
    TRUTH,
    Explainer,
    Explanation,
    MapName,
    default_methods,
    run_names,
)
from s4mi.inference.saliency_scores import (
    ALIKE,
    SMALL,
    ExplainSummary,
    MapScores,
    alike,
    summarise,
    without_scores,
    write_scores,
)
from s4mi.inference.writers.mask_files import save_png
from s4mi.inference.writers.only_writer import only_writer
from s4mi.inference.writers.page_masks import SHOWN, true_mask_reduced
from s4mi.records import IGNORE, Part, write_bytes_atomically, write_text_atomically
from s4mi.system_errors import describe

LIMIT = 16
SHEET_ROWS = 16
FINER = "of an earlier stage, as the last feature map has fewer than 7 × 7 positions"


@dataclass(frozen=True)
class ExplainResult:
    """What `explain` wrote: the contact sheet, or None if no image was readable, and a summary of the scores."""

    sheet: Path | None
    summary: ExplainSummary


@dataclass(frozen=True)
class _Read:
    """The (H, W, 3) pixels of an image by intensity rule, and its (H, W) mask of class indices.

    Attributes:
        pages: by intensity rule, if it is a page that is too large to be in memory; the others are then reduced.
    """

    pixels: dict[Intensity, Pixels]
    mask: Pixels | None
    pages: dict[Intensity, BandedPage] = field(default_factory=dict)


def explain(
    runs: Sequence[Path],
    inputs: Sequence[Path],
    out: Path,
    *,
    methods: Sequence[MapName] | None = None,
    target: str | None = None,
    part: Part | None = "test",
    limit: int = LIMIT,
    tolerance: float = 0,
    sanity: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ExplainResult:
    """Compute saliency maps of each run for each image; write overlays, `sheet.png`, `scores.csv` and `summary.json`.

    Unreadable images are listed in `errors.csv` and skipped. A page that is too large to be in memory is shown reduced;
    the network sees what it sees in `s4mi predict`, unless it was trained on tiles. Maps that are too coarse, or alike
    on all images, get no scores, and the sheet says so.

    Args:
        runs: folders of classification runs.
        inputs: image files, folders searched recursively, or data sets.
        out: output folder.
        methods: kinds of saliency map; None: all that each of the runs has.
        target: name of the class to explain, `TRUTH` for the image's label, or None for the predicted class.
        part: for a data set, explain images of this part of the runs' own split; None for all images.
        limit: maximum number of images of a folder or data set.
        tolerance: distance in pixels up to which the pointing game counts a hit.
        sanity: compare with saliency maps of the same network with random weights.
        seed: seed of SmoothGrad's noise and of these random weights.

    Raises:
        S4miError: a run is not a classifier or does not have the class, there are no such images, or another process
            writes to `out`.
    """
    for method in methods or ():
        if method not in MAP_NAMES:
            hint = nearest(method, MAP_NAMES) or f"; choose from {', '.join(MAP_NAMES)}"
            raise S4miError(f"unknown kind of saliency map {method!r}{hint}")
    methods = default_methods(runs) if methods is None else methods
    explainers = [
        Explainer(run, name=name, methods=methods, sanity=sanity, seed=seed)
        for run, name in zip(runs, run_names(runs), strict=True)
    ]
    images = find_dataset_images(
        inputs, [explainer.run for explainer in explainers], part=part, limit=limit, labelled=target == TRUTH
    )  # fmt: skip
    for explainer in explainers:
        explainer.check_target(target, images)
    rules = {explainer.intensity for explainer in explainers}
    limits = {rule: shared_limits(inputs, rule) for rule in rules}
    with only_writer(out):
        synthetic = any(image.synthetic for image in images)
        writer = _Writer(out, explainers, methods, tolerance=tolerance, synthetic=synthetic)
        failed = ErrorList(out / "errors.csv")
        on_sheet = {images[i].name for i in select_evenly([image.labels for image in images], SHEET_ROWS)}
        for done, image in enumerate(images, start=1):
            read = _read(image, limits)
            explained = read if isinstance(read, Unreadable) else _explained(explainers, image, read, target)
            if isinstance(explained, Unreadable):
                failed.add(explained)
            elif not isinstance(read, Unreadable):
                writer.write(image, read, explained, on_sheet=image.name in on_sheet)
            progress(done, len(images))
        flaws = writer.flaws()
        summary = ExplainSummary(
            images=len(images) - failed.count,
            failed=failed.count,
            synthetic=synthetic,
            explained_class=target or "predicted",
            split=part or "all",
            tolerance=tolerance,
            seed=seed,
            maps=summarise(without_scores(writer.scores, flaws), flaws, writer.placed),
        )
        return ExplainResult(sheet=writer.finish(summary, flaws), summary=summary)


def _read(image: DatasetImage, limits: Mapping[Intensity, Mapping[Path, Limits]]) -> _Read | Unreadable:
    try:
        pages = {rule: page for rule in limits if (page := banded_page(image.path, rule)) is not None}
        if pages:
            return _read_reduced(image, pages)
        pixels = {rule: read_image(image.path, rule, limits=own.get(image.path)) for rule, own in limits.items()}
    except S4miError as error:
        return Unreadable(image.path, str(error))
    except MemoryError as error:
        return Unreadable(image.path, describe(error) or str(error))
    if image.mask is None:
        return _Read(pixels, None)
    try:
        mask = read_mask(image.mask, image.mask_values)
    except S4miError as error:
        return Unreadable(image.mask, str(error))
    height, width = next(iter(pixels.values())).shape[:2]
    if mask.shape != (height, width):
        mask_size = f"{mask.shape[0]}×{mask.shape[1]}"
        message = f"mask is {mask_size} but its image is {height}×{width}; re-export the mask at the image's size"
        return Unreadable(image.mask, message)
    return _Read(pixels, mask)


def _read_reduced(image: DatasetImage, pages: dict[Intensity, BandedPage]) -> _Read | Unreadable:
    """Read a large page with its longest side reduced to `SHOWN` pixels."""
    pixels = {rule: page.reduced(SHOWN) for rule, page in pages.items()}
    if image.mask is None:
        return _Read(pixels, None, pages)
    size, shown = next(iter(pages.values())).size, next(iter(pixels.values()))
    try:
        mask = true_mask_reduced(image.mask, image.mask_values, size, (shown.shape[0], shown.shape[1]))
    except S4miError as error:
        return Unreadable(image.mask, str(error))
    return _Read(pixels, mask, pages)


def _explained(
    explainers: Sequence[Explainer], image: DatasetImage, read: _Read, target: str | None
) -> list[Explanation] | Unreadable:
    found = []
    try:
        for each in explainers:
            page = read.pages.get(each.intensity)
            inputs = None if page is None else each.inputs_of(page)
            found.append(each.explain(read.pixels[each.intensity], target, image.labels or (), inputs=inputs))
    except ImageError as error:
        return Unreadable(image.path, str(error))
    return found


class _Writer:
    """Writes all output files except `errors.csv`."""

    def __init__(
        self,
        out: Path,
        explainers: Sequence[Explainer],
        methods: Sequence[MapName],
        *,
        tolerance: float,
        synthetic: bool,
    ) -> None:
        self.scores: list[MapScores] = []
        self._out, self._explainers, self._methods, self._tolerance = out, explainers, methods, tolerance
        note = "Yellow: strong influence on the score of the class named above the map. Blue: outline of the mask."
        self._sheet = ComparisonSheet(
            [(explainer.technique, explainer.name) for explainer in explainers],
            [TITLES[method] for method in methods],
            note=f"{note} {SYNTHETIC_NOTE}" if synthetic else note,
        )
        self._rows = 0
        self._coarse = {(each.name, str(method)): each.coarse(method) for each in explainers for method in methods}
        self.placed: dict[tuple[str, str], list[Placed]] = {key: [] for key in self._coarse}
        self._title_of = {str(method): TITLES[method] for method in methods}
        self._small: dict[tuple[str, str], list[NDArray[np.float32]]] = {key: [] for key in self._coarse}

    def write(self, image: DatasetImage, read: _Read, explained: Sequence[Explanation], *, on_sheet: bool) -> None:
        """Write the overlays of one image, and collect its scores and its row of the contact sheet."""
        blocks = []
        for explainer, found in zip(self._explainers, explained, strict=True):
            pixels = read.pixels[explainer.intensity]
            overlays, captions = [], []
            for method, saliency in found.maps.items():
                overlays.append(overlay(pixels, saliency))
                save_png(overlays[-1], self._out / f"{image.name}_{explainer.name}_{method}.png")
                mask_scores = score_map(saliency, read.mask, tolerance=self._tolerance)
                self.scores.append(
                    MapScores(
                        image=image.name, run=explainer.name, technique=explainer.technique, method=method,
                        label=found.label, probability=found.probability, mask=mask_scores,
                        randomised=found.randomised.get(method),
                    )
                )  # fmt: skip
                if (at := place(saliency, read.mask, mask_scores, tolerance=self._tolerance)) is not None:
                    self.placed[explainer.name, method].append(at)
                captions.append("too coarse" if self._coarse[explainer.name, method] else _inside(mask_scores))
                self._small[explainer.name, method].append(cv2.resize(saliency, SMALL, interpolation=cv2.INTER_AREA))
            caption = f"{found.label}  p = {found.probability:.2f}"
            blocks.append(OverlayBlock(caption, tuple(overlays), tuple(captions)))
        if on_sheet:
            self._add_row(image, read, blocks)

    def flaws(self) -> dict[tuple[str, str], str]:
        """What is wrong with the maps of a run and kind, which get no scores: too coarse, or alike on all images."""
        found = {key: ALIKE if alike(maps) else "" for key, maps in self._small.items()}
        return {key: flaw for key in found if (flaw := self._coarse[key] or found[key])}

    def finish(self, summary: ExplainSummary, flaws: Mapping[tuple[str, str], str]) -> Path | None:
        """Write the scores, the summary and the contact sheet; return its path, or None if it has no rows."""
        write_scores(without_scores(self.scores, flaws), self._out / "scores.csv")
        for (run, method), flaw in flaws.items():
            self._sheet.add_note(f"{self._title_of[method]} of {run}: {flaw}.")
        for explainer in self._explainers:
            if explainer.finer:
                self._sheet.add_note(f"Grad-CAM of {explainer.name}: {FINER}.")
        for one in summary.maps:
            for verdict in one.verdicts:
                self._sheet.add_note(f"{self._title_of[one.method]} of {one.run}, {verdict}.")
        write_text_atomically(self._out / "summary.json", summary.model_dump_json(indent=2) + "\n")
        sheet = self._out / "sheet.png"
        if not self._rows:
            sheet.unlink(missing_ok=True)
            return None
        write_bytes_atomically(sheet, self._sheet.png())
        return sheet

    def _add_row(self, image: DatasetImage, read: _Read, blocks: Sequence[OverlayBlock]) -> None:
        truth = "" if image.labels is None else f"truth: {', '.join(image.labels) or 'none'}"
        mask = None if read.mask is None else ((read.mask > 0) & (read.mask != IGNORE)).astype(np.uint8)
        pixels = read.pixels[self._explainers[0].intensity]
        self._sheet.add(image.name, truth, pixels, blocks, mask)
        self._rows += 1


def _inside(scores: MaskScores) -> str:
    """Return a caption with the share of saliency inside the mask; empty without a mask."""
    if scores.energy is None or scores.area is None:
        return ""
    return f"{scores.energy:.0%} inside, area {scores.area:.0%}"
