"""Active learning: entropy against scipy, selection against naive loops."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.maths.acquisition import (
    GroupLimit,
    at_random,
    binary,
    by_weight,
    clusters_of,
    directions,
    disagreement,
    distances,
    entropy,
    k_centre,
    ranks,
    typical,
    typicality,
)

SEEDS = st.integers(0, 2**31)


def drawn(seed: int, n: int, d: int = 5) -> np.ndarray:
    return directions(np.random.default_rng(seed).normal(size=(n, d)))


@given(SEEDS)
def test_entropy_is_that_of_scipy_divided_by_its_maximum(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(4), size=7).T
    assert entropy(p) == pytest.approx(scipy.stats.entropy(p, base=4, axis=0))


def test_entropy_by_hand() -> None:
    assert entropy(np.array([[1.0, 0.5, 0.25], [0.0, 0.5, 0.75]])).tolist() == pytest.approx([0, 1, 0.811278])


def test_equal_members_have_no_disagreement_and_opposite_ones_the_maximum() -> None:
    same = np.tile(np.array([0.7, 0.3])[None, :], (3, 1))
    assert float(disagreement(same)) == pytest.approx(0, abs=1e-12)
    assert float(disagreement(np.eye(2))) == pytest.approx(1)


@given(SEEDS)
def test_disagreement_is_the_mean_divergence_from_the_mean_prediction(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(3), size=5)  # (M, K)
    expected = np.mean([scipy.stats.entropy(member, p.mean(axis=0), base=3) for member in p])
    assert float(disagreement(p)) == pytest.approx(expected)


def test_multi_label_probabilities_are_split_into_present_and_absent() -> None:
    assert binary(np.array([0.2, 0.9])).tolist() == [[0.2, 0.9], pytest.approx([0.8, 0.1])]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_ranks_are_those_of_scipy(values: list[int]) -> None:
    expected = scipy.stats.rankdata(values) / len(values)
    assert ranks(np.array(values, dtype=float)) == pytest.approx(expected)


def test_distances_are_euclidean() -> None:
    x, y = drawn(0, 6), drawn(1, 4)
    assert distances(x, y) == pytest.approx(np.linalg.norm(x[:, None] - y[None], axis=2))


@settings(deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 6))
def test_k_centre_is_that_of_a_naive_loop(seed: int, count: int, known: int) -> None:
    x, old = drawn(seed, 15), drawn(seed + 1, known)
    weights = np.random.default_rng(seed).uniform(0.1, 1, 15)
    there, expected = list(old), []
    for _ in range(count):
        worth = [
            -1.0 if i in expected else weights[i] * min(math.dist(x[i], other) for other in there) for i in range(15)
        ]
        expected.append(int(np.argmax(worth)))
        there.append(x[expected[-1]])
    picks = k_centre(x, old, count=count, cap=GroupLimit([None] * 15), weights=weights)
    assert [pick.position for pick in picks] == expected


@settings(deadline=None)
@given(SEEDS)
def test_greedy_k_centre_covers_within_twice_the_best_radius(seed: int) -> None:
    """Gonzalez' bound, against the best of all pairs."""
    x = drawn(seed, 9)
    chosen = [pick.position for pick in k_centre(x, x[:0], count=2, cap=GroupLimit([None] * 9))]
    between = distances(x, x)
    best = min(between[:, [i, j]].min(axis=1).max() for i in range(9) for j in range(i))
    assert between[:, chosen].min(axis=1).max() <= 2 * best + 1e-9


def test_an_image_like_a_known_one_comes_last() -> None:
    x = directions(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1e-3]]))
    picks = k_centre(x, x[:1], count=3, cap=GroupLimit([None] * 3))
    assert [pick.position for pick in picks] == [1, 2, 0]
    assert (picks[0].near, picks[0].spread) == (0, pytest.approx(math.sqrt(2)))


def test_the_nearest_selected_image_is_reported() -> None:
    """`near` counts known images first, then candidates."""
    x = directions(np.array([[1.0, 0.0], [-1.0, 0.1], [-1.0, 0.2]]))
    picks = k_centre(x, directions(np.array([[1.0, 0.5]])), count=3, cap=GroupLimit([None] * 3))
    assert [(pick.position, pick.near) for pick in picks] == [(1, 0), (0, 0), (2, 2)]


def test_typicality_is_the_reciprocal_of_the_mean_distance_to_the_nearest() -> None:
    x = drawn(3, 8)
    between = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)
    assert typicality(x, neighbours=3) == pytest.approx(1 / between[:, 1:4].mean(axis=1))


def test_typical_selects_the_middle_of_the_largest_uncovered_cluster() -> None:
    angles = np.deg2rad([0, 1, 2, 90, 91, 92, 93, 94, 200])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    clusters = np.array([0, 0, 0, 1, 1, 1, 1, 1, 2])
    picks = typical(x, x[:0], clusters=clusters, count=4, cap=GroupLimit([None] * 9))
    assert [pick.position for pick in picks] == [5, 1, 8, 4]
    assert [pick.cluster for pick in picks] == [5, 3, 1, 5]
    covered = typical(x[3:], x[:3], clusters=np.array([1, 1, 1, 1, 1, 2, 0, 0, 0]), count=2, cap=GroupLimit([None] * 6))
    assert [pick.position for pick in covered] == [2, 5]


@pytest.mark.parametrize("way", ["weight", "k-centre", "typicality", "random"])
@given(seed=SEEDS, most=st.integers(0, 3))
@settings(deadline=None, max_examples=20)
def test_no_patient_exceeds_the_limit_and_the_budget_is_used(way: str, seed: int, most: int) -> None:
    generator = np.random.default_rng(seed)
    groups = [None if one == 0 else f"p{one}" for one in generator.integers(0, 4, 14)]
    x, cap = drawn(seed, 14), GroupLimit(groups, most)
    if way == "weight":
        picks = by_weight(generator.random(14), count=10, cap=cap)
    elif way == "random":
        picks = at_random(14, count=10, cap=cap, generator=generator)
    elif way == "k-centre":
        picks = k_centre(x, x[:2], count=10, cap=cap)
    else:
        picks = typical(x, x[:0], clusters=clusters_of(x, 4, seed=0), count=10, cap=cap)
    chosen = [groups[pick.position] for pick in picks]
    assert len({pick.position for pick in picks}) == len(picks)
    counts = {group: chosen.count(group) for group in set(chosen) - {None}}
    assert not most or max(counts.values(), default=0) <= most
    room = sum(min(groups.count(g), most or 14) for g in set(groups) - {None}) + groups.count(None)
    assert len(picks) == min(10, room)


def test_ties_go_to_the_first_candidate() -> None:
    same = np.tile(directions(np.ones((1, 3))), (5, 1))
    assert [pick.position for pick in by_weight(np.ones(5), count=3, cap=GroupLimit([None] * 5))] == [0, 1, 2]
    assert [pick.position for pick in k_centre(same, same[:0], count=3, cap=GroupLimit([None] * 5))] == [0, 1, 2]
