"""Measures of feature collapse, against values by hand, naive loops and scikit-learn."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from s4mi.maths.feature_health import effective_rank, nearest_neighbours, spread
from s4mi.records import LEAST_RANK, LEAST_STD, MOST_ENTROPY, FeatureHealth, FeatureSpread


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


sizes = st.tuples(st.integers(2, 24), st.integers(1, 24), st.integers(0, 10_000))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_effective_rank_of_k_equal_orthogonal_directions_is_k(k: int) -> None:
    axes = torch.eye(8)[:k]
    assert effective_rank(torch.cat([axes, -axes])) == pytest.approx(k)


def test_the_effective_rank_of_directions_three_to_one_by_hand() -> None:
    features = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # of the normalised singular values
    assert effective_rank(features) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4, -3e-5])
def test_the_effective_rank_of_identical_features_is_one(value: float) -> None:
    assert effective_rank(torch.full((20, 7), value)) == 1.0
    assert effective_rank(value * random(1, 300).expand(50, 300)) == 1.0


@settings(deadline=None, max_examples=60)
@given(size=sizes)
def test_the_effective_rank_lies_between_one_and_the_maximum_of_centred_features(
    size: tuple[int, int, int],
) -> None:
    n, d, seed = size
    rank = effective_rank(random(n, d, seed=seed))
    assert 1 - 1e-9 <= rank <= max(1, min(n - 1, d)) * (1 + 1e-9)


@settings(deadline=None, max_examples=40)
@given(size=sizes, scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_the_effective_rank_is_invariant_to_rotation_scale_and_shift(
    size: tuple[int, int, int], scale: float, shift: float
) -> None:
    n, d, seed = size
    features = random(n, d, seed=seed).double()
    turn, _ = torch.linalg.qr(random(d, d, seed=seed + 1).double())
    assert effective_rank(scale * features @ turn + shift) == pytest.approx(effective_rank(features), rel=1e-5)


def naive(features: Tensor) -> tuple[float, float]:
    """Standard deviation and effective rank of rows scaled to unit length, by naive loops."""
    rows = [[float(x) for x in row] for row in features.double()]
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]
    n, d = len(unit), len(unit[0])
    means = [sum(row[j] for row in unit) / n for j in range(d)]
    stds = [math.sqrt(sum((row[j] - means[j]) ** 2 for row in unit) / n) for j in range(d)]
    centred = [[row[j] - means[j] for j in range(d)] for row in unit]
    # Singular values are the roots of the eigenvalues of the covariance.
    covariance = [[sum(row[i] * row[j] for row in centred) for j in range(d)] for i in range(d)]
    values = [math.sqrt(max(0.0, value)) for value in np.linalg.eigvalsh(covariance)]
    shares = [value / sum(values) for value in values]
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    return math.sqrt(d) * sum(stds) / d, math.exp(entropy)


@pytest.mark.parametrize(("n", "d"), [(5, 3), (12, 8), (40, 2)])
def test_the_spread_is_its_definition(n: int, d: int) -> None:
    features = random(n, d) * torch.linspace(0.1, 3, d) + 0.5
    std, rank = naive(features)
    found = spread(features)
    assert found.std == pytest.approx(std, rel=1e-5)
    assert found.effective_rank == pytest.approx(rank, rel=1e-4)
    assert found.dimensions == d


def test_features_in_all_directions_have_a_spread_of_one() -> None:
    found = spread(random(4000, 32))
    assert found.std == pytest.approx(1, abs=0.01)
    assert found.effective_rank == pytest.approx(32, rel=0.02)
    assert not found.collapsed


@settings(deadline=None, max_examples=40)
@given(size=sizes, scale=st.floats(1e-2, 1e2))
def test_the_spread_is_between_zero_and_one_on_any_scale(size: tuple[int, int, int], scale: float) -> None:
    n, d, seed = size
    features = random(n, d, seed=seed) + 0.1
    found = spread(features)
    assert 0 <= found.std <= 1 + 1e-6
    assert spread(scale * features).std == pytest.approx(found.std, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("value", [1.0, 1e-4, 300.0])
def test_identical_features_have_collapsed(value: float) -> None:
    found = spread(torch.full((30, 16), value))
    assert found.std == pytest.approx(0, abs=1e-6)
    assert found.effective_rank == 1.0
    assert found.collapsed


def test_features_on_one_line_have_collapsed_although_they_differ() -> None:
    line = torch.linspace(-0.2, 0.2, 40)[:, None] * torch.eye(16)[0] + torch.eye(16)[1]
    found = spread(line)
    assert found.std > LEAST_STD
    assert found.effective_rank < LEAST_RANK
    assert found.collapsed


HEALTHY: dict[str, Any] = {"std": LEAST_STD, "effective_rank": LEAST_RANK, "dimensions": 16}


def test_features_have_collapsed_by_either_measure() -> None:
    assert not FeatureSpread(**HEALTHY).collapsed
    assert FeatureSpread(**{**HEALTHY, "std": 0.99 * LEAST_STD}).collapsed
    assert FeatureSpread(**{**HEALTHY, "effective_rank": 0.99 * LEAST_RANK}).collapsed


def test_collapsed_features_are_named_with_the_teacher_last() -> None:
    healthy, constant = FeatureSpread(**HEALTHY), FeatureSpread(**{**HEALTHY, "std": 0.0})
    assert FeatureHealth(features={"cnn": healthy, "vit": healthy}).collapsed == ()
    collapsed = FeatureHealth(features={"cnn": healthy, "vit": constant, "vit logits": constant}).collapsed
    assert collapsed == ("vit", "vit logits")
    assert FeatureHealth(features={"vit": healthy}, signals={"teacher_entropy": MOST_ENTROPY}).collapsed == ()
    assert FeatureHealth(features={"vit": constant}, signals={"teacher_entropy": 1.0}).collapsed == ("vit", "teacher")


@pytest.mark.parametrize("n", [0, 1])
def test_the_spread_of_less_than_two_images_is_not_defined(n: int) -> None:
    with pytest.raises(ValueError, match=rf"needs at least 2 images \(given {n}\)"):
        spread(torch.ones(n, 4))


def test_votes_of_neighbours_are_those_of_scikit_learn() -> None:
    references, queries = random(60, 5), random(25, 5, seed=1)
    truth = torch.randint(4, (60,), generator=torch.Generator().manual_seed(2))

    def weights(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / 0.07)

    peer = KNeighborsClassifier(n_neighbors=7, metric="cosine", algorithm="brute", weights=weights)
    peer.fit(references.double().numpy(), truth.numpy())
    votes = nearest_neighbours(queries, references, torch.nn.functional.one_hot(truth, 4), neighbours=7)
    np.testing.assert_allclose(votes.numpy(), peer.predict_proba(queries.double().numpy()), atol=1e-4)


def test_neighbours_may_have_several_classes_or_none() -> None:
    references = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1]])
    answers = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    votes = nearest_neighbours(torch.tensor([[2.0, 0], [0, 5]]), references, answers, neighbours=2, temperature=1.0)
    near, nearer = 1.0, 0.9 / math.hypot(0.9, 0.1)
    share = math.exp(near) / (math.exp(near) + math.exp(nearer))
    assert votes[0].tolist() == pytest.approx([1, share, 0])
    other = 0.1 / math.hypot(0.9, 0.1)
    assert votes[1].tolist() == pytest.approx([math.exp(other) / (math.exp(other) + math.exp(1)), 0, 0])


@settings(deadline=None, max_examples=40)
@given(size=sizes, neighbours=st.integers(1, 50))
def test_votes_lie_between_zero_and_one_and_sum_to_one_for_single_labels(
    size: tuple[int, int, int], neighbours: int
) -> None:
    n, d, seed = size
    answers = torch.nn.functional.one_hot(torch.arange(n) % 3, 3)
    votes = nearest_neighbours(random(4, d, seed=seed), random(n, d, seed=seed + 1), answers, neighbours=neighbours)
    assert votes.min() >= 0
    torch.testing.assert_close(votes.sum(dim=1), torch.ones(4))


def test_a_reference_finds_itself() -> None:
    references = random(30, 8)
    votes = nearest_neighbours(3 * references, references, torch.eye(30), neighbours=1)
    assert torch.equal(votes, torch.eye(30))
