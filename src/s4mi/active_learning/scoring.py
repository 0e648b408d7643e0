"""What there is to choose by: what a committee says of the candidates, and features of all images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.active_learning.candidates import Candidates
from s4mi.active_learning.committee import Committee, CommitteeOutput
from s4mi.active_learning.strategies import CandidatePool
from s4mi.data.manifest import Row
from s4mi.errors import S4miError
from s4mi.inference.features import embed_files

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ScoredCandidates:
    """The candidates that could be read, what they are chosen by, and those that could not be read, with the reason.

    Attributes:
        opinions: one for each candidate; none where there is no committee.
    """

    candidates: Candidates
    pool: CandidatePool
    opinions: tuple[CommitteeOutput, ...]
    unreadable: tuple[tuple[Row, str], ...]


def score_candidates(
    candidates: Candidates,
    committee: Committee | None,
    encoder: Path | None,
    *,
    progress: ProgressCallback = lambda *_: None,
) -> ScoredCandidates:
    """Ask the committee, and let the encoder look at all images, where they are given.

    Raises:
        S4miError: no candidate can be read.
    """
    rows, known = candidates.rows, candidates.known
    opinions: dict[str, CommitteeOutput] = {}
    features: dict[str, NDArray[np.float32]] = {}
    failed: dict[str, str] = {}
    if committee is not None:
        answers = committee.opinions([row.image for row in rows], progress=_said(progress, "asking the run"))
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, str):
                failed[row.id] = answer
            else:
                opinions[row.id] = answer
    if encoder is not None:
        every = (*(row for row in rows if row.id not in failed), *known)
        seen = embed_files(encoder, [row.image for row in every], progress=_said(progress, "looking at images"))
        failed |= {every[number].id: why for number, why in seen.failed.items()}
        features = {row.id: one for row, one in zip(every, seen.features, strict=True)}
    left = tuple(row for row in rows if row.id not in failed)
    known = tuple(row for row in known if row.id not in failed)
    if not left:
        raise S4miError(f"{rows[0].image}: {failed[rows[0].id]}; no other candidate can be read either")
    own = tuple(opinions[row.id] for row in left) if committee is not None else ()
    pool = CandidatePool(
        [row.group for row in left],
        np.stack([features[row.id] for row in left]) if features else None,
        np.stack([features[row.id] for row in known]) if features and known else None,
        entropy=_column([one.entropy for one in own]),
        disagreement=_column([one.disagreement for one in own]),
    )
    unreadable = tuple((row, failed[row.id]) for row in rows if row.id in failed)
    return ScoredCandidates(Candidates(left, known), pool, own, unreadable)


def _said(progress: ProgressCallback, what: str) -> Callable[[int, int], None]:
    return lambda done, of: progress(what, done, of)


def _column(values: Sequence[float | None]) -> NDArray[np.float64] | None:
    known = [value for value in values if value is not None]
    return np.array(known) if known and len(known) == len(values) else None
