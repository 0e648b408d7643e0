"""Classes of clusters, against all possible assignments."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from s4mi.maths.cluster_matching import match_clusters

Counts = NDArray[np.int64]
few = settings(deadline=None, max_examples=150)


def tables(clusters: st.SearchStrategy[int], classes: st.SearchStrategy[int]) -> st.SearchStrategy[Counts]:
    """Pixels of each cluster in each class; zeros and draws are common."""
    shapes = st.tuples(clusters, classes)
    return shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 6) | st.integers(0, 10**9)))


def agreement(counts: Counts, classes: Counts | tuple[int, ...]) -> int:
    return int(counts[np.arange(len(counts)), list(classes)].sum())


@few
@given(counts=st.integers(2, 5).flatmap(lambda k: tables(st.just(k), st.just(k))))
def test_as_many_clusters_as_classes_are_matched_one_to_one_so_that_most_pixels_agree(counts: Counts) -> None:
    k = len(counts)
    counts[0] += 1  # every class has pixels
    found = match_clusters(counts)
    assert sorted(found) == list(range(k))
    assert agreement(counts, found) == max(agreement(counts, one) for one in itertools.permutations(range(k)))


@few
@given(counts=tables(st.integers(3, 6), st.integers(2, 3)))
def test_with_more_clusters_every_class_gets_its_best_one_and_others_follow_their_majority(counts: Counts) -> None:
    clusters, classes = counts.shape
    counts[0] += 1  # every class has pixels
    found = match_clusters(counts)
    assert {*found} == {*range(classes)}
    best = max(
        sum(int(counts[cluster, k]) for k, cluster in enumerate(chosen))
        for chosen in itertools.permutations(range(clusters), classes)
    )
    explained = [
        chosen
        for chosen in itertools.permutations(range(clusters), classes)
        if all(found[cluster] == k for k, cluster in enumerate(chosen))
        and agreement(counts[list(chosen)], tuple(range(classes))) == best
        and all(found[n] == counts[n].argmax() for n in range(clusters) if n not in chosen)
    ]
    assert explained


@few
@given(counts=tables(st.integers(1, 3), st.integers(4, 5)))
def test_with_fewer_clusters_each_has_a_class_of_its_own_and_most_pixels_agree(counts: Counts) -> None:
    clusters, classes = counts.shape
    counts[0] += 1
    found = match_clusters(counts)
    assert len({*found}) == clusters
    choices = itertools.permutations(range(classes), clusters)
    assert agreement(counts, found) == max(agreement(counts, one) for one in choices)


@few
@given(counts=tables(st.integers(2, 6), st.integers(1, 3)))
def test_a_class_without_pixels_gets_no_cluster_from_the_others(counts: Counts) -> None:
    """Validation need not contain every class; a cluster assigned to an absent one would be wrong everywhere."""
    with_it = np.column_stack([counts, np.zeros(len(counts), dtype=np.int64)])
    counts[0] += 1
    with_it[0, :-1] += 1
    found = match_clusters(with_it)
    assert not (counts[found == counts.shape[1]]).any()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[90, 10], [5, 40]], [0, 1]),
        ([[5, 40], [90, 10]], [1, 0]),
        ([[50, 30], [40, 0]], [1, 0]),  # majorities would leave class 1 without a cluster
        ([[50, 2], [40, 20], [30, 1], [3, 9]], [0, 1, 0, 1]),
        ([[7, 3]], [0]),
        ([[3, 1, 7], [0, 9, 8]], [2, 1]),
        ([[10, 0], [9, 0], [8, 0]], [0, 0, 0]),
    ],
)
def test_matchings_by_hand(counts: list[list[int]], expected: list[int]) -> None:
    found = match_clusters(np.array(counts))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_the_counts_are_not_modified() -> None:
    counts = np.array([[1, 2], [3, 4]])
    match_clusters(counts)
    assert counts.tolist() == [[1, 2], [3, 4]]
