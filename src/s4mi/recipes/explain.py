"""Explain trained classifiers: saliency maps over any images, scored against masks where there are some."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.errors import S4miError, nearest
from s4mi.inference.dataset_images import DatasetImage, find_dataset_images, select_evenly
from s4mi.inference.input_files import ErrorList, Unreadable
from s4mi.inference.overlays.saliency import SYNTHETIC_NOTE, ComparisonSheet, OverlayBlock, overlay
from s4mi.inference.saliency_maps import MAP_NAMES, TITLES, TRUTH, Explainer, Explanation, MapName, run_names
from s4mi.inference.saliency_scores import ExplainSummary, MapScores, MaskScores, score_map, summarise, write_scores
from s4mi.records import IGNORE, Part, write_text_atomically

LIMIT = 16
SHEET_ROWS = 16


@dataclass(frozen=True)
class ExplainResult:
    """What `explain` wrote: the sheet, unless nothing could be read, and what the maps score."""

    sheet: Path | None
    summary: ExplainSummary


@dataclass(frozen=True)
class _Read:
    """A picture's (H, W, 3) pixels by intensity rule, and its (H, W) mask of class indices."""

    pixels: dict[Intensity, Pixels]
    mask: Pixels | None


def explain(
    runs: Sequence[Path],
    inputs: Sequence[Path],
    out: Path,
    *,
    methods: Sequence[MapName] = MAP_NAMES,
    target: str | None = None,
    part: Part | None = "test",
    limit: int = LIMIT,
    tolerance: float = 0,
    sanity: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ExplainResult:
    """Show where each run looks in each image: overlays, `sheet.png`, `scores.csv` and `summary.json` in `out`.

    An image that cannot be read gets a line in `errors.csv`; the others go on.

    Args:
        inputs: image files, folders searched recursively, or data sets.
        target: name of the class to explain, `TRUTH` for the image's own, or None for the predicted one.
        part: of a data set, explain the images of this part of the runs' own split; None for all.
        limit: most images of a folder or a data set.
        tolerance: pixels by which a hit of the pointing game may miss.
        sanity: compare with the maps of the same network with weights drawn anew.
        seed: of SmoothGrad's noise and of those weights.

    Raises:
        S4miError: a run is no classifier or has no such class, or there are no such images.
    """
    for method in methods:
        if method not in MAP_NAMES:
            raise S4miError(f"{method!r} is no kind of map{nearest(method, MAP_NAMES)}; take {', '.join(MAP_NAMES)}")
    explainers = [
        Explainer(run, name=name, methods=methods, sanity=sanity, seed=seed)
        for run, name in zip(runs, run_names(runs), strict=True)
    ]
    pictures = find_dataset_images(
        inputs, [one.run for one in explainers], part=part, limit=limit, labelled=target == TRUTH
    )  # fmt: skip
    for explainer in explainers:
        explainer.check_target(target, pictures)
    out.mkdir(parents=True, exist_ok=True)
    synthetic = any(picture.synthetic for picture in pictures)
    writer = _Writer(out, explainers, methods, tolerance=tolerance, synthetic=synthetic)
    failed = ErrorList(out / "errors.csv")
    shown = {pictures[i].name for i in select_evenly([picture.labels for picture in pictures], SHEET_ROWS)}
    for done, picture in enumerate(pictures, start=1):
        read = _read(picture, {explainer.intensity for explainer in explainers})
        if isinstance(read, Unreadable):
            failed.add(read)
        else:
            labels = picture.labels or ()
            explained = [one.explain(read.pixels[one.intensity], target, labels) for one in explainers]
            writer.write(picture, read, explained, on_sheet=picture.name in shown)
        progress(done, len(pictures))
    summary = ExplainSummary(
        images=len(pictures) - failed.count,
        failed=failed.count,
        synthetic=synthetic,
        explained_class=target or "predicted",
        split=part or "all",
        tolerance=tolerance,
        seed=seed,
        maps=summarise(writer.scores),
    )
    return ExplainResult(sheet=writer.finish(summary), summary=summary)


def _read(picture: DatasetImage, rules: set[Intensity]) -> _Read | Unreadable:
    try:
        pixels = {rule: read_image(picture.path, rule) for rule in rules}
    except S4miError as error:
        return Unreadable(picture.path, str(error))
    if picture.mask is None:
        return _Read(pixels, None)
    try:
        mask = read_mask(picture.mask, picture.mask_values)
    except S4miError as error:
        return Unreadable(picture.mask, str(error))
    height, width = next(iter(pixels.values())).shape[:2]
    if mask.shape != (height, width):
        of_mask = f"{mask.shape[0]}×{mask.shape[1]}"
        message = f"mask is {of_mask} but its image is {height}×{width}; re-export the mask at the image's size"
        return Unreadable(picture.mask, message)
    return _Read(pixels, mask)


class _Writer:
    """Everything that lands in the output folder but the errors."""

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
        note = "Yellow: the score of the class under the map depends much on it. Blue: outline of the mask."
        self._sheet = ComparisonSheet(
            [(one.technique, one.name) for one in explainers],
            [TITLES[method] for method in methods],
            note=f"{note} {SYNTHETIC_NOTE}" if synthetic else note,
        )
        self._rows = 0

    def write(self, picture: DatasetImage, read: _Read, explained: Sequence[Explanation], *, on_sheet: bool) -> None:
        """The overlays, scores and row of one image."""
        blocks = []
        for explainer, given in zip(self._explainers, explained, strict=True):
            pixels = read.pixels[explainer.intensity]
            pictures, captions = [], []
            for method, saliency in given.maps.items():
                pictures.append(overlay(pixels, saliency))
                Image.fromarray(pictures[-1]).save(self._out / f"{picture.name}_{explainer.name}_{method}.png")
                against = score_map(saliency, read.mask, tolerance=self._tolerance)
                self.scores.append(
                    MapScores(
                        image=picture.name, run=explainer.name, technique=explainer.technique, method=method,
                        label=given.label, probability=given.probability, mask=against,
                        randomised=given.randomised.get(method),
                    )
                )  # fmt: skip
                captions.append(_inside(against))
            caption = f"{given.label}  p = {given.probability:.2f}"
            blocks.append(OverlayBlock(caption, tuple(pictures), tuple(captions)))
        if on_sheet:
            self._add_row(picture, read, blocks)

    def finish(self, summary: ExplainSummary) -> Path | None:
        """The sheet, unless it has no row, the scores and the summary."""
        write_scores(self.scores, self._out / "scores.csv")
        write_text_atomically(self._out / "summary.json", summary.model_dump_json(indent=2) + "\n")
        sheet = self._out / "sheet.png"
        if not self._rows:
            sheet.unlink(missing_ok=True)
            return None
        sheet.write_bytes(self._sheet.png())
        return sheet

    def _add_row(self, picture: DatasetImage, read: _Read, blocks: Sequence[OverlayBlock]) -> None:
        truth = "" if picture.labels is None else f"truth: {', '.join(picture.labels) or 'none'}"
        mask = None if read.mask is None else ((read.mask > 0) & (read.mask != IGNORE)).astype(np.uint8)
        pixels = read.pixels[self._explainers[0].intensity]
        self._sheet.add(picture.name, truth, pixels, blocks, mask)
        self._rows += 1


def _inside(scores: MaskScores) -> str:
    """A caption; empty where there is nothing to say."""
    if scores.energy is None or scores.area is None:
        return ""
    return f"{scores.energy:.0%} inside, area {scores.area:.0%}"
