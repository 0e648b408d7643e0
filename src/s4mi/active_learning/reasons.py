"""Why an image was chosen, in words."""

import numpy as np

from s4mi.active_learning.committee import CommitteeOutput
from s4mi.active_learning.strategies import CandidatePool
from s4mi.data.manifest import Row
from s4mi.inference.predictor import ModelInfo
from s4mi.maths.acquisition import Selection

SHOWN = 3
"""Classes that are named with their probabilities."""


def reason(
    pick: Selection,
    pool: CandidatePool,
    opinion: CommitteeOutput | None,
    about: ModelInfo | None,
    *,
    near: Row | None,
    annotated: bool,
) -> str:
    """One line: what the run says, how sure it is among the candidates, and how the image stands to others."""
    parts = []
    if opinion is not None and about is not None:
        parts.append(_said(opinion, about))
        shares = [
            f"{word} than {100 * float(np.mean(values < own)):.0f} %"
            for word, values, own in (
                ("less sure", pool.entropy, opinion.entropy),
                ("more disputed", pool.disagreement, opinion.disagreement),
            )
            if values is not None and own is not None
        ]
        parts.append(f"{' and '.join(shares)} of the candidates")
    if pick.cluster is not None:
        parts.append(f"typical of {pick.cluster} images that look alike")
    elif near is not None:
        what = "annotated" if annotated else "chosen"
        parts.append(f"at distance {pick.spread:.2f} from the nearest {what}, {near.id}")
    elif pool.features is not None:
        parts.append("in the middle of all")
    return "; ".join(parts) or "drawn at random"


def _said(opinion: CommitteeOutput, about: ModelInfo) -> str:
    """The likeliest classes of an image, or what share of it shows each."""
    if about.kind == "segmentation":
        shares = [(name, float(share)) for name, share in zip(about.classes[1:], opinion.likely[1:], strict=True)]
        return ", ".join(f"{name} on {100 * share:.1f} %" for name, share in shares[:SHOWN])
    order = np.argsort(-opinion.likely, kind="stable")[:SHOWN]
    return ", ".join(f"{about.classes[k]} {opinion.likely[k]:.2f}" for k in order)
