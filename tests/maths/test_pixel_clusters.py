"""Clusters of an epoch's pixels: labels are those of the final centroids, and features are not kept."""

import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from full_kmeans import full_kmeans
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException

from fake_gpu import GPU, not_waited_for
from s4mi.errors import S4miError
from s4mi.maths import pixel_clusters as module
from s4mi.maths.kmeans import TooFewPointsError, as_points, assign
from s4mi.maths.pixel_clusters import PixelClusters, PixelLabels

DIRECTIONS = torch.eye(5)
"""Directions of five well-separated clusters."""


def blobs(*sizes: tuple[int, int, int], spread: float = 0.1, seed: int = 0) -> list[Tensor]:
    """Batches of B maps of h × w pixels around the directions."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for count, height, width in sizes:
        kinds = torch.randint(5, (count, height, width), generator=generator)
        noise = spread * torch.randn(count, height, width, 5, generator=generator)
        length = 0.5 + torch.rand(count, height, width, 1, generator=generator)
        batches.append(((DIRECTIONS[kinds] + noise) * length).permute(0, 3, 1, 2))
    return batches


def found_in(batches: list[Tensor], clusters: int = 5, *, kept_batches: int = 16, seed: int = 0) -> PixelLabels:
    clustering = PixelClusters(clusters, generator=torch.Generator().manual_seed(seed), kept_batches=kept_batches)
    for batch in batches:
        clustering.add(batch)
    return clustering.finish()


def points(batch: Tensor) -> Tensor:
    """One row per pixel, by explicit loops."""
    _, _, height, width = batch.shape
    return torch.stack([one[:, row, column] for one in batch for row in range(height) for column in range(width)])


shapes = st.lists(st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(2, 6)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=40)
@given(shapes=shapes, kept_batches=st.integers(1, 8), clusters=st.integers(2, 5), start_points=st.sampled_from([8, 64]))
def test_every_pixel_is_in_the_cluster_of_the_final_centroid_it_is_nearest_to(
    shapes: list[tuple[int, int, int]], kept_batches: int, clusters: int, start_points: int
) -> None:
    """For any number of batches that k-means is fitted on, and also for those added before its centroids were final."""
    batches = blobs((2, 4, 4), *shapes, spread=0.5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "START_POINTS", start_points)
        found = found_in(batches, clusters, kept_batches=kept_batches)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(clusters))
    assert len(found.labels) == len(batches)
    for batch, labels in zip(batches, found.labels, strict=True):
        assert labels.dtype == torch.uint8
        assert labels.device == batch.device
        assert labels.shape == (len(batch), *batch.shape[2:])
        cosines = F.normalize(points(batch), dim=1) @ found.centroids.T
        assert torch.equal(labels.flatten().long(), assign(points(batch), found.centroids))
        chosen = cosines.gather(1, labels.flatten().long()[:, None])[:, 0]
        torch.testing.assert_close(chosen, cosines.amax(dim=1), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(shapes=shapes, kept_batches=st.integers(1, 8))
def test_the_counts_are_those_of_the_labels(shapes: list[tuple[int, int, int]], kept_batches: int) -> None:
    batches = blobs((2, 4, 4), *shapes, spread=0.5)
    found = found_in(batches, kept_batches=kept_batches)
    labels = torch.cat([one.flatten() for one in found.labels])
    assert found.counts.dtype == torch.int64
    assert torch.equal(found.counts, torch.bincount(labels.long(), minlength=5))
    assert int(found.counts.sum()) == sum(len(batch) * batch.shape[2] * batch.shape[3] for batch in batches)
    assert found.largest == pytest.approx(max(found.counts.tolist()) / len(labels))
    assert found.empty == 5 - len({*labels.tolist()})


@pytest.mark.parametrize("kept_batches", [1, 3, 4, 16])
def test_the_centroids_are_those_of_k_means_of_the_batches_that_are_kept(kept_batches: int) -> None:
    batches = blobs(*4 * [(2, 6, 6)])
    found = found_in(batches, kept_batches=kept_batches, seed=3)
    kept = torch.cat([points(batch) for batch in batches[:kept_batches]])
    expected = full_kmeans(kept, 5, generator=torch.Generator().manual_seed(3)).centroids
    torch.testing.assert_close(found.centroids, expected)
    # They are the directions that the pixels were drawn around, in some order.
    assert sorted((found.centroids @ DIRECTIONS.T).argmax(dim=1).tolist()) == [0, 1, 2, 3, 4]
    assert (found.centroids @ DIRECTIONS.T).amax(dim=1).min() > 0.99


def test_only_the_batches_that_k_means_is_fitted_on_are_kept_and_only_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive: list[weakref.ref[Tensor]] = []

    def recorded(features: Tensor, *, cosine: bool) -> Tensor:
        points = as_points(features, cosine=cosine)
        alive.append(weakref.ref(points))
        return points

    monkeypatch.setattr(module, "as_points", recorded)
    clustering = PixelClusters(5, generator=torch.Generator().manual_seed(0), kept_batches=3)
    batches = blobs(*6 * [(2, 6, 6)])
    features = [weakref.ref(batch) for batch in batches]
    kept = []
    while batches:
        clustering.add(batches.pop(0))
        kept.append(sum(points() is not None for points in alive))
        assert sum(batch() is not None for batch in features) == len(batches)
    assert kept == [1, 2, 0, 0, 0, 0]
    assert len(clustering.finish().labels) == 6


def test_a_seed_gives_the_same_clusters_again() -> None:
    batches = blobs(*4 * [(2, 6, 6)], spread=0.8)
    one, same, other = (found_in(batches, kept_batches=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.centroids, same.centroids)
    assert all(torch.equal(*pair) for pair in zip(one.labels, same.labels, strict=True))
    assert not torch.equal(one.centroids, other.centroids)


def test_features_of_half_precision_are_labelled_by_centroids_of_single_precision() -> None:
    batches = [batch.bfloat16() for batch in blobs(*3 * [(2, 6, 6)])]
    found = found_in(batches, kept_batches=2)
    assert found.centroids.dtype == torch.float32
    for batch, labels in zip(batches, found.labels, strict=True):
        assert torch.equal(labels.flatten().long(), assign(points(batch).float(), found.centroids))


@pytest.mark.long
def test_nothing_synchronises_with_a_gpu_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the start of k-means, its updates and re-seeding, nor batches that are only labelled."""
    monkeypatch.setattr(module, "START_POINTS", 100)
    with not_waited_for():
        clustering = PixelClusters(3, generator=torch.Generator(), kept_batches=16)
        for _ in range(18):
            clustering.add(torch.empty(2, 5, 6, 6, device=GPU))
        with pytest.raises(DataDependentOutputException):
            clustering.finish()


def test_255_clusters_fit_into_a_byte() -> None:
    generator = torch.Generator().manual_seed(0)
    found = found_in([torch.randn(4, 8, 16, 16, generator=generator)], clusters=255)
    assert int(found.labels[0].max()) == 254
    with pytest.raises(S4miError, match=r"clusters must be 1–255 \(given 256\)"):
        found_in([], clusters=256)


def labels_of(counts: list[int], centroids: Any) -> PixelLabels:
    return PixelLabels(torch.tensor(centroids), (), counts=torch.tensor(counts))


def test_the_largest_share_the_empty_clusters_and_the_distance_by_hand() -> None:
    found = labels_of([6, 0, 2], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert (found.largest, found.empty, found.distance) == (0.75, 1, 2.0)
    near = labels_of([1, 3], [[1.0, 0.0], [0.6, 0.8]])
    assert (near.largest, near.empty) == (0.75, 0)
    assert near.distance == pytest.approx(0.4)
    assert labels_of([5, 0], [[0.0, 1.0], [0.0, 1.0]]).distance == 0


@pytest.mark.parametrize("kept_batches", [1, 2, 16])
def test_identical_pixels_make_no_clusters(kept_batches: int) -> None:
    alike = torch.ones(2, 5, 4, 4)
    message = r"^2 clusters need at least 2 distinct points \(found 1 among \d+\); [^\n]+$"
    with pytest.raises(TooFewPointsError, match=message):
        found_in([alike, alike], clusters=2, kept_batches=kept_batches)


@pytest.mark.parametrize("place", [0, 3])
def test_features_that_are_not_finite_are_refused(place: int) -> None:
    batches = blobs(*4 * [(2, 6, 6)])
    batches[place][0, 0, 0, 0] = torch.nan
    with pytest.raises(S4miError, match="features to cluster are not finite"):
        found_in(batches, kept_batches=2)
