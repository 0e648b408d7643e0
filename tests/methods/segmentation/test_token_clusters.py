"""k-means on tokens: against faiss's objective, and the classes that its clusters are matched to."""

from typing import Any

import faiss
import numpy as np
import pytest
import torch
from torch import Tensor

from made_features import InMemoryMaskedFeatures
from s4mi.contract import Task
from s4mi.errors import S4miError
from s4mi.maths.cluster_matching import match_clusters
from s4mi.methods.segmentation.token_clusters import TokenClusters
from s4mi.records import IGNORE
from s4mi.settings.segmentation.token_clusters import TokenClustersConfig

SIZE = 32


def images_and_squares() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(2, (8, 4, 4), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = 0.2 * torch.rand(8, 3, SIZE, SIZE, generator=generator)
    images[:, 0] += 0.8 * masks
    return images, masks


def built(**settings: Any) -> TokenClusters:
    torch.manual_seed(0)
    task = Task("segmentation", ("background", "cell"), SIZE, (), labelled=0)
    return TokenClustersConfig(**{"backbone": "tiny_vit", "weights": "none", **settings}).build(task)


def fitted(images: Tensor, **settings: Any) -> TokenClusters:
    method = built(**settings)
    masks = torch.full(images[:, 0].shape, IGNORE)
    data = InMemoryMaskedFeatures(method.extractors, images, masks, np.arange(len(images)))
    method.fit(data, np.random.default_rng(0))
    return method


@pytest.mark.parametrize("count", [2, 6])
def test_tokens_are_as_near_to_their_centroids_as_faiss_makes_them(count: int) -> None:
    images, _ = images_and_squares()
    method = fitted(images, clusters=count, blocks=(-1, -3))
    with torch.no_grad():
        z = method.answer.directions(method.tokens(images)).flatten(2).movedim(1, -1).flatten(0, 1).numpy()
    peer = faiss.Kmeans(z.shape[1], count, niter=100, nredo=10, spherical=True, seed=1, min_points_per_centroid=1)
    peer.train(z)
    ours = (z @ method.answer.centroids[0].numpy().T).max(axis=1).mean()
    theirs = (z @ peer.centroids.T).max(axis=1).mean()
    assert ours >= theirs - 2e-3


def test_clusters_of_two_colours_are_the_masks_once_matched() -> None:
    images, masks = images_and_squares()
    method = fitted(images, clusters=2, blocks=(-4,))
    with torch.no_grad():
        found = method.matching.clusters(images).argmax(dim=1)
        counts = torch.bincount(2 * found.flatten() + masks.flatten(), minlength=4).reshape(2, 2).numpy()
        method.matching.take(torch.from_numpy(match_clusters(counts)))
        right = (method.eval().logits(images).argmax(dim=1) == masks).float().mean()
    assert float(right) > 0.85


def test_named_clusters_predict_their_names() -> None:
    images, _ = images_and_squares()
    names = {0: "cell", 1: "background", 2: "cell"}
    method = fitted(images, clusters=3, classes=names)
    with torch.no_grad():
        clusters = method.matching.clusters(images).argmax(dim=1)
        predicted = method.eval().logits(images).argmax(dim=1)
    assert torch.equal(predicted, torch.tensor([1, 0, 1])[clusters])


def test_the_same_image_everywhere_has_too_few_tokens() -> None:
    with pytest.raises(S4miError, match="4 clusters need at least 4 distinct points"):
        fitted(torch.zeros(2, 3, SIZE, SIZE), clusters=4, backbone="tiny_resnet")
