"""Predictions of a fitted method for its own labelled images, each by a head that has not seen the image's patient.

For each fold inside the labels, a copy of the method is fitted to the other folds, with all choices of its own inside
these. The copies share the extractors, so that a fold costs a fit of the head. The method itself stays fitted to all
labels.
"""

import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.contract import FittedClassifier, FittedSegmenter
from s4mi.engine.fabric import Fabric
from s4mi.maths.folds import folds
from s4mi.training.evaluate import Evaluation, evaluate_rows, joined_evaluation
from s4mi.training.features import StoredFeatures
from s4mi.training.head_fit import fit_to_rows
from s4mi.training.prepare import Prepared
from s4mi.training.row_labels import patients_of

Method = FittedClassifier | FittedSegmenter
FOLDS: Final = 5
FOLDS_OF_MASKS: Final = 3
"""Number of folds of a segmenter, whose fit takes longer and whose images hold many pixels."""


def out_of_fold(
    fabric: Fabric, fresh: Method, config: RunConfig, prepared: Prepared, store: StoredFeatures
) -> Evaluation | None:
    """Return the scores and predictions of the labelled images by fold; None if the labels are too few for folds.

    Args:
        fresh: the method, not fitted, with extractors whose features are in the store.
    """
    rows = np.asarray(prepared.split.labelled)
    parts = []
    for number, held in enumerate(label_folds(config, prepared)):
        method = fresh_copy(fresh)
        seen = np.delete(rows, held).tolist()
        fit_to_rows(method, store, prepared, seen, generator=np.random.default_rng([config.seed, 6, number]))
        part = evaluate_rows(fabric, method.eval(), config, prepared, rows[held].tolist(), distances=False)
        parts.append(part)
    return joined_evaluation(prepared, parts) if parts else None


def label_folds(config: RunConfig, prepared: Prepared) -> list[NDArray[np.int64]]:
    """Return the positions in `split.labelled` that each fold holds out; none if the labels are too few."""
    rows = list(prepared.split.labelled)
    truth = prepared.truth(rows)  # -1 where unknown
    masks = prepared.task.kind == "segmentation"
    labels = truth.argmax(axis=1) if prepared.task.kind == "multiclass" else np.where(truth < 0, np.nan, truth)
    return folds(
        labels, patients_of(prepared.manifest)[rows], generator=np.random.default_rng([config.seed, 5]),
        count=FOLDS_OF_MASKS if masks else FOLDS, leave_one_out=0,
    )  # fmt: skip


def fresh_copy(method: Method) -> Method:
    """Return a copy with heads of its own and the same extractors."""
    shared = {id(extractor): extractor for extractor in method.extractors}
    return copy.deepcopy(method, memo=shared)
