"""Score candidates: predictions of a committee for them, and features of all images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.active_learning.candidates import Candidates
from s4mi.active_learning.committee import Committee, CommitteeOutput
from s4mi.active_learning.strategies import CandidatePool
from s4mi.data.row import Row
from s4mi.errors import S4miError
from s4mi.inference.features import embed_files

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ScoredCandidates:
    """The readable candidates with their scores and features.

    Attributes:
        outputs: the committee's output for each candidate; empty without a committee.
        unreadable: candidates that could not be read, with the reason.
    """

    candidates: Candidates
    pool: CandidatePool
    outputs: tuple[CommitteeOutput, ...]
    unreadable: tuple[tuple[Row, str], ...]


def score_candidates(
    candidates: Candidates,
    committee: Committee | None,
    encoder: Path | None,
    *,
    progress: ProgressCallback = lambda *_: None,
) -> ScoredCandidates:
    """Predict the candidates with the committee and compute features of all images with the encoder, where given.

    Args:
        encoder: run folder of the encoder.

    Raises:
        S4miError: no candidate can be read.
    """
    rows = candidates.rows
    outputs: dict[str, CommitteeOutput] = {}
    features: dict[str, NDArray[np.float32]] = {}
    failed: dict[str, str] = {}
    if committee is not None:
        results = committee.score([row.image for row in rows], progress=_labelled(progress, "predicting"))
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, str):
                failed[row.id] = result
            else:
                outputs[row.id] = result
    if encoder is not None:
        to_embed = (*(row for row in rows if row.id not in failed), *candidates.annotated)
        embedded = embed_files(
            encoder, [row.image for row in to_embed], progress=_labelled(progress, "computing features")
        )
        failed |= {to_embed[index].id: message for index, message in embedded.failed.items()}
        features = {row.id: feature for row, feature in zip(to_embed, embedded.features, strict=True)}
    readable = tuple(row for row in rows if row.id not in failed)
    annotated = tuple(row for row in candidates.annotated if row.id not in failed)
    if not readable:
        raise S4miError(f"{rows[0].image}: {failed[rows[0].id]}; no other candidate can be read either")
    readable_outputs = tuple(outputs[row.id] for row in readable) if committee is not None else ()
    segments = committee is not None and committee.info.kind == "segmentation"
    pool = CandidatePool(
        [row.group for row in readable],
        np.stack([features[row.id] for row in readable]) if features else None,
        np.stack([features[row.id] for row in annotated]) if features and annotated else None,
        entropy=_column([output.entropy for output in readable_outputs]),
        disagreement=_column([output.disagreement for output in readable_outputs]),
        shares=_shares(readable_outputs, segments=segments),
        segments=segments,
    )
    unreadable = tuple((row, failed[row.id]) for row in rows if row.id in failed)
    return ScoredCandidates(replace(candidates, rows=readable, annotated=annotated), pool, readable_outputs, unreadable)


def _labelled(progress: ProgressCallback, label: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(label, done, total)


def _shares(outputs: Sequence[CommitteeOutput], *, segments: bool) -> NDArray[np.float64] | None:
    """(N, K) what is predicted of each class, of masks without the background; None without predictions."""
    if not outputs:
        return None
    likely = np.stack([output.likely for output in outputs]).astype(np.float64)
    return likely[:, 1:] if segments else likely


def _column(values: Sequence[float | None]) -> NDArray[np.float64] | None:
    known = [value for value in values if value is not None]
    return np.array(known) if known and len(known) == len(values) else None
