"""Folds inside the labelled images of a run: stratified by class, and no patient on both sides.

Groups are assigned to folds one by one, those of the rarest class first, each to the fold that lacks most of its share
of that class (iterative stratification, Sechidis et al. 2011, by group). Below `LEAVE_ONE_OUT` images every group is a
fold of its own.

A group without which a class would be missing from the training side of its fold is not held out, since no choice can
be judged by a class that was not fitted. So a class with one image never meets a fold, and the folds need not cover
all images.
"""

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError

LEAVE_ONE_OUT = 20
"""Number of labelled images below which each group is held out by itself."""


def folds(
    labels: NDArray[np.generic],
    groups: NDArray[np.int64],
    *,
    generator: np.random.Generator,
    count: int = 5,
    leave_one_out: int = LEAVE_ONE_OUT,
) -> list[NDArray[np.int64]]:
    """Return the sorted indices of the images that each fold holds out; the others are its training side.

    Args:
        labels: (N,) class indices, or (N, K) 0/1 for multi-label tasks, NaN where unknown.
        groups: (N,) patient of each image, or its own number.
        generator: breaks ties between folds.
        count: number of folds; fewer if there are fewer groups, more where each group is a fold of its own.
        leave_one_out: number of images below which each group is a fold of its own; 0: never.

    Returns:
        Only folds that hold out at least one image; none where nothing can be held out.

    Raises:
        S4miError: fewer than two folds are asked for.
    """
    if count < 2:
        raise S4miError(f"folds must be 2 or more (given {count})")
    strata = _strata(np.asarray(labels))
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if len(members) < 2:
        return []
    counts = np.array([strata[rows].sum(axis=0) for rows in members])  # (G, strata)
    if len(labels) < leave_one_out:
        count = len(members)
    fold_of = _assigned(counts, min(count, len(members)), generator)
    fold_of[_indispensable(counts, fold_of)] = -1
    held_out = [np.flatnonzero(fold_of == fold) for fold in range(min(count, len(members)))]
    return [np.sort(np.concatenate([members[group] for group in fold])) for fold in held_out if len(fold)]


def _strata(labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """(N, D) 0/1: the classes, or in multi-label tasks the positives and the negatives of each class."""
    if labels.ndim == 1:
        return np.asarray(labels[:, None] == np.unique(labels), dtype=np.int64)
    return np.concatenate([labels == 1, labels == 0], axis=1).astype(np.int64)


def _assigned(counts: NDArray[np.int64], folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(G,) fold of each group, from the (G, D) counts of its strata."""
    sizes = counts.sum(axis=1)
    lacking = np.tile(counts.sum(axis=0) / folds, (folds, 1))  # of each stratum, by fold
    room = np.full(folds, sizes.sum() / folds)
    fold_of = np.full(len(counts), -1)
    while (left := np.flatnonzero(fold_of < 0)).size:
        remaining = counts[left].sum(axis=0)
        rarest = int(np.where(remaining > 0, remaining, np.inf).argmin())
        having = left[counts[left, rarest] > 0]
        for group in having[np.lexsort((generator.random(len(having)), -sizes[having], -counts[having, rarest]))]:
            # The last key counts most: the share of the rarest stratum, then the room, then chance.
            fold = int(np.lexsort((generator.random(folds), -room, -lacking[:, rarest]))[0])
            fold_of[group] = fold
            lacking[fold] -= counts[group]
            room[fold] -= sizes[group]
    return fold_of


def _indispensable(counts: NDArray[np.int64], fold_of: NDArray[np.int64]) -> list[int]:
    """Groups that must stay on the training side: for each stratum that one fold holds all of, the smallest of them."""
    kept: list[int] = []
    for stratum in np.flatnonzero(counts.sum(axis=0)):
        having = np.flatnonzero(counts[:, stratum])
        if len(np.unique(fold_of[having])) == 1 and not np.isin(having, kept).any():
            kept.append(int(having[counts[having].sum(axis=1).argmin()]))
    return kept
