"""Trees of scikit-learn as plain arrays, so that a checkpoint holds numbers and no pickled objects.

All trees are in one list of nodes. An inner node sends a sample to `left` if x[feature] ≤ threshold, else to `right`; a
leaf sends it to itself, so that every sample is at its leaf after as many steps as the deepest tree has levels.

    output(x) = bias + Σ_t value[leaf_t(x)]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TreeArrays:
    """M nodes of T trees.

    Attributes:
        feature, left, right: (M,) int64.
        threshold: (M,) float32; samples are float32 too.
        value: (M, K) float32, of which those of leaves count.
        roots: (T,) int64.
        bias: (K,) float32.
        levels: number of steps to the deepest leaf.
    """

    feature: Ints
    left: Ints
    right: Ints
    threshold: Floats
    value: Floats
    roots: Ints
    bias: Floats
    levels: int


def join_trees(trees: Sequence[Any], values: Sequence[NDArray[Any]], bias: NDArray[Any]) -> TreeArrays:
    """Join trees of scikit-learn (`estimator.tree_`), each with the (nodes, K) values of its nodes."""
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []
    roots, begun = [], 0
    for tree in trees:
        own, leaf = np.arange(tree.node_count), tree.children_left < 0
        parts.append(
            (
                np.where(leaf, 0, tree.feature),
                begun + np.where(leaf, own, tree.children_left),
                begun + np.where(leaf, own, tree.children_right),
                _rounded_down(tree.threshold),
            )
        )
        roots.append(begun)
        begun += tree.node_count
    feature, left, right, threshold = (np.concatenate(column) for column in zip(*parts, strict=True))
    return TreeArrays(
        feature=feature.astype(np.int64),
        left=left.astype(np.int64),
        right=right.astype(np.int64),
        threshold=threshold,
        value=np.concatenate(list(values)).astype(np.float32),
        roots=np.array(roots, dtype=np.int64),
        bias=np.asarray(bias, dtype=np.float32),
        levels=max(int(tree.max_depth) for tree in trees),
    )


def forest_trees(forest: Any, classes: int) -> TreeArrays:
    """The trees of a fitted `RandomForestClassifier`, whose outputs are its (N, `classes`) probabilities."""
    trees = [each.tree_ for each in forest.estimators_]
    values = []
    for tree in trees:
        value = np.zeros((tree.node_count, classes))
        value[:, forest.classes_] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True) / len(trees)
        values.append(value)
    return join_trees(trees, values, np.zeros(classes))


def _rounded_down(threshold: NDArray[np.float64]) -> Floats:
    """The greatest float32 not above each threshold: for float32 x, x ≤ threshold exactly if x ≤ that."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float32)
