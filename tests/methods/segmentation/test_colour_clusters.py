"""Clusters of pixels by colour, against scikit-learn and scikit-image."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from skimage.filters import threshold_otsu
from sklearn.cluster import KMeans
from torch import Tensor
from torch.export import Dim

from made_features import InMemoryMaskedFeatures
from s4mi.contract import Task
from s4mi.methods.segmentation.colour_clusters import ColourClustering
from s4mi.nets.colour_clusters import ImageColourClusters, _place, border_share, otsu_thresholds, smooth_colours
from s4mi.records import IGNORE
from s4mi.settings.segmentation.colour_clusters import ColourClustersConfig

SIDE = 32
TASK = Task(kind="segmentation", classes=("background", "cell"), image_size=SIDE, counts=(0, 0), labelled=0)


def method(**settings: Any) -> ColourClustering:
    return ColourClustersConfig.model_validate(settings).build(TASK)


def cells(count: int = 6, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Blurred squares of another colour than the background, bright in one half of the images and dark in the other."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, SIDE, SIDE).long()
    masks[:, 8:20, 10:25] = 1
    colour = torch.where(masks[:, None] == 1, 0.75, 0.25) * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    images = colour + 0.05 * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    images[count // 2 :] = 1 - images[count // 2 :]
    return images, masks


def fitted(built: ColourClustering, images: Tensor, *, seed: int = 0) -> ColourClustering:
    masks = torch.full((len(images), SIDE, SIDE), IGNORE)
    built.fit(InMemoryMaskedFeatures((), images, masks, np.arange(len(images))), np.random.default_rng(seed))
    return built


def accuracy(built: ColourClustering, images: Tensor, masks: Tensor) -> float:
    return (built.logits(images).argmax(dim=1) == masks).float().mean().item()


def test_thresholds_separate_as_scikit_images() -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        modes = generator.uniform(0, 1, size=2)
        grey = generator.choice(modes, size=(40, 40)) + 0.1 * generator.normal(size=(40, 40))
        levels = np.rint(grey.clip(0, 1) * 255).astype(np.uint8)
        ours = float(otsu_thresholds(torch.from_numpy(levels[None] / 255.0))[0])
        np.testing.assert_array_equal(levels / 255.0 > ours, levels > threshold_otsu(levels))


@pytest.mark.parametrize("algorithm", ["otsu", "kmeans"])
def test_objects_are_one_cluster_whether_bright_or_dark(algorithm: str) -> None:
    images, masks = cells()
    assert accuracy(fitted(method(algorithm=algorithm), images), images, masks) > 0.97


def test_k_means_of_an_image_is_scikit_learns() -> None:
    images, _ = cells(2)
    images = images + 0.2 * torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    labels = ImageColourClusters(count=2, classes=TASK.classes).clusters(images).argmax(dim=1)
    for number in range(2):
        points = smooth_colours(images)[number].flatten(1).T.numpy()
        peer = KMeans(2, n_init=5, random_state=0).fit(points).labels_.reshape(SIDE, SIDE)
        same = (peer == labels[number].numpy()).mean()
        assert max(same, 1 - same) > 0.995


def test_k_means_of_all_images_is_scikit_learns() -> None:
    images, _ = cells(4)
    built = fitted(method(per_image=False, clusters=3), images)
    points = smooth_colours(images).movedim(1, -1).flatten(0, 2).numpy()
    peer = KMeans(3, n_init=10, random_state=0).fit(points)
    centroids = built.matching.get_buffer("centroids").numpy()
    distance = np.square(points[:, None] - centroids).sum(axis=2).min(axis=1).mean()
    assert distance == pytest.approx(peer.inertia_ / len(points), rel=0.01)


def test_clusters_of_an_image_are_in_order_of_their_share_of_the_border() -> None:
    images, _ = cells()
    net = ImageColourClusters(count=4, classes=TASK.classes)
    labels = net.clusters(images).argmax(dim=1)
    share = border_share(torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float())
    assert (share.diff(dim=1) <= 0).all()


def test_matching_names_the_clusters() -> None:
    images, masks = cells()
    built = fitted(method(), images)
    before = accuracy(built, images, masks)
    built.matching.take(torch.tensor([1, 0]))
    assert accuracy(built, images, masks) == pytest.approx(1 - before)


def test_names_given_by_a_person_are_kept() -> None:
    images, masks = cells()
    built = fitted(method(classes={0: "cell", 1: "background"}), images)
    built.matching.take(torch.tensor([0, 1]))
    assert accuracy(built, images, masks) < 0.03


def test_a_constant_image_is_one_cluster() -> None:
    for algorithm in ("otsu", "kmeans"):
        labels = method(algorithm=algorithm).matching.clusters(torch.full((1, 3, SIDE, SIDE), 0.4)).argmax(dim=1)
        assert len(labels.unique()) == 1


def test_a_threshold_has_two_clusters() -> None:
    with pytest.raises(ValidationError, match="a threshold gives two clusters"):
        ColourClustersConfig(algorithm="otsu", clusters=3)
    assert method(algorithm="otsu", clusters=2).matching.count == 2


@given(arrays(np.float32, (3, 5), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_clusters_are_placed_as_a_stable_sort_places_them(shares: NDArray[np.float32]) -> None:
    order = np.argsort(-shares, axis=1, kind="stable")
    np.testing.assert_array_equal(_place(torch.from_numpy(shares)).numpy(), np.argsort(order, axis=1))


@pytest.mark.long
@pytest.mark.parametrize("settings", [{"algorithm": "otsu"}, {}, {"per_image": False}])
def test_the_graph_takes_any_number_of_images(settings: dict[str, Any]) -> None:
    model = method(**settings).eval().answer
    dynamic = ({0: Dim("batch")},)
    program = torch.export.export(model, (torch.rand(2, 3, SIDE, SIDE),), dynamic_shapes=dynamic).module()
    for count in (1, 3):
        images = torch.rand(count, 3, SIDE, SIDE)
        torch.testing.assert_close(program(images), model(images))
