"""Clusters as a segmenter, against cosines and classes computed pixel by pixel."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from s4mi.errors import S4miError
from s4mi.nets.cluster_classifier import ClusterClassifier
from s4mi.nets.fpn import FPN

CLASSES = ("background", "vessel", "lesion")


def images(*size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def clusters(*, count: int = 5, seed: int = 0, centred: bool = True, **settings: Any) -> ClusterClassifier:
    """Clusters around directions drawn at random, of two views."""
    torch.manual_seed(seed)
    net = FPN("tiny_resnet", width=8, image_size=32)
    answer = ClusterClassifier(
        net, **{"count": count, "views": 2, "classes": CLASSES, "centred": centred, **settings}
    ).eval()
    answer.centroids.copy_(F.normalize(torch.randn(2, count, 8), dim=2))
    return answer


def bare(answer: ClusterClassifier, size: tuple[int, int] = (32, 32)) -> Tensor:
    with torch.no_grad():
        return answer.clusters(images(*size))


def logits(answer: ClusterClassifier, size: tuple[int, int] = (32, 32)) -> Tensor:
    with torch.no_grad():
        given: Tensor = answer(images(*size))
    return given


# Pixels and clusters


@pytest.mark.parametrize("centred", [True, False])
def test_a_score_is_the_cosine_of_a_pixel_s_feature_with_the_centroid(centred: bool) -> None:
    answer = clusters(centred=centred)
    with torch.no_grad():
        features = answer.net(images(32, 32)).double().numpy()
    centroids = answer.centroids[0].double().numpy()
    small = np.empty((2, 5, 8, 8))
    for image in range(2):
        mean = features[image].mean(axis=(1, 2)) if centred else 0
        for row in range(8):
            for column in range(8):
                z = features[image, :, row, column] - mean
                small[image, :, row, column] = [z @ one / np.linalg.norm(z) for one in centroids]
    expected = F.interpolate(torch.from_numpy(small).float(), scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(bare(answer), expected, rtol=0, atol=1e-5)


def test_directions_have_unit_length_and_lose_the_mean_of_the_image() -> None:
    z = torch.randn(3, 8, 5, 6, generator=torch.Generator().manual_seed(1))
    shifted = 2 * z + torch.randn(3, 8, 1, 1)
    of_centred, of_others = clusters(centred=True).directions, clusters(centred=False).directions
    torch.testing.assert_close(of_centred(z).norm(dim=1), torch.ones(3, 5, 6))
    torch.testing.assert_close(of_centred(z), of_centred(shifted), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(of_others(z), of_others(shifted), atol=0.1)
    torch.testing.assert_close(of_others(z), of_others(3 * z))


def test_features_of_half_precision_are_compared_in_single_precision() -> None:
    z = torch.randn(2, 8, 4, 4).bfloat16()
    assert clusters().directions(z).dtype == torch.float32


def test_the_centroids_of_the_first_view_classify() -> None:
    answer = clusters()
    before = logits(answer)
    answer.centroids[1] = -answer.centroids[1]
    assert torch.equal(logits(answer), before)
    answer.centroids[0] = -answer.centroids[0]
    torch.testing.assert_close(logits(answer).argmax(dim=1), bare(answer).argmax(dim=1).clamp_max(2))
    assert not torch.equal(logits(answer), before)


# Clusters and classes


@pytest.mark.long
@settings(deadline=None, max_examples=30)
@given(class_of=st.lists(st.integers(0, 2), min_size=5, max_size=5), seed=st.integers(0, 100))
def test_a_pixel_s_class_is_that_of_its_nearest_centroid(class_of: list[int], seed: int) -> None:
    answer = clusters(seed=seed)
    answer.take(torch.tensor(class_of))
    given, of_clusters = logits(answer), bare(answer)
    assert given.shape == (2, 3, 32, 32)
    assert torch.equal(given.argmax(dim=1), torch.tensor(class_of)[of_clusters.argmax(dim=1)])
    for k in range(3):
        members = [number for number, one in enumerate(class_of) if one == k]
        if members:  # the maximum over its clusters
            assert torch.equal(given[:, k], of_clusters[:, members].amax(dim=1))
        else:
            assert (given[:, k] < -1).all()


def test_before_matching_clusters_are_classes_in_order_and_the_last_class_has_the_rest() -> None:
    assert clusters().matched.tolist() == [0, 1, 2, 2, 2]
    assert clusters(count=2).matched.tolist() == [0, 1]


@settings(deadline=None, max_examples=20)
@given(
    names=st.lists(st.sampled_from(CLASSES), min_size=5, max_size=5),
    matched=st.lists(st.integers(0, 2), min_size=5, max_size=5),
)
def test_given_names_take_precedence_over_matching(names: list[str], matched: list[int]) -> None:
    answer = clusters(named=dict(enumerate(names)))
    answer.take(torch.tensor(matched))
    class_of = torch.tensor([CLASSES.index(name) for name in names])
    assert torch.equal(logits(answer).argmax(dim=1), class_of[bare(answer).argmax(dim=1)])


def test_a_checkpoint_holds_matched_classes_and_not_given_names() -> None:
    without, named = clusters(), clusters(named=dict.fromkeys(range(5), "lesion"), seed=1)
    without.take(torch.tensor([2, 1, 0, 1, 2]))
    assert without.state_dict().keys() == named.state_dict().keys()
    assert {"centroids", "matched"} <= without.state_dict().keys()
    named.load_state_dict(without.state_dict())
    assert torch.equal(named.matched, without.matched)
    assert torch.equal(bare(named), bare(without))
    assert (logits(named).argmax(dim=1) == 2).all()


def test_neither_centroids_nor_classes_are_trained() -> None:
    answer = clusters()
    answer(images(32, 32)).square().sum().backward()
    assert not answer.centroids.requires_grad
    assert {name.partition(".")[0] for name, _ in answer.named_parameters()} == {"net"}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            {0: "lesion", 1: "background"},
            "method.classes must name the clusters 0 to 4 (names 0, 1); several clusters may share a name",
        ),
        (
            dict.fromkeys(range(6), "lesion"),
            "method.classes must name the clusters 0 to 4 (names 0, 1, 2, 3, 4, 5); several clusters may share a name",
        ),
        (
            {**dict.fromkeys(range(4), "lesion"), 4: "vesel"},
            "method.classes: unknown class 'vesel' of cluster 4; did you mean 'vessel'?; choose from background, "
            "vessel, lesion",
        ),
        (
            {**dict.fromkeys(range(1, 5), "lesion"), 0: "bone"},
            "method.classes: unknown class 'bone' of cluster 0; choose from background, vessel, lesion",
        ),
    ],
)
def test_names_that_do_not_match_are_a_one_line_error(named: dict[int, str], message: str) -> None:
    with pytest.raises(S4miError) as refused:
        clusters(named=named)
    assert str(refused.value) == message


# Sizes


@pytest.mark.parametrize("size", [(33, 33), (50, 70), (32, 45), (17, 96)])
def test_an_image_of_any_size_is_predicted_at_its_own_size(size: tuple[int, int]) -> None:
    answer = clusters()
    assert bare(answer, size).shape == (2, 5, *size)
    assert logits(answer, size).shape == (2, 3, *size)
    assert torch.isfinite(logits(answer, size)).all()


@pytest.mark.parametrize(("height", "width"), [(33, 33), (50, 70), (42, 64)])
def test_a_padded_image_is_predicted_where_its_pixels_are(height: int, width: int) -> None:
    """As for the padded image, except for the last pixels, whose next feature is beyond the edge."""
    answer, x = clusters(centred=False), images(height, width)
    padded = F.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")
    with torch.no_grad():
        expected = answer.clusters(padded)
    inside = (..., slice(height - 5), slice(width - 5))
    torch.testing.assert_close(bare(answer, (height, width))[inside], expected[inside], rtol=0, atol=1e-5)
