"""Which images the grid shows and in which order: filters and sorting over columns."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from s4mi.data.row import PARTS
from s4mi.viewer.columns import UNASSIGNED, Bools, Columns, Labels

Order = NDArray[np.int64]
SORTS = ("manifest", "next", "doubt", "disagreement", "name", "group")
PART_NAMES = (*PARTS, "unassigned")
KEPT_ORDERS = 16
"""Orders kept for scrolling: 0.8 MB each for 100,000 images."""


@dataclass(frozen=True)
class Query:
    """Filters and order of the grid; None or empty filters let all images pass."""

    parts: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    predictions: tuple[str, ...] | None = None
    annotated: bool | None = None
    disagreement: bool | None = None
    near_duplicate: bool | None = None
    changed: bool | None = None
    skipped: bool | None = None
    group: str | None = None
    text: str = ""
    run: str = ""
    sort: str = "manifest"
    descending: bool = False


@dataclass(frozen=True)
class Predicted:
    """Columns of the predictions of a run: what is known so far.

    Attributes:
        labels: predicted classes; not predicted counts as without labels.
        doubt: (N,) in [0, 1], NaN where unknown.
        agreement: (N,) agreement with the annotation in [0, 1], NaN where unknown: Dice, or 1 for equal labels.
    """

    labels: Labels
    doubt: NDArray[np.float32]
    agreement: NDArray[np.float32]


@dataclass(frozen=True)
class Marks:
    """Columns that change while the server runs.

    Attributes:
        changed: (N,) whether an image has annotations that are not merged. skipped: (N,) whether it is skipped.
        rank: (N,) place among the images to annotate next from 1, 0 without one.
        duplicates: (N,) number of near-duplicates.
    """

    changed: Bools
    skipped: Bools
    rank: NDArray[np.int32]
    duplicates: NDArray[np.int32]


DISAGREES_BELOW = 0.5
"""Agreement below which annotation and prediction count as different."""


def select(query: Query, columns: Columns, marks: Marks, predicted: Predicted | None) -> Order:
    """Return the numbers of the images that pass the filters, in the order of the query."""
    passing = np.ones(columns.count, dtype=np.bool_)
    if query.parts is not None:
        codes = [UNASSIGNED if part == "unassigned" else PART_NAMES.index(part) for part in query.parts]
        passing &= np.isin(columns.parts, codes)
    if query.labels is not None:
        passing &= columns.labels.any_of(query.labels)
    if query.group is not None:
        passing &= columns.groups == columns.group_code(query.group)
    for wanted, column in (
        (query.annotated, columns.annotated),
        (query.changed, marks.changed),
        (query.skipped, marks.skipped),
        (query.near_duplicate, marks.duplicates > 0),
    ):
        if wanted is not None:
            passing &= column if wanted else ~column
    if query.predictions is not None:
        passing &= predicted.labels.any_of(query.predictions) if predicted else "" in query.predictions
    if query.disagreement is not None:
        differs = disagrees(predicted) if predicted else np.zeros(columns.count, dtype=np.bool_)
        passing &= differs if query.disagreement else ~differs
    if query.text:
        found = columns.names.str.to_lowercase().str.contains(query.text.lower(), literal=True)
        passing &= found.to_numpy()
    numbers = np.flatnonzero(passing)
    return _sorted(numbers, query, columns, marks, predicted)


def disagrees(predicted: Predicted) -> Bools:
    """Whether the prediction of each image differs from its annotation, as far as both are known."""
    with np.errstate(invalid="ignore"):
        return np.asarray(predicted.agreement < DISAGREES_BELOW, dtype=np.bool_)


def _sorted(numbers: Order, query: Query, columns: Columns, marks: Marks, predicted: Predicted | None) -> Order:
    """Sort numbers; images without the property come last in either direction, equal ones in manifest order."""
    if query.sort == "manifest":
        return numbers[::-1] if query.descending else numbers
    if query.sort == "name":
        key = columns.names.rank("ordinal").to_numpy()[numbers].astype(np.float64)
    elif query.sort == "group":
        names = np.array([*columns.group_names, ""], dtype=np.str_)
        places = np.argsort(np.argsort(names, kind="stable"), kind="stable")
        key = np.where(columns.groups[numbers] < 0, np.nan, places[columns.groups[numbers]])
    else:
        key = _urgency(query.sort, columns, marks, predicted)[numbers]
    if query.descending:
        key = -key
    return numbers[np.argsort(np.where(np.isnan(key), np.inf, key), kind="stable")]


def _urgency(sort: str, columns: Columns, marks: Marks, predicted: Predicted | None) -> NDArray[np.float64]:
    """Return a key that is smallest for the image to look at first."""
    doubt = predicted.doubt.astype(np.float64) if predicted else np.full(columns.count, np.nan)
    if sort == "doubt":
        return -doubt
    if sort == "disagreement":
        return predicted.agreement.astype(np.float64) if predicted else doubt
    ranked = np.where(marks.rank > 0, marks.rank, np.nan).astype(np.float64)
    # Images to annotate next come before those that are only doubtful; annotated ones are last.
    by_doubt = np.where(columns.annotated, np.nan, columns.count + 1 - np.nan_to_num(doubt, nan=0.0))
    return np.where(np.isnan(ranked), by_doubt, ranked)


class Orders:
    """The orders of the last queries, so that scrolling only cuts them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Query, int], Order] = OrderedDict()
        self._lock = Lock()

    def find(self, query: Query, revision: int) -> Order | None:
        """Return the kept order of a query, None if the columns have changed since."""
        with self._lock:
            order = self._kept.get((query, revision))
            if order is not None:
                self._kept.move_to_end((query, revision))
            return order

    def keep(self, query: Query, revision: int, order: Order) -> None:
        """Keep an order, and forget the one used least recently."""
        with self._lock:
            self._kept[query, revision] = order
            while len(self._kept) > KEPT_ORDERS:
                self._kept.popitem(last=False)
