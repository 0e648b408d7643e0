"""PiCIE and MDC against their formulas, pixel by pixel in numpy; their geometry, and detection of collapse."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from s4mi.contract import Batch, CollapseError, Task, TrainState
from s4mi.data.loading.augment import apply_on_cpu, draw_views, join_views
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.maths.pixel_clusters import PixelLabels
from s4mi.methods.segmentation.picie import PixelClustering
from s4mi.settings.segmentation.picie import MdcConfig, PicieConfig

SIDE, CLUSTERS = 32, 4
TASK = Task(kind="segmentation", classes=("background", "a", "b"), image_size=SIDE, counts=(0, 0, 0), labelled=0)
SMALL = {"backbone": "tiny_resnet", "weights": "none", "width": 8, "clusters": CLUSTERS}
IMAGES = np.stack([drawing.image for drawing in draw_lesions(12, size=SIDE, seed=2)])
Array = NDArray[np.float64]


def built(config: type[PicieConfig | MdcConfig] = PicieConfig, *, seed: int = 0, **changes: Any) -> PixelClustering:
    torch.manual_seed(seed)
    return config.model_validate({**SMALL, **changes}).build(TASK)


def batches_of(method: PixelClustering, *sizes: int, seed: int = 0) -> list[Batch]:
    """Training batches of the method's own views, with the given numbers of images."""
    generator, first, batches = torch.Generator().manual_seed(seed), 0, []
    for size in sizes or (4,):
        crops = method.config.crops(SIDE).images
        views = join_views([draw_views(spec, size, generator) for spec in crops])
        images, _ = apply_on_cpu(IMAGES[first : first + size], None, views)
        batches.append(Batch(images, torch.arange(first, first + size), affine=views.affine))
        first += size
    return batches


def begun(method: PixelClustering, batches: list[Batch]) -> PixelClustering:
    method.before_epoch(iter(batches))
    return method


def at_step(method: PixelClustering, step: int, of: int) -> PixelClustering:
    method.before_step(TrainState(step, per_epoch=of, total=10 * of))
    return method


# The formulas


def warped(features: Array, affine: Array) -> Array:
    """(D, h, w) features warped by a matrix from output to input coordinates, by scipy."""
    _, height, width = features.shape
    x, y = np.meshgrid((2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1)
    to_x, to_y = np.einsum("ij,jhw->ihw", affine, np.stack([x, y, np.ones_like(x)]))
    at = np.stack([((to_y + 1) * height - 1) / 2, ((to_x + 1) * width - 1) / 2])
    return np.stack([ndimage.map_coordinates(channel, at, order=1, mode="reflect") for channel in features])


def pixels_by_hand(method: PixelClustering, batch: Batch) -> list[Array]:
    """z_v: (B, h, w, D) of each view."""
    assert batch.affine is not None
    with torch.no_grad():
        raw = method.answer.net(batch.images).double().numpy()
    count, views = len(batch.rows), []
    for view in range(method.views):
        z = raw[view * count : (view + 1) * count]
        if view == 1:  # G is that of the first view; the second view has the geometry of the stored image
            z = np.stack([warped(one, g) for one, g in zip(z, batch.affine.double().numpy()[:count], strict=True)])
        if method.config.centred:
            z = z - z.mean(axis=(2, 3), keepdims=True)
        views.append(np.moveaxis(z / np.linalg.norm(z, axis=1, keepdims=True), 1, -1))
    return views


def loss_by_hand(z: Array, found: PixelLabels, step: int, *, balance: bool) -> float:
    """L(z, y, μ) with the labels and centroids of a view."""
    centroids, labels, counts = found.centroids.double().numpy(), found.labels[step].numpy(), found.counts.tolist()
    total = weights = 0.0
    for pixel in np.ndindex(labels.shape):
        cosines = [float(z[pixel] @ one) for one in centroids]
        y = int(labels[pixel])
        w = sum(counts) / counts[y] if balance else 1.0
        total += w * (np.log(sum(np.exp(one) for one in cosines)) - cosines[y])
        weights += w
    return total / weights


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("step", [0, 1])
def test_the_loss_of_picie_is_the_formula(centred: bool, balance: bool, step: int) -> None:
    method = built(centred=centred, balance=balance)
    batches = batches_of(method, 4, 3)
    begun(method, batches)
    z = pixels_by_hand(method, batches[step])
    by_hand = [[loss_by_hand(z[v], method.clusterings[w], step, balance=balance) for w in range(2)] for v in range(2)]
    within, across = (by_hand[0][0] + by_hand[1][1]) / 2, (by_hand[0][1] + by_hand[1][0]) / 2
    losses = at_step(method, step, of=2).loss(batches[step])
    assert list(losses) == ["within", "across"]
    assert losses["within"].item() == pytest.approx(within / 2, rel=0, abs=1e-5)
    assert losses["across"].item() == pytest.approx(across / 2, rel=0, abs=1e-5)
    assert losses.total.item() == pytest.approx((within + across) / 2, rel=0, abs=1e-5)
    assert abs(within - across) > 1e-4  # the views differ, so that the test can tell them apart


@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("step", [0, 1])
def test_the_loss_of_mdc_is_the_formula(balance: bool, step: int) -> None:
    method = built(MdcConfig, balance=balance)
    batches = batches_of(method, 4, 3)
    begun(method, batches)
    (z,) = pixels_by_hand(method, batches[step])
    losses = at_step(method, step, of=2).loss(batches[step])
    assert list(losses) == ["within"]
    expected = loss_by_hand(z, method.clusterings[0], step, balance=balance)
    assert losses.total.item() == pytest.approx(expected, rel=0, abs=1e-5)


@pytest.mark.parametrize("config", [PicieConfig, MdcConfig])
def test_the_labels_are_the_nearest_centroids_of_each_view_s_own_pixels(config: type[PicieConfig | MdcConfig]) -> None:
    method = built(config)
    batches = batches_of(method, 4, 3, 2)
    begun(method, batches)
    assert len(method.clusterings) == method.views
    for step, batch in enumerate(batches):
        for z, found in zip(pixels_by_hand(method, batch), method.clusterings, strict=True):
            cosines = z @ found.centroids.double().numpy().T
            labels = found.labels[step].numpy()
            chosen = np.take_along_axis(cosines, labels[..., None].astype(int), axis=-1)[..., 0]
            np.testing.assert_allclose(chosen, cosines.max(axis=-1), rtol=0, atol=1e-5)
    assert torch.equal(method.answer.centroids, torch.stack([found.centroids for found in method.clusterings]))


def test_the_gradient_moves_the_features_and_not_the_centroids() -> None:
    method = built()
    (batch,) = batches_of(method)
    begun(method, [batch])
    before = method.answer.centroids.clone()
    at_step(method, 0, of=1).loss(batch).total.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None for weight in method.parameters() if weight.requires_grad)
    assert torch.equal(method.answer.centroids, before)
    assert not any(found.centroids.requires_grad for found in method.clusterings)


def test_an_empty_cluster_has_weight_zero() -> None:
    method = built(MdcConfig)
    (batch,) = batches_of(method)
    begun(method, [batch])
    (found,) = method.clusterings
    with_it = PixelLabels(
        torch.cat([found.centroids, found.centroids[:1]]),
        found.labels,
        counts=torch.cat([found.counts, torch.zeros(1)]),
    )
    method.clusterings = (with_it,)
    expected = loss_by_hand(pixels_by_hand(method, batch)[0], with_it, 0, balance=True)
    assert at_step(method, 0, of=1).loss(batch).total.item() == pytest.approx(expected, rel=0, abs=1e-5)


# One pass over the images


@pytest.mark.parametrize("kept_batches", [1, 2, 16])
def test_clustering_has_one_forward_pass_per_batch(kept_batches: int) -> None:
    method = built(kept_batches=kept_batches)
    batches, drawn, sizes = batches_of(method, 4, 3, 2), [], []

    def once() -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            drawn.append(number)
            yield batch

    method.answer.net.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    method.before_epoch(once())
    assert drawn == [0, 1, 2]
    assert sizes == [8, 6, 4]
    for found in method.clusterings:
        assert [len(labels) for labels in found.labels] == [4, 3, 2]
        assert {(labels.dtype, labels.device) for labels in found.labels} == {(torch.uint8, batches[0].images.device)}
        assert int(found.counts.sum()) == 9 * 8 * 8


def test_clustering_is_drawn_from_the_global_generator() -> None:
    method = built()
    batches = batches_of(method, 4, 3)
    centroids = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        centroids.append(begun(method, batches).answer.centroids.clone())
    assert torch.equal(centroids[0], centroids[1])
    assert not torch.equal(centroids[0], centroids[2])


# Geometry


class Pooled(nn.Module):
    """Equivariant features: the mean colour of each 4 × 4 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 4)


def identity(count: int) -> Tensor:
    return torch.eye(2, 3).expand(count, -1, -1)


@pytest.mark.parametrize(
    ("turn", "moved"),
    [
        ([[-1.0, 0, 0], [0, 1, 0]], lambda x: x.flip(3)),
        ([[1.0, 0, 0], [0, -1, 0]], lambda x: x.flip(2)),
        ([[0.0, 1, 0], [-1, 0, 0]], lambda x: x.rot90(-1, (2, 3))),
    ],
    ids=["left-right", "up-down", "a quarter turn"],
)
def test_features_of_the_second_view_are_moved_as_the_first_view_was(turn: list[list[float]], moved) -> None:  # type: ignore[no-untyped-def]
    method = built(centred=False)
    x = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    affine = torch.cat([torch.tensor(turn).expand(3, -1, -1), identity(3)])
    batch = Batch(torch.cat([moved(x), x]), torch.arange(3), affine=affine)
    with torch.no_grad():
        raw = method.answer.net(batch.images)
        z = method.features(batch)
        assert torch.equal(z[0], method.answer.directions(raw[:3]))
        assert torch.equal(z[1], method.answer.directions(moved(raw[3:])))
        method.answer.net = Pooled()  # type: ignore[assignment]
        torch.testing.assert_close(*method.features(batch), rtol=0, atol=1e-5)


def test_a_position_in_one_view_is_the_same_position_in_the_other() -> None:
    """With crops and flips as in training, equivariant features agree up to interpolation."""
    method = built(views={"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0})
    method.answer.net = Pooled()  # type: ignore[assignment]
    (batch,) = batches_of(method, 12)
    one, other = method.features(batch)
    agreement = (one * other).sum(dim=1).mean()
    unmoved = Batch(batch.images, batch.rows, affine=identity(24))
    one, other = method.features(unmoved)
    assert agreement > 0.9
    assert agreement - (one * other).sum(dim=1).mean() > 0.3


# Collapse


def make_constant(method: PixelClustering, *, bias: float = 0.0) -> None:
    """Make the features the same everywhere."""
    with torch.no_grad():
        for lateral in method.answer.net.laterals:
            lateral.weight.zero_()  # type: ignore[operator]
            lateral.bias.fill_(bias)  # type: ignore[operator]


@pytest.mark.parametrize("config", [PicieConfig, MdcConfig])
@pytest.mark.parametrize("centred", [True, False])
def test_constant_features_are_a_collapse(config: type[PicieConfig | MdcConfig], centred: bool) -> None:
    method = built(config, centred=centred)
    make_constant(method, bias=1.0)
    with pytest.raises(CollapseError, match=r"^the features of all pixels are the same \([^\n]+\)$"):
        begun(method, batches_of(method, 4, 3))


def labels_of(counts: list[int], *, distance: float = 1.0) -> PixelLabels:
    """Identical centroids except for the last, at a cosine distance."""
    cosine = 1 - distance
    centroids = torch.tensor([[1.0, 0.0]]).repeat(len(counts), 1).double()
    centroids[-1] = torch.tensor([cosine, (1 - cosine**2) ** 0.5])
    return PixelLabels(centroids.float(), (), counts=torch.tensor(counts))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (labels_of([995, 3, 1, 1]), "one cluster holds 99.50% of the pixels"),
        (labels_of([60, 40, 0, 0]), "2 of 4 clusters are empty"),
        (labels_of([40, 30, 20, 10], distance=5e-5), "the largest cosine distance between two centroids is 5.0e-05"),
    ],
)
def test_degenerate_clusters_are_a_collapse(found: PixelLabels, message: str) -> None:
    with pytest.raises(CollapseError) as caught:
        built()._check(found)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "found", [labels_of([98, 0, 2, 0]), labels_of([60, 30, 10, 0]), labels_of([4, 3, 2, 1], distance=2e-4)]
)
def test_clusters_within_the_limits_are_not_a_collapse(found: PixelLabels) -> None:
    """With two classes, two non-empty clusters are enough."""
    method = PicieConfig.model_validate(SMALL).build(Task("segmentation", ("background", "a"), SIDE, (0, 0), 0))
    method._check(found)


def test_one_predicted_cluster_at_the_end_of_an_epoch_is_a_collapse() -> None:
    """Whatever the labels are: constant features are all nearest to one centroid."""
    method = built(centred=False)
    batches = batches_of(method, 4, 3)
    begun(method, batches)
    at_step(method, 0, of=2).loss(batches[0])
    method.after_step(TrainState(1, 2, 20))
    make_constant(method, bias=1.0)
    at_step(method, 1, of=2).loss(batches[1])
    with pytest.raises(CollapseError, match=r"^one cluster is predicted for 100.00% of the pixels$"):
        method.after_step(TrainState(2, 2, 20))


# Signals and predictions


def test_signals_are_the_worst_of_the_views() -> None:
    method = built()
    assert method.signals() == {}
    batches = batches_of(method, 4, 3)
    begun(method, batches)
    for step, batch in enumerate(batches):
        at_step(method, step, of=2).loss(batch)
        method.after_step(TrainState(step + 1, 2, 20))
    (one, other), signals = method.clusterings, method.signals()
    assert signals["largest_cluster"] == max(one.largest, other.largest)
    assert signals["empty_clusters"] == max(one.empty, other.empty)
    assert signals["centroid_distance"] == min(one.distance, other.distance)
    cosines = [z @ one.centroids.double().numpy().T for z in pixels_by_hand(method, batches[1])]
    counts = np.bincount(np.concatenate([one.argmax(axis=-1).ravel() for one in cosines]))
    assert signals["largest_prediction"] == pytest.approx(counts.max() / counts.sum(), abs=0.01)


def test_the_number_of_clusters_is_as_set_or_that_of_the_classes() -> None:
    assert built().matching.count == CLUSTERS
    assert built(clusters=None).matching.count == len(TASK.classes)


def test_a_pixel_has_the_class_that_its_cluster_is_matched_to() -> None:
    method = begun(built(), batches_of(built()))
    images = torch.from_numpy(IMAGES[:2]).permute(0, 3, 1, 2).float() / 255
    method.eval().matching.take(torch.tensor([2, 0, 1, 0]))
    with torch.no_grad():
        clusters = method.matching.clusters(images).argmax(dim=1)
        assert torch.equal(method.logits(images).argmax(dim=1), torch.tensor([2, 0, 1, 0])[clusters])
