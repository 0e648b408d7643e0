"""Folds inside the labels: stratified, by group, and every class on the training side of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.maths.folds import LEAVE_ONE_OUT, folds


def drawn(n: int, classes: int, groups: int, seed: int, *, multilabel: bool) -> tuple[NDArray[np.int64], ...]:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(classes))
    if multilabel:
        labels = (generator.random((n, classes)) < shares).astype(np.int64)
    else:
        labels = generator.choice(classes, size=n, p=shares)
    return labels, generator.integers(groups, size=n)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 80), st.integers(2, 5), st.integers(2, 80), st.integers(0, 10**6), st.booleans())
def test_no_group_is_on_both_sides_and_no_image_is_held_out_twice(
    n: int, classes: int, groups: int, seed: int, multilabel: bool
) -> None:
    labels, group_of = drawn(n, classes, groups, seed, multilabel=multilabel)
    held_out = folds(labels, group_of, generator=np.random.default_rng(seed))
    everything = np.concatenate([*held_out, np.empty(0, dtype=np.int64)])
    assert len(np.unique(everything)) == len(everything)
    for rows in held_out:
        assert len(rows)
        assert not set(group_of[rows]) & set(np.delete(group_of, rows))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 80), st.integers(2, 5), st.integers(2, 80), st.integers(0, 10**6), st.booleans())
def test_each_fold_leaves_every_class_to_train_on(
    n: int, classes: int, groups: int, seed: int, multilabel: bool
) -> None:
    labels, group_of = drawn(n, classes, groups, seed, multilabel=multilabel)
    for rows in folds(labels, group_of, generator=np.random.default_rng(seed)):
        left = np.delete(labels, rows, axis=0)
        if multilabel:
            assert (left.any(axis=0) == labels.any(axis=0)).all()
            assert (left.all(axis=0) == labels.all(axis=0)).all()
        else:
            assert set(left) == set(labels)


def test_classes_are_spread_evenly_over_five_folds() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    held_out = folds(labels, np.arange(100), generator=np.random.default_rng(0))
    assert [np.bincount(labels[rows], minlength=3).tolist() for rows in held_out] == [[12, 6, 2]] * 5


def test_few_labels_are_left_out_one_by_one() -> None:
    labels = np.arange(LEAVE_ONE_OUT - 1) % 3
    held_out = folds(labels, np.arange(len(labels)), generator=np.random.default_rng(0))
    assert sorted(rows.tolist() for rows in held_out) == [[row] for row in range(len(labels))]


def test_few_labels_are_left_out_patient_by_patient() -> None:
    held_out = folds(np.array([0, 1, 0, 1, 0, 1]), np.array([7, 7, 8, 8, 9, 9]), generator=np.random.default_rng(0))
    assert sorted(rows.tolist() for rows in held_out) == [[0, 1], [2, 3], [4, 5]]


def test_the_only_image_of_a_class_is_never_held_out() -> None:
    for n in (10, 50):
        labels = np.array([2, *([0, 1] * n)])
        held_out = folds(labels, np.arange(len(labels)), generator=np.random.default_rng(0))
        assert sorted(np.concatenate(held_out).tolist()) == list(range(1, len(labels)))


def test_two_images_of_a_class_are_in_different_folds() -> None:
    labels = np.array([0] * 40 + [1] * 2)
    for seed in range(5):
        held_out = folds(labels, np.arange(42), generator=np.random.default_rng(seed))
        assert max(int((labels[rows] == 1).sum()) for rows in held_out) == 1
        assert sum(int((labels[rows] == 1).sum()) for rows in held_out) == 2


def test_where_nothing_can_be_held_out_there_is_no_fold() -> None:
    assert folds(np.array([0, 1, 2]), np.arange(3), generator=np.random.default_rng(0)) == []
    assert folds(np.array([0, 1, 0, 1]), np.zeros(4, dtype=np.int64), generator=np.random.default_rng(0)) == []


def test_the_seed_decides() -> None:
    labels, group_of = np.arange(60) % 3, np.arange(60)
    one, same, other = (folds(labels, group_of, generator=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert [rows.tolist() for rows in one] == [rows.tolist() for rows in same]
    assert [rows.tolist() for rows in one] != [rows.tolist() for rows in other]


def test_one_fold_is_refused() -> None:
    with pytest.raises(S4miError, match=r"folds must be 2 or more \(given 1\)"):
        folds(np.array([0, 1]), np.arange(2), generator=np.random.default_rng(0), count=1)
