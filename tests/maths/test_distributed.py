"""Several processes compute together what one process computes of the whole batch."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, multiprocessing

from s4mi.maths.distributed import (
    draw_for_batch,
    from_all_processes,
    from_first_process,
    mean_over_images,
    own_share,
    ratio_over_images,
    sum_over_processes,
    values_of_all,
)
from s4mi.maths.kmeans import TooFewPointsError
from s4mi.maths.pixel_clusters import PixelClusters, PixelLabels

WORLD, ALL = 2, 5
"""The first process has three images, the second two."""


def data() -> tuple[Tensor, Tensor]:
    """Images of the whole batch, (B, 4), and the weights of a network, (4, 5)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ALL, 4, generator=generator), torch.randn(4, 5, generator=generator)


def embed(images: Tensor, weights: Tensor) -> Tensor:
    return F.normalize(torch.tanh(images @ weights), dim=1)


def loss(z: Tensor) -> Tensor:
    """Depends on all pairs of a batch and on their order."""
    similarity = z @ z.T / 0.5
    return F.cross_entropy(similarity, torch.arange(len(z)).roll(1))


def of_all(seen: Tensor, own: Tensor) -> Tensor:
    """A loss of all pairs, a mean, and a ratio of two sums."""
    return loss(seen) + mean_over_images(own.square()) + ratio_over_images(own.exp().sum(), own.square().sum())


def clustered(share: slice) -> PixelLabels:
    """Clusters of the pixels of a share of each of three batches."""
    maps = torch.randn(3, ALL, 5, 4, 4, generator=torch.Generator().manual_seed(10))
    clusters = PixelClusters(3, generator=torch.Generator().manual_seed(0), kept_batches=2)
    for batch in maps:
        clusters.add(batch[share])
    return clusters.finish()


def without_difference() -> str:
    """Error of k-means for identical pixels."""
    clusters = PixelClusters(4, generator=torch.Generator().manual_seed(0), kept_batches=1)
    try:
        clusters.add(torch.ones(2, 3, 4, 4))
        clusters.finish()
    except TooFewPointsError as error:
        return str(error)
    return ""


def work(rank: int, port: int, out: str) -> None:
    """Run one process on its share of the batch and save its results."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    images, weights = data()
    weights.requires_grad_(True)
    own = embed(own_share(images), weights)
    seen = from_all_processes(own)
    value = of_all(seen, own)
    value.backward()
    gradient = weights.grad
    assert gradient is not None
    dist.all_reduce(gradient)  # as DDP does
    given = torch.tensor([float(rank), 10.0])
    share = slice(rank, None, WORLD)
    found, same = clustered(share), without_difference()
    torch.manual_seed(3)
    torch.save(
        {
            "seen": seen.detach(), "gradient": gradient / WORLD, "loss": value.detach(), "given": given,
            "drawn": draw_for_batch(len(own), lambda count: torch.rand(count, 2)), "ranks": values_of_all(rank),
            "sum": sum_over_processes(given), "first": from_first_process(given), "same": same,
            "centroids": found.centroids, "labels": torch.stack(found.labels), "counts": found.counts,
        },
        Path(out) / f"{rank}.pt",
    )  # fmt: skip
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Results of each of two processes."""
    out = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, str(out)), nprocs=WORLD)  # type: ignore[no-untyped-call]
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.slow
def test_every_process_gathers_the_images_of_all_in_the_order_of_the_batch(processes: list[dict[str, Any]]) -> None:
    images, weights = data()
    for process in processes:
        torch.testing.assert_close(process["seen"], embed(images, weights))
        assert process["ranks"] == [0, 1]


@pytest.mark.slow
def test_the_loss_and_its_averaged_gradient_are_those_of_one_process(processes: list[dict[str, Any]]) -> None:
    images, weights = data()
    weights.requires_grad_(True)
    whole = embed(images, weights)
    value = of_all(whole, whole)
    value.backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() > 0.01
    for process in processes:
        torch.testing.assert_close(process["loss"], value.detach())
        torch.testing.assert_close(process["gradient"], weights.grad)


@pytest.mark.slow
def test_processes_together_draw_what_a_single_one_draws(processes: list[dict[str, Any]]) -> None:
    torch.manual_seed(3)
    drawn = torch.rand(ALL, 2)
    for rank, process in enumerate(processes):
        assert torch.equal(process["drawn"], drawn[rank::WORLD])


@pytest.mark.slow
def test_the_sum_is_over_all_the_broadcast_is_of_the_first_and_shares_are_disjoint(
    processes: list[dict[str, Any]],
) -> None:
    for rank, process in enumerate(processes):
        assert process["sum"].tolist() == [1, 20]
        assert process["first"].tolist() == [0, 10]
        assert process["given"].tolist() == [rank, 10]


@pytest.mark.slow
def test_pixels_are_labelled_as_one_process_labels_them(processes: list[dict[str, Any]]) -> None:
    whole = clustered(slice(None))
    for rank, process in enumerate(processes):
        torch.testing.assert_close(process["centroids"], whole.centroids)
        assert torch.equal(process["counts"], whole.counts)
        assert torch.equal(process["labels"], torch.stack(whole.labels)[:, rank::WORLD])


@pytest.mark.slow
def test_too_few_distinct_pixels_are_an_error_in_all_processes(processes: list[dict[str, Any]]) -> None:
    assert [process["same"] for process in processes] == [without_difference().replace("32 points", "64 points")] * 2


def test_one_process_alone_keeps_its_tensor_and_its_gradient() -> None:
    tensor = torch.ones(2, 3, requires_grad=True)
    assert all(known(tensor) is tensor for known in (sum_over_processes, from_first_process, own_share))
    from_all_processes(tensor).sum().backward()
    assert tensor.grad is not None
    assert torch.equal(tensor.grad, torch.ones(2, 3))
