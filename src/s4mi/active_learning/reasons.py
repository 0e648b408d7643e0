"""The reason why an image was chosen, as text."""

import numpy as np

from s4mi.active_learning.committee import CommitteeOutput
from s4mi.active_learning.strategies import CandidatePool
from s4mi.data.row import Row
from s4mi.inference.predictor import ModelInfo
from s4mi.maths.acquisition import Selection

MAX_CLASSES = 3
"""Number of classes listed with their probabilities or shares."""


def reason(
    selection: Selection,
    pool: CandidatePool,
    output: CommitteeOutput | None,
    info: ModelInfo | None,
    *,
    near: Row | None,
    annotated: bool,
) -> str:
    """One line: the prediction, its uncertainty among the candidates, and the image's position in feature space.

    Args:
        near: the nearest image when it was chosen, by k-centre. annotated: whether that image is annotated.
    """
    parts = []
    if output is not None and info is not None:
        parts.append(_prediction(output, info))
        shares = [
            f"{word} than {100 * float(np.mean(values < value)):.0f} %"
            for word, values, value in (
                ("more uncertain", pool.entropy, output.entropy),
                ("more disputed", pool.disagreement, output.disagreement),
            )
            if values is not None and value is not None
        ]
        parts.append(f"{' and '.join(shares)} of the candidates")
    if selection.cluster is not None:
        parts.append(f"typical of a cluster of {selection.cluster} images")
    elif near is not None:
        status = "annotated" if annotated else "chosen"
        parts.append(f"at distance {selection.spread:.2f} from the nearest {status} image, {near.id}")
    elif pool.features is not None:
        parts.append("close to the centre of all images")
    return "; ".join(parts) or "random choice"


def _prediction(output: CommitteeOutput, info: ModelInfo) -> str:
    """The most likely classes of an image, or for segmentation those with the most pixels, background left out."""
    if info.kind == "segmentation":
        largest = 1 + np.argsort(-output.likely[1:], kind="stable")[:MAX_CLASSES]
        return ", ".join(f"{info.classes[k]} on {100 * output.likely[k]:.1f} %" for k in largest)
    order = np.argsort(-output.likely, kind="stable")[:MAX_CLASSES]
    return ", ".join(f"{info.classes[k]} {output.likely[k]:.2f}" for k in order)
