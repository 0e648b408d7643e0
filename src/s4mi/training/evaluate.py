"""Evaluation: quick scores at network resolution during training, full scores at each image's own size at the end.

Several processes divide the images among them, and each then knows the scores of all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import CLASSIFICATION_METRICS, RunConfig
from s4mi.contract import POOLED, Classifier, ClusterAssignment, FittedClassifier, Segmenter
from s4mi.data.loading.loader import PlainBatches
from s4mi.data.masks import read_mask
from s4mi.engine.fabric import Fabric
from s4mi.engine.inference import ONLY, infer, infer_members, infer_with, probabilities, resize_probabilities
from s4mi.errors import S4miError
from s4mi.maths.calibration import THRESHOLD
from s4mi.maths.cluster_matching import match_clusters
from s4mi.maths.distributed import own_share, sum_over_processes, values_of_all
from s4mi.maths.segmentation_metrics import SegmentationTally, confusion, scores_of_confusion
from s4mi.records import ClassificationScores, ImageScores, Part, Predictions, Scores, SegmentationScores
from s4mi.training.pixel_sample import LabelledProbabilities, PixelSample, joined
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_fabric
from s4mi.training.scoring import joined_predictions, score_predictions
from s4mi.training.shared_classes import SharedClasses
from s4mi.training.stored_inputs import store_of, stored_outputs

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """Full scores of one part of the split.

    Attributes:
        members: scores of each ensemble member by name, those of the chosen one included; empty without an ensemble.
        images: scores of each image (segmentation only).
        predictions: prediction of each image (classification only).
        pixels: predictions of a sample of pixels (segmentation only).
        tally: what the scores were computed from (segmentation only).
    """

    scores: Scores
    members: dict[str, SegmentationScores] = field(default_factory=dict)
    images: tuple[ImageScores, ...] = ()
    predictions: Predictions | None = None
    pixels: LabelledProbabilities | None = None
    tally: SegmentationTally | None = None


def evaluate_run(run: Path, part: Part) -> Scores:
    """Score the best weights of a finished run on one part of its own split.

    Raises:
        S4miError: the run does not exist, or no image of the part is annotated.
    """
    run_dir = RunDir(run)
    config = run_dir.config()
    fabric = make_fabric(config)
    prepared = prepare(config)
    run_dir.check_split(prepared.split, prepared.manifest)
    method = load_method(fabric, config, prepared.task, run_dir.best)
    evaluation = evaluate(fabric, method, config, prepared, part)
    if evaluation is None:
        raise S4miError(f"{config.data.path}: no {part} image is annotated for {prepared.task.kind}; annotate some")
    return evaluation.scores


def evaluate(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    part: Part,
    *,
    distances: bool = True,
) -> Evaluation | None:
    """Return the full scores of one part, or None if no image in it is annotated.

    Segmentation is scored at each image's own size.

    Args:
        distances: whether to compute surface distances, which take most of the time.
    """
    rows = prepared.annotated(part)
    return evaluate_rows(fabric, method, config, prepared, rows, distances=distances) if rows else None


def evaluate_rows(
    fabric: Fabric,
    method: Classifier | Segmenter,
    config: RunConfig,
    prepared: Prepared,
    rows: list[int],
    *,
    distances: bool = True,
    shared: SharedClasses | None = None,
) -> Evaluation:
    """Return the full scores of annotated rows, ascending and at least one.

    Args:
        shared: classes to which masks and predicted masks are reduced before they are compared; None: all.
    """
    if isinstance(method, Segmenter):
        return _segmentation(fabric, method, config, prepared, rows, distances=distances, shared=shared)
    scores, predictions = _classification(fabric, method, prepared, rows)
    return Evaluation(scores, predictions=predictions)


def joined_evaluation(prepared: Prepared, parts: Sequence[Evaluation]) -> Evaluation:
    """Return the scores of all images of several evaluations, whose networks may differ; without ensemble members."""
    predictions = [part.predictions for part in parts if part.predictions is not None]
    if predictions:
        all_of_them = joined_predictions(predictions)
        return Evaluation(score_predictions(all_of_them, prepared.task), predictions=all_of_them)
    tally = SegmentationTally.joined([part.tally for part in parts if part.tally is not None])
    return Evaluation(
        tally.scores(), images=tally.per_image(), pixels=joined([part.pixels for part in parts]), tally=tally
    )


def validate(fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared, *, metric: str) -> dict[str, float]:
    """Return validation scores at network resolution, from which the best epoch is chosen.

    Also selects the ensemble member with the best `metric`, whose scores are returned along with the `metric` of every
    member, and assigns classes to clusters.
    """
    rows = prepared.annotated("val")
    if not isinstance(method, Segmenter):
        return classification_metrics(_classification(fabric, method, prepared, rows)[0])
    if method.matching is not None:
        return scores_of_confusion(_match(fabric, method, method.matching, prepared, rows))
    k = len(prepared.task.classes)
    counts: dict[str, Tensor] = {}
    for batch, members in infer_members(fabric, method, _batches(fabric, prepared, own_share(rows))):
        for name, logits in members.items():
            pixels = confusion(logits.argmax(dim=1), batch.known_masks, k)
            counts[name] = counts[name] + pixels if name in counts else pixels
    first, *others = values_of_all({name: pixels.cpu().numpy() for name, pixels in counts.items()})
    scores = {
        name: scores_of_confusion(pixels + sum(other[name] for other in others if name in other))
        for name, pixels in first.items()
    }
    best = max(scores, key=lambda name: scores[name][metric])
    if method.members is None:
        return scores[best]
    method.members.choice.take(best)
    return {**scores[best], **{f"{metric} of {name}": member[metric] for name, member in scores.items()}}


def classification_metrics(scores: Scores) -> dict[str, float]:
    """Return the scores by which a classifier can be chosen, without undefined ones."""
    return {name: value for name in CLASSIFICATION_METRICS if (value := getattr(scores, name)) is not None}


def _match(
    fabric: Fabric, method: Segmenter, matching: ClusterAssignment, prepared: Prepared, rows: list[int]
) -> NDArray[np.int64]:
    """Assign each cluster the class of its pixels in these images, and return the resulting confusion matrix (K, K)."""
    classes, clusters = len(prepared.task.classes), matching.count
    k = max(classes, clusters)
    counts = torch.zeros(k, k, dtype=torch.int64, device=fabric.device)
    for batch, logits in infer_with(fabric, method, matching.clusters, _batches(fabric, prepared, own_share(rows))):
        counts += confusion(logits.argmax(dim=1), batch.known_masks, k)
    pixels: NDArray[np.int64] = sum_over_processes(counts).cpu().numpy()[:classes, :clusters]  # truth, cluster
    class_of = match_clusters(pixels.T)
    matching.take(torch.from_numpy(class_of))
    return pixels @ np.eye(classes, dtype=np.int64)[class_of]


def _classification(
    fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared, rows: list[int]
) -> tuple[ClassificationScores, Predictions]:
    multilabel, classes = prepared.task.kind == "multilabel", prepared.task.classes
    local = [
        (of_tiles, probabilities(logits, multilabel=multilabel).cpu())
        for of_tiles, logits in _logits(fabric, method, prepared, own_share(rows))
    ]
    row_of_tile, of_tiles = zip(*(pair for pairs in values_of_all(local) for pair in pairs), strict=True)
    predicted = mean_over_tiles(torch.cat(of_tiles), torch.cat(row_of_tile), rows)
    if not bool(predicted.isfinite().all()):
        raise S4miError("predictions are not finite: the weights are damaged; train the run again in another folder")
    labels = prepared.truth(rows)
    decisions = predicted > THRESHOLD
    if not multilabel:
        decisions = torch.nn.functional.one_hot(predicted.argmax(dim=1), len(classes)).bool()
    images = [prepared.manifest.rows[row] for row in rows]
    predictions = Predictions(
        images=tuple(row.id for row in images),
        groups=tuple(row.group for row in images),
        classes=tuple(classes),
        truth=labels == 1,
        probabilities=predicted.double().numpy(),
        decisions=decisions.numpy(),
        known=labels >= 0 if (labels < 0).any() else None,
    )
    return score_predictions(predictions, prepared.task), predictions


@torch.inference_mode()
def _logits(
    fabric: Fabric, method: Classifier | Segmenter, prepared: Prepared, rows: list[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the manifest rows (B,) of tiles with their float32 logits (B, K)."""
    store = store_of(method.extractors) if isinstance(method, FittedClassifier) else None
    if store is None or not isinstance(method, FittedClassifier):
        for batch, logits in infer(fabric, method, _batches(fabric, prepared, rows)):
            yield batch.rows, logits
        return
    entries = prepared.cache.entries_of(rows)
    for block, outputs in stored_outputs(store, method.extractors, prepared.cache, entries):
        with fabric.autocast():
            logits = method.head_logits([each[POOLED] for each in outputs])
        yield torch.from_numpy(prepared.cache.row[block]), logits.float()


def mean_over_tiles(of_tiles: Tensor, row_of_tile: Tensor, rows: list[int]) -> Tensor:
    """(N, K) predictions or features of tiles → (R, K) of images, each the mean over its tiles; `rows` ascend."""
    position = torch.searchsorted(torch.tensor(rows), row_of_tile)
    total = torch.zeros(len(rows), of_tiles.shape[1]).index_add_(0, position, of_tiles)
    return total / torch.bincount(position, minlength=len(rows))[:, None]


def _segmentation(
    fabric: Fabric,
    method: Segmenter,
    config: RunConfig,
    prepared: Prepared,
    rows: list[int],
    *,
    distances: bool,
    shared: SharedClasses | None,
) -> Evaluation:
    names = prepared.task.classes if shared is None else shared.names
    chosen = ONLY if method.members is None else method.members.choice.name
    tallies: dict[str, SegmentationTally] = {}
    sample = PixelSample(len(prepared.cache.entries_of(rows)))
    for row, members in _pages(fabric, method, prepared, own_share(rows), sample=sample, chosen=chosen):
        image = prepared.manifest.rows[row]
        assert image.mask is not None
        truth = read_mask(image.mask, prepared.manifest.spec.mask_values)
        truth = truth if shared is None else shared.of_masks(truth)
        size = (int(prepared.cache.size[row][0]), int(prepared.cache.size[row][1]))
        for name, logits in members.items():
            if name not in tallies:  # surface distances, by far the slowest part, only for the chosen member
                tallies[name] = SegmentationTally(names, distances=distances and name == chosen)
            predicted = page_classes(logits, config, size)
            predicted = predicted if shared is None else shared.of_masks(predicted)
            tallies[name].add(predicted, truth, image=image.id, group=image.group)
    first, *others = values_of_all(tallies)
    tallies = {
        name: SegmentationTally.joined([tally, *(other[name] for other in others if name in other)])
        for name, tally in first.items()
    }
    scores = {name: tally.scores() for name, tally in tallies.items()}
    return Evaluation(
        scores[chosen],
        members=scores if len(scores) > 1 else {},
        images=tallies[chosen].per_image(),
        pixels=joined(values_of_all(sample.collected())),
        tally=tallies[chosen],
    )


def page_classes(logits: Tensor, config: RunConfig, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(T, K, S, S) logits of the tiles of one image → (height, width) classes at the image's own size."""
    grid = config.data.preprocessing.grid(size)
    if config.data.tile is None:
        page = resize_probabilities(logits, size)[0]
    else:
        page = grid.stitch(resize_probabilities(logits, (grid.tile, grid.tile)))
    classes: NDArray[np.uint8] = page.argmax(axis=0).astype(np.uint8)
    return classes


def _pages(
    fabric: Fabric, method: Segmenter, prepared: Prepared, rows: list[int], *, sample: PixelSample, chosen: str
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield each row with the logits of all its tiles by member, batched across images; `chosen` fills the sample."""
    waiting: dict[int, list[dict[str, Tensor]]] = {}
    tiles = np.bincount(prepared.cache.row, minlength=len(prepared.manifest.rows))
    for batch, members in infer_members(fabric, method, _batches(fabric, prepared, rows)):
        sample.add(batch, members[chosen])
        for index, row in enumerate(batch.rows.tolist()):
            waiting.setdefault(row, []).append({name: logits[index] for name, logits in members.items()})
            if len(waiting[row]) == tiles[row]:
                page = waiting.pop(row)
                yield row, {name: torch.stack([tile[name] for tile in page]) for name in members}


def _batches(fabric: Fabric, prepared: Prepared, rows: list[int]) -> PlainBatches:
    entries = prepared.cache.entries_of(rows)
    return PlainBatches(prepared.source(fabric.device), entries, batch_size=EVALUATION_BATCH)
