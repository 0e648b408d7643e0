"""k-means against faiss, scikit-learn and naive loops, and properties of any clustering."""

from collections.abc import Iterator
from itertools import pairwise

import faiss
import numpy as np
import pytest
import sklearn.cluster
import torch
import torch.nn.functional as F
from full_kmeans import Clustering, full_kmeans, plus_plus
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from s4mi.errors import S4miError
from s4mi.maths import kmeans
from s4mi.maths.kmeans import MOST_CLUSTERS, assign, centroid_distances
from s4mi.maths.mini_batch_kmeans import MiniBatchKMeans

faiss.omp_set_num_threads(1)

both = pytest.mark.parametrize("cosine", [True, False])
few = settings(deadline=None, max_examples=40)


@pytest.fixture(autouse=True, scope="module", params=["synchronising", "not synchronising"])
def _synchronising(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything also holds if no value may be read in between, as on a GPU."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "not synchronising":
            patched.setattr(kmeans, "sync_is_free", lambda _points: False)
        yield


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def blobs(points: int, *, centres: int = 5, dimensions: int = 8, noise: float = 0.3, seed: int = 0) -> Tensor:
    """Points around `centres` random centres, in turn."""
    means = 2 * random(centres, dimensions, seed=seed)
    return means[torch.arange(points) % centres] + noise * random(points, dimensions, seed=seed + 1)


def lloyd(features: Tensor, clusters: int, *, cosine: bool, iterations: int = 100, start: Tensor) -> Clustering:
    return full_kmeans(features, clusters, iterations=iterations, generator=seeded(), cosine=cosine, start=start)


def by_faiss(features: Tensor, start: Tensor, *, cosine: bool, iterations: int) -> tuple[Tensor, Tensor]:
    """Centroids and labels of faiss, which expects points of unit length under cosine."""
    points = (F.normalize(features, dim=1) if cosine else features).numpy()
    options = {"min_points_per_centroid": 1, "max_points_per_centroid": 10**9}
    peer = faiss.Kmeans(points.shape[1], len(start), niter=iterations, spherical=cosine, **options)
    peer.train(points, init_centroids=start.numpy())
    return torch.from_numpy(peer.centroids), torch.from_numpy(peer.index.search(points, 1)[1][:, 0])


def distances(features: Tensor, centroids: Tensor, *, cosine: bool) -> Tensor:
    """(N, K) in double precision, one difference at a time."""
    if cosine:
        features, centroids = F.normalize(features.double(), dim=1), F.normalize(centroids.double(), dim=1)
    return (features.double()[:, None] - centroids.double()[None]).square().sum(dim=2)


def one_line(error: pytest.ExceptionInfo[S4miError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# Lloyd's algorithm, against other libraries


@both
@pytest.mark.parametrize("iterations", [1, 3, 25])
@pytest.mark.parametrize("seed", range(3))
def test_lloyd_from_a_start_is_that_of_faiss(cosine: bool, iterations: int, seed: int) -> None:
    features = blobs(600, noise=1.5, seed=seed)
    start = plus_plus(features, 6, generator=seeded(seed), cosine=cosine)
    found = lloyd(features, 6, cosine=cosine, iterations=iterations, start=start)
    centroids, labels = by_faiss(features, start, cosine=cosine, iterations=iterations)
    torch.testing.assert_close(found.centroids, centroids, rtol=0, atol=1e-4)
    assert torch.equal(found.labels, labels)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_lloyd_to_the_end_is_that_of_scikit_learn(seed: int) -> None:
    features = blobs(500, noise=1.5, seed=seed)
    start = plus_plus(features, 6, generator=seeded(seed), cosine=False)
    found = lloyd(features, 6, cosine=False, iterations=300, start=start)
    peer = sklearn.cluster.KMeans(6, init=start.numpy(), n_init=1, max_iter=300, tol=0, algorithm="lloyd")
    peer.fit(features.numpy())
    np.testing.assert_allclose(found.centroids.numpy(), peer.cluster_centers_, atol=1e-4)
    assert found.labels.tolist() == peer.labels_.tolist()
    assert found.inertia == pytest.approx(peer.inertia_, rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_from_its_own_starts_it_does_as_well_as_scikit_learn(seed: int) -> None:
    features = blobs(1000, centres=8, noise=0.2, seed=seed)
    # A single start may end in a local optimum; the best of five finds the blobs.
    ours = min(full_kmeans(features, 8, generator=seeded(s), cosine=False).inertia for s in range(5))
    peer = sklearn.cluster.KMeans(8, init="k-means++", n_init=5, random_state=seed).fit(features.numpy())
    assert ours == pytest.approx(peer.inertia_, rel=0.03)


@pytest.mark.long
@both
@pytest.mark.parametrize("seed", range(3))
def test_from_its_own_starts_it_does_no_worse_than_faiss(cosine: bool, seed: int) -> None:
    features = blobs(1000, centres=8, noise=0.2, seed=seed)
    ours = min(full_kmeans(features, 8, generator=seeded(s), cosine=cosine).inertia for s in range(5))
    points = (F.normalize(features, dim=1) if cosine else features).numpy()
    peer = faiss.Kmeans(8, 8, niter=50, spherical=cosine, nredo=5, seed=seed, min_points_per_centroid=1)
    peer.train(points)  # its random starts may miss a blob five times
    theirs = float(distances(features, torch.from_numpy(peer.centroids), cosine=cosine).min(dim=1).values.sum())
    assert ours <= 1.03 * theirs


@both
def test_labels_are_those_of_faiss_for_given_centroids(cosine: bool) -> None:
    features, centroids = random(2000, 32), F.normalize(random(255, 32, seed=1), dim=1)
    index = faiss.IndexFlatIP(32) if cosine else faiss.IndexFlatL2(32)
    index.add(centroids.numpy())
    assert assign(features, centroids, cosine=cosine).tolist() == index.search(features.numpy(), 1)[1][:, 0].tolist()


# Lloyd's algorithm, properties


@few
@given(
    n=st.integers(12, 60), k=st.integers(1, 8), d=st.integers(2, 6), seed=st.integers(0, 10_000), cosine=st.booleans()
)
def test_inertia_never_goes_up(n: int, k: int, d: int, seed: int, cosine: bool) -> None:
    features, start = random(n, d, seed=seed), random(k, d, seed=seed + 1)  # some clusters may be empty at first
    course = [lloyd(features, k, cosine=cosine, iterations=i, start=start).inertia for i in range(8)]
    for before, after in pairwise(course):
        assert after <= before * (1 + 1e-5) + 1e-6


@pytest.mark.long
@few
@given(
    n=st.integers(12, 60), k=st.integers(1, 8), d=st.integers(2, 6), seed=st.integers(0, 10_000), cosine=st.booleans()
)
def test_the_result_of_lloyd_is_a_fixed_point(n: int, k: int, d: int, seed: int, cosine: bool) -> None:
    features = random(n, d, seed=seed)
    found = full_kmeans(features, k, generator=seeded(seed), cosine=cosine)
    points = F.normalize(features, dim=1) if cosine else features
    assert torch.equal(found.labels, assign(features, found.centroids, cosine=cosine))
    assert set(found.labels.tolist()) == set(range(k))
    means = torch.stack([points[found.labels == label].mean(dim=0) for label in range(k)])
    if cosine:
        means = F.normalize(means, dim=1)
        torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(k), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.centroids, means, rtol=1e-3, atol=1e-4)
    nearest = distances(features, found.centroids, cosine=cosine).min(dim=1).values.sum()
    assert found.inertia == pytest.approx(float(nearest), rel=1e-4, abs=1e-5)


@few
@given(n=st.integers(20, 80), seed=st.integers(0, 10_000), cosine=st.booleans())
def test_the_order_of_the_points_changes_nothing(n: int, seed: int, cosine: bool) -> None:
    features, start = blobs(n, noise=0.5, seed=seed), random(4, 8, seed=seed + 2)
    order = torch.randperm(n, generator=seeded(seed))
    assume(len(set(assign(features, start, cosine=cosine).tolist())) == 4)
    one = lloyd(features, 4, cosine=cosine, iterations=5, start=start)
    other = lloyd(features[order], 4, cosine=cosine, iterations=5, start=start)
    torch.testing.assert_close(one.centroids, other.centroids, rtol=1e-3, atol=1e-4)
    assert torch.equal(one.labels[order], other.labels)


@few
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_under_cosine_the_length_of_points_has_no_effect(seed: int, scale: float) -> None:
    features, start = blobs(60, noise=0.5, seed=seed), random(4, 8, seed=seed)
    lengths = scale * (0.1 + torch.rand(60, 1, generator=seeded(seed)))
    one = lloyd(features, 4, cosine=True, iterations=3, start=start)
    other = lloyd(lengths * features, 4, cosine=True, iterations=3, start=start)
    torch.testing.assert_close(one.centroids, other.centroids, rtol=1e-3, atol=1e-4)


@both
def test_clusters_of_four_points_by_hand(cosine: bool) -> None:
    features = torch.tensor([[3.0, 0.0], [3.0, 1.0], [0.0, 2.0], [1.0, 2.0]])
    found = full_kmeans(features, 2, generator=seeded(), cosine=cosine)
    first = found.labels[0]
    assert found.labels.tolist() == [first, first, 1 - first, 1 - first]
    expected = torch.tensor([[3.0, 0.5], [0.5, 2.0]])
    if cosine:  # halfway between the two directions
        angles = torch.tensor([np.arctan2(1, 3) / 2, (np.pi / 2 + np.arctan2(2, 1)) / 2])
        expected = torch.stack([angles.cos(), angles.sin()], dim=1).float()
    torch.testing.assert_close(found.centroids[[int(first), int(1 - first)]], expected, rtol=0, atol=1e-5)


def test_far_from_the_origin_clusters_are_found_as_near_it() -> None:
    features, far = blobs(300, dimensions=4), torch.tensor([30000.0, -20000.0, 10000.0, 0.0])
    one = full_kmeans(features, 5, generator=seeded(3), cosine=False, start=features[:5])
    other = full_kmeans(features + far, 5, generator=seeded(3), cosine=False, start=features[:5] + far)
    assert torch.equal(one.labels, other.labels)
    assert other.inertia == pytest.approx(one.inertia, rel=1e-2)


@both
def test_points_that_cancel_out_leave_a_centroid_of_unit_length(cosine: bool) -> None:
    features = torch.tensor([[1.0, 0], [-1, 0]]).repeat(10, 1)
    found = full_kmeans(features, 1, generator=seeded(), cosine=cosine)
    assert float(found.centroids.norm()) == pytest.approx(1 if cosine else 0, abs=1e-6)


# Labels


@few
@given(
    n=st.integers(0, 60), k=st.integers(1, 20), d=st.integers(1, 8), seed=st.integers(0, 10_000), cosine=st.booleans()
)
def test_a_label_is_that_of_the_nearest_centroid(n: int, k: int, d: int, seed: int, cosine: bool) -> None:
    features, centroids = random(n, d, seed=seed), random(k, d, seed=seed + 1)
    labels = assign(features, centroids, cosine=cosine)
    assert labels.dtype == torch.int64
    away = distances(features, centroids, cosine=cosine)
    chosen = away.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(chosen, away.amin(dim=1), rtol=1e-4, atol=1e-5)


@both
@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_labels_are_the_same_in_chunks(cosine: bool, chunk: int) -> None:
    features, centroids = random(500, 16), random(27, 16, seed=1)
    whole = assign(features, centroids, cosine=cosine)
    assert torch.equal(assign(features, centroids, cosine=cosine, chunk=chunk), whole)


@both
def test_ties_go_to_the_first_centroid(cosine: bool) -> None:
    centroids = torch.eye(3)[[0, 1, 1, 0]]
    assert assign(torch.eye(3)[:2], centroids, cosine=cosine).tolist() == [0, 1]


def test_a_point_of_zeros_has_no_direction_and_moves_nothing() -> None:
    features, zeros = F.normalize(blobs(60), dim=1), torch.zeros(40, 8)
    start = features[:5]
    one = lloyd(features, 5, cosine=True, start=start)
    other = lloyd(torch.cat([zeros, features]), 5, cosine=True, start=start)
    torch.testing.assert_close(one.centroids, other.centroids, rtol=0, atol=1e-5)
    assert other.labels[:40].tolist() == [0] * 40
    assert plus_plus(torch.cat([zeros, features]), 5, generator=seeded()).norm(dim=1).min() > 0.99


# The start


@few
@given(
    n=st.integers(10, 60), k=st.integers(1, 10), d=st.integers(2, 6), seed=st.integers(0, 10_000), cosine=st.booleans()
)
def test_a_start_consists_of_distinct_points(n: int, k: int, d: int, seed: int, cosine: bool) -> None:
    features = random(n, d, seed=seed)
    start = plus_plus(features, k, generator=seeded(seed), cosine=cosine)
    points = F.normalize(features, dim=1) if cosine else features
    chosen = (start[:, None] - points[None]).abs().amax(dim=2).argmin(dim=1)
    torch.testing.assert_close(points[chosen], start)
    assert len(set(chosen.tolist())) == k


@few
@given(copies=st.integers(1, 30), seed=st.integers(0, 10_000), cosine=st.booleans())
def test_with_as_many_distinct_points_as_clusters_each_starts_one(copies: int, seed: int, cosine: bool) -> None:
    different = torch.eye(5)
    features = torch.cat([different, different[:2].repeat(copies, 1), 3 * different[2:3] if cosine else different[2:3]])
    start = plus_plus(features, 5, generator=seeded(seed), cosine=cosine)
    assert sorted(start.argmax(dim=1).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.long
def test_points_are_drawn_by_their_squared_distance() -> None:
    features = torch.tensor([[0.0], [1.0], [3.0]])
    pairs = [tuple(plus_plus(features, 2, generator=seeded(s), cosine=False)[:, 0].tolist()) for s in range(3000)]
    count = {pair: pairs.count(pair) / len(pairs) for pair in set(pairs)}
    expected = {(0, 1): 1 / 10, (0, 3): 9 / 10, (1, 0): 1 / 5, (1, 3): 4 / 5, (3, 0): 9 / 13, (3, 1): 4 / 13}
    assert count.keys() == expected.keys()
    for pair, chance in expected.items():  # three standard deviations are 0.026 at most
        assert count[pair] == pytest.approx(chance / 3, abs=0.026)


# Errors


@both
@pytest.mark.parametrize("different", [1, 3])
def test_more_clusters_than_distinct_points_are_a_one_line_error(cosine: bool, different: int) -> None:
    features = torch.eye(4)[:different].repeat(20, 1)
    k = different + 1
    message = (
        f"{k} clusters need at least {k} distinct points (found {different} among {20 * different}); use fewer clusters"
    )
    with pytest.raises(S4miError) as error:
        plus_plus(features, k, generator=seeded(), cosine=cosine)
    assert one_line(error).startswith(message)
    with pytest.raises(S4miError) as error:
        full_kmeans(features, k, generator=seeded(), cosine=cosine)
    assert one_line(error).startswith(message)
    with pytest.raises(S4miError) as error:  # also from a start of distinct centroids
        lloyd(features, k, cosine=cosine, start=random(k, 4))
    assert one_line(error).startswith(message)
    batches = MiniBatchKMeans(k, generator=seeded(), cosine=cosine, start_points=10)
    batches.update(features)
    with pytest.raises(S4miError) as error:
        batches.check()
    assert one_line(error).startswith(message)


def test_points_of_one_direction_are_one_point_under_cosine() -> None:
    features = torch.linspace(0.1, 9, 50)[:, None] * random(1, 16)
    with pytest.raises(S4miError, match=r"\(found 1 among 50\);"):
        plus_plus(features, 2, generator=seeded())
    with pytest.raises(S4miError, match=r"\(found 1 among 50\);"):  # differences by rounding are not split
        lloyd(features, 2, cosine=True, start=random(2, 16, seed=1))
    assert len(plus_plus(features, 2, generator=seeded(), cosine=False)) == 2


def test_no_points_at_all_are_too_few() -> None:
    none = torch.zeros(0, 3)
    for cluster in (plus_plus, full_kmeans):
        with pytest.raises(S4miError, match=r"2 clusters need at least 2 distinct points \(found 0 among 0\)"):
            cluster(none, 2, generator=seeded())
    with pytest.raises(S4miError, match=r"2 clusters need at least 2 distinct points \(found 0 among 0\)"):
        lloyd(none, 2, cosine=True, start=random(2, 3))


@pytest.mark.parametrize("clusters", [0, -1, MOST_CLUSTERS + 1])
def test_labels_that_do_not_fit_into_a_byte_are_refused(clusters: int) -> None:
    with pytest.raises(S4miError) as error:
        MiniBatchKMeans(clusters, generator=seeded())
    assert one_line(error) == f"clusters must be 1–255 (given {clusters})"
    with pytest.raises(S4miError, match="must be 1–255"):
        full_kmeans(random(300, 2), clusters, generator=seeded())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_a_one_line_error(value: float) -> None:
    features = random(20, 3)
    features[3, 1] = value
    for cluster in (plus_plus, full_kmeans):
        with pytest.raises(S4miError) as error:
            cluster(features, 2, generator=seeded())
        assert one_line(error).startswith("features to cluster are not finite; lower optim.lr")
    for order in ((blobs(20, dimensions=3), features), (features, blobs(20, dimensions=3))):  # at the start, and after
        batches = MiniBatchKMeans(2, generator=seeded(), start_points=20)
        for batch in order:
            batches.update(batch)
        with pytest.raises(S4miError, match="features to cluster are not finite"):
            batches.check()


# Mini-batches


def batched(features: Tensor, size: int, clusters: int, **settings_: object) -> MiniBatchKMeans:
    batches = MiniBatchKMeans(clusters, generator=seeded(), **settings_)  # type: ignore[arg-type]
    for batch in torch.split(features, size):
        batches.update(batch)
    return batches


def test_mini_batches_move_centroids_as_scikit_learn_does() -> None:
    features = blobs(900, noise=1.0)
    ours = MiniBatchKMeans(5, generator=seeded(), cosine=False, start_points=100, start_iterations=200)
    ours.update(features[:100])
    start = ours.centroids
    peer = sklearn.cluster.MiniBatchKMeans(5, init=start.numpy(), n_init=1, reassignment_ratio=0)
    peer.partial_fit(features[:100].numpy())  # the start has converged: these points do not move it
    np.testing.assert_allclose(start.numpy(), peer.cluster_centers_, atol=1e-5)
    for batch in torch.split(features[100:], 80):
        ours.update(batch)
        peer.partial_fit(batch.numpy())
        np.testing.assert_allclose(ours.centroids.numpy(), peer.cluster_centers_, atol=1e-4)
        assert ours.counts.tolist() == [round(count) for count in peer._counts]


@both
def test_a_centroid_is_the_mean_of_all_points_assigned_to_it(cosine: bool) -> None:
    features = blobs(1000, noise=1.0)
    batches = MiniBatchKMeans(5, generator=seeded(), cosine=cosine, start_points=100, start_iterations=200)
    points = F.normalize(features, dim=1) if cosine else features
    seen: dict[int, list[Tensor]] = {label: [] for label in range(5)}
    for number, batch in enumerate(torch.split(points, 100)):
        labels = batches.assign(batch) if number else None
        batches.update(batch)
        for point, label in zip(batch, batches.assign(batch) if labels is None else labels, strict=True):
            seen[int(label)].append(point.double())
    means = torch.stack([torch.stack(seen[label]).mean(dim=0) for label in range(5)]).float()
    torch.testing.assert_close(batches.centroids, F.normalize(means, dim=1) if cosine else means, rtol=1e-4, atol=1e-5)
    assert batches.counts.tolist() == [len(seen[label]) for label in range(5)]


@pytest.mark.long
@both
@pytest.mark.parametrize("seed", range(3))
def test_in_mini_batches_the_clusters_are_nearly_as_good_as_all_at_once(cosine: bool, seed: int) -> None:
    features = blobs(3000, noise=0.5, seed=seed)
    found = batched(features, 200, 5, cosine=cosine, start_points=400)
    away = distances(features, found.centroids, cosine=cosine).min(dim=1).values.sum()
    full = full_kmeans(features, 5, generator=seeded(), cosine=cosine, start=found.centroids)
    assert float(away) <= 1.03 * full.inertia


def test_the_start_waits_for_enough_points_unless_results_are_requested() -> None:
    features = blobs(300)
    collecting = batched(features, 50, 5, start_points=10_000)
    assert int(collecting.counts.sum()) == 300
    at_once = batched(features, 300, 5, start_points=300)
    assert torch.equal(collecting.centroids, at_once.centroids)
    assert MiniBatchKMeans(5, generator=seeded()).start_points == 5 * 256


@pytest.mark.parametrize("what", ["centroids", "counts"])
def test_without_points_there_are_no_clusters(what: str) -> None:
    with pytest.raises(ValueError, match="no points yet"):
        getattr(MiniBatchKMeans(3, generator=seeded()), what)


def test_points_collected_for_the_start_are_copied() -> None:
    features = blobs(100)
    ours = MiniBatchKMeans(5, generator=seeded(), cosine=False)
    modified = features.clone()
    ours.update(modified)
    modified.zero_()
    assert torch.equal(ours.centroids, batched(features, 100, 5, cosine=False).centroids)


@both
def test_an_empty_batch_changes_nothing(cosine: bool) -> None:
    features = blobs(200)
    ours = batched(features, 200, 5, cosine=cosine, start_points=100)
    before = ours.centroids
    ours.update(features[:0])
    assert torch.equal(ours.centroids, before)


@pytest.mark.long
@few
@given(seed=st.integers(0, 10_000), cosine=st.booleans(), k=st.integers(1, 9), share=st.floats(0, 0.3))
def test_the_same_seed_gives_the_same_clusters_and_centroids_of_unit_length(
    seed: int, cosine: bool, k: int, share: float
) -> None:
    features = blobs(400, noise=0.8, seed=seed)
    state = torch.random.get_rng_state()
    one, other = (
        batched(features, 40, k, cosine=cosine, start_points=90, reassign_after=2, least_share=share) for _ in range(2)
    )
    assert torch.equal(one.centroids, other.centroids)
    assert torch.equal(one.counts, other.counts)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.isfinite(one.centroids).all()
    if cosine:
        torch.testing.assert_close(one.centroids.norm(dim=1), torch.ones(k), rtol=0, atol=1e-5)


# Empty clusters


@both
def test_a_cluster_empty_at_the_start_gets_points(cosine: bool) -> None:
    features = blobs(200)
    start = torch.cat([features[:1], features[:1], features[:1], -100 * features[:2]])
    found = lloyd(features, 5, cosine=cosine, start=start)
    assert torch.bincount(found.labels, minlength=5).min() > 0


@both
def test_a_cluster_of_one_point_many_times_over_is_not_the_one_split(cosine: bool) -> None:
    features = torch.cat([torch.eye(4)[:1].repeat(100, 1), torch.eye(4)[1:2], torch.eye(4)[2:3]])
    start = torch.eye(4)[[0, 1, 0]]
    found = lloyd(features, 3, cosine=cosine, start=start)
    assert sorted(torch.bincount(found.labels, minlength=3).tolist()) == [1, 1, 100]
    assert found.inertia == pytest.approx(0, abs=1e-6)


@both
def test_a_cluster_that_gets_no_more_points_is_reseeded(cosine: bool) -> None:
    features = blobs(100, centres=4, seed=5)
    batches = MiniBatchKMeans(4, generator=seeded(), cosine=cosine, start_points=100, reassign_after=3)
    for _ in range(4):  # the start, and three updates with points for all clusters
        batches.update(features)
    alone = int(batches.assign(features)[3])
    others = blobs(3000, centres=4, seed=5).reshape(-1, 4, 8)[:, :3].reshape(-1, 8)  # one blob is missing
    before = int(batches.counts[alone])
    for number, batch in enumerate(torch.split(others, 150)):
        batches.update(batch)
        if number == 1:  # not before three updates
            assert int(batches.counts[alone]) == before
        if number == 2:
            assert int(batches.counts[alone]) == 0
    assert torch.bincount(batches.assign(others), minlength=4).min() > 100
    assert int(batches.counts.min()) > 100


def test_a_cluster_below_the_least_share_is_reseeded_and_one_above_is_not() -> None:
    features = torch.cat([random(97, 8) + 10 * torch.eye(8)[0], random(3, 8) + 10 * torch.eye(8)[1]])
    order = torch.randperm(100, generator=seeded())

    def smallest(least_share: float) -> int:
        batches = MiniBatchKMeans(2, generator=seeded(2), start_points=100, reassign_after=1, least_share=least_share)
        for _ in range(6):
            batches.update(features[order])
        return int(torch.bincount(batches.assign(features), minlength=2).min())

    assert smallest(0.01) == 3
    assert smallest(0.1) > 10


def test_features_that_become_identical_raise_no_error() -> None:
    batches = batched(blobs(200), 200, 5, start_points=100, reassign_after=1)
    for _ in range(5):
        batches.update(torch.ones(50, 8))
    batches.check()
    assert torch.isfinite(batches.centroids).all()
    assert len(set(batches.assign(torch.ones(50, 8)).tolist())) == 1


# Precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@both
def test_features_of_any_float_type_are_clustered_in_float32(dtype: torch.dtype, cosine: bool) -> None:
    features = blobs(400).to(dtype)
    one, other = (batched(x, 100, 5, cosine=cosine, start_points=100) for x in (features, features.float()))
    assert one.centroids.dtype == torch.float32
    assert torch.equal(one.centroids, other.centroids)
    assert torch.equal(one.assign(features), other.assign(features.float()))


@both
def test_autocast_changes_nothing(cosine: bool) -> None:
    features = blobs(400, noise=1.0)
    plain = batched(features, 100, 5, cosine=cosine, start_points=100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = batched(features, 100, 5, cosine=cosine, start_points=100)
        assert torch.equal(cast.centroids, plain.centroids)
        assert torch.equal(cast.assign(features), plain.assign(features))
        assert torch.equal(centroid_distances(cast.centroids), centroid_distances(plain.centroids))


def test_centroids_have_no_gradient_and_can_be_used_in_training_after_inference_mode() -> None:
    features = blobs(400).requires_grad_()
    assert not batched(features, 100, 5, start_points=100).centroids.requires_grad
    with torch.inference_mode():
        batches = batched(features.detach().clone(), 100, 5, start_points=100)
    batches.update(features)
    loss = (features @ batches.centroids.T).logsumexp(dim=1).sum()
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.any()


def test_millions_of_points_are_counted_one_by_one() -> None:
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    batches = MiniBatchKMeans(2, generator=seeded(), cosine=False, start_points=2)
    batches.update(one)
    for _ in range(3):
        batches.update(one[:1].expand(2**18 + 1, 2))
    assert sorted(batches.counts.tolist()) == [1, 3 * (2**18 + 1) + 1]
    assert sorted(batches.centroids.tolist()) == [[0, 1], [1, 0]]


@pytest.mark.parametrize("clusters", [2, MOST_CLUSTERS])
def test_labels_fit_into_a_byte(clusters: int) -> None:
    found = full_kmeans(random(600, 16), clusters, generator=seeded(), iterations=10)
    assert torch.equal(found.labels.to(torch.uint8).long(), found.labels)
    assert int(found.labels.max()) == clusters - 1


# Collapse


def test_distances_between_centroids_are_one_less_the_cosine() -> None:
    centroids = torch.tensor([[1.0, 0], [0, 3], [-2, 0], [1, 1]])
    root = 0.5**0.5
    expected = [[0, 1, 2, 1 - root], [1, 0, 1, 1 - root], [2, 1, 0, 1 + root], [1 - root, 1 - root, 1 + root, 0]]
    torch.testing.assert_close(centroid_distances(centroids), torch.tensor(expected))


@few
@given(k=st.integers(1, 12), d=st.integers(1, 8), seed=st.integers(0, 10_000))
def test_distances_between_centroids_are_symmetric_and_within_bounds(k: int, d: int, seed: int) -> None:
    found = centroid_distances(random(k, d, seed=seed))
    torch.testing.assert_close(found, found.T)
    assert found.min() >= 0
    assert found.max() <= 2
    assert found.diagonal().tolist() == [0] * k
