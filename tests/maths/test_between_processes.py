"""What several processes know together is what one process knows of the whole batch."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, multiprocessing

from s4mi.maths.pixel_clusters import PixelClusters, PixelLabels
from s4mi.maths.processes import from_all_processes, from_first_process, mean_over_processes, sum_over_processes

WORLD, EACH = 2, 3


def data() -> tuple[Tensor, Tensor]:
    """Images of the global batch, (P·B, 4), and the weights of a network, (4, 5)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(WORLD * EACH, 4, generator=generator), torch.randn(4, 5, generator=generator)


def embed(images: Tensor, weights: Tensor) -> Tensor:
    return F.normalize(torch.tanh(images @ weights), dim=1)


def loss(z: Tensor) -> Tensor:
    """Depends on all pairs of a batch, in an order."""
    similarity = z @ z.T / 0.5
    return F.cross_entropy(similarity, torch.arange(len(z)).roll(1))


def clustered(rank: int) -> PixelLabels:
    """Clusters of pixels that are each process's own, with one seed."""
    maps = torch.randn(3, 2, 5, 4, 4, generator=torch.Generator().manual_seed(10 + rank))
    clusters = PixelClusters(3, generator=torch.Generator().manual_seed(0), kept_batches=2)
    for batch in maps:
        clusters.see(batch)
    return clusters.finish()


def work(rank: int, port: int, out: str) -> None:
    """One process: its share of the batch, and what it sees of the other's."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    images, weights = data()
    weights.requires_grad_(True)
    own = embed(images[rank * EACH : (rank + 1) * EACH], weights)
    seen = from_all_processes(own)
    loss(seen).backward()
    gradient = weights.grad
    assert gradient is not None
    dist.all_reduce(gradient)  # as DDP does
    given = torch.tensor([float(rank), 10.0], requires_grad=True)
    mean = mean_over_processes(given)
    found = clustered(rank)
    torch.save(
        {
            "seen": seen.detach(), "gradient": gradient / WORLD, "mean": mean.detach(), "given": given.detach(),
            "strided": from_all_processes(images[:2].T + rank).detach(),
            "sum": sum_over_processes(given.detach()), "first": from_first_process(given.detach()),
            "centroids": found.centroids, "labels": torch.stack(found.labels), "counts": found.counts,
        },
        Path(out) / f"{rank}.pt",
    )  # fmt: skip
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two processes saw."""
    out = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, str(out)), nprocs=WORLD)  # type: ignore[no-untyped-call]
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.slow
def test_the_mean_over_processes_is_the_mean_and_leaves_each_its_own(processes: list[dict[str, Tensor]]) -> None:
    for rank, process in enumerate(processes):
        assert process["mean"].tolist() == [0.5, 10]
        assert process["given"].tolist() == [rank, 10]


@pytest.mark.slow
def test_every_process_sees_the_batches_of_all_in_order(processes: list[dict[str, Tensor]]) -> None:
    images, weights = data()
    whole = embed(images, weights)
    for process in processes:
        torch.testing.assert_close(process["seen"], whole)
        torch.testing.assert_close(process["strided"], torch.cat([images[:2].T, images[:2].T + 1]))


@pytest.mark.slow
def test_the_averaged_gradient_is_that_of_one_process_with_the_whole_batch(processes: list[dict[str, Tensor]]) -> None:
    images, weights = data()
    weights.requires_grad_(True)
    loss(embed(images, weights)).backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() > 0.01
    for process in processes:
        torch.testing.assert_close(process["gradient"], weights.grad)


@pytest.mark.slow
def test_the_sum_is_over_all_and_the_first_is_everyone_s_and_each_keeps_its_own(
    processes: list[dict[str, Tensor]],
) -> None:
    for rank, process in enumerate(processes):
        assert process["sum"].tolist() == [1, 20]
        assert process["first"].tolist() == [0, 10]
        assert process["given"].tolist() == [rank, 10]


@pytest.mark.slow
def test_pixels_of_all_processes_are_labelled_by_the_centroids_of_the_first(processes: list[dict[str, Tensor]]) -> None:
    one, other = processes
    assert torch.equal(one["centroids"], other["centroids"])
    torch.testing.assert_close(one["centroids"], clustered(0).centroids)
    assert not torch.allclose(one["centroids"], clustered(1).centroids, atol=0.1)
    assert not torch.equal(one["labels"], other["labels"])
    counts = torch.bincount(torch.cat([one["labels"], other["labels"]]).flatten().long(), minlength=3)
    assert torch.equal(one["counts"], counts)
    assert torch.equal(other["counts"], counts)


def test_one_process_alone_keeps_its_tensor_and_its_gradient() -> None:
    tensor = torch.ones(2, 3, requires_grad=True)
    assert all(known(tensor) is tensor for known in (mean_over_processes, sum_over_processes, from_first_process))
    from_all_processes(tensor).sum().backward()
    assert tensor.grad is not None
    assert torch.equal(tensor.grad, torch.ones(2, 3))
