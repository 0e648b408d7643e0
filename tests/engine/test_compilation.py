"""Compilation, with a backend that runs graphs unchanged and needs no compiler; once with torch's, which is slow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from s4mi.config import RunConfig
from s4mi.contract import MethodConfig, Task
from s4mi.engine import compilation
from s4mi.engine.compilation import compile_networks
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import read_epochs
from s4mi.settings.pretraining.dino import DinoConfig
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig
from s4mi.settings.segmentation.picie import PicieConfig

CPU = torch.device("cpu")
DINO: dict[str, Any] = {
    "name": "dino",
    "backbone": "tiny_resnet",
    "weights": "none",
    "hidden": 16,
    "prototypes": 8,
    "local_crops": 2,
    "local_size": 16,
}
TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=32, counts=(1, 1), labelled=2)


SIZES = [(3, side, side) for side in (16, 32)]
"""Sizes of the crops of `DINO`."""


class Counting:
    """A backend that records the shapes of the images of each graph."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.seen += [
            tuple(each.shape) for each in inputs if isinstance(each, Tensor) and tuple(each.shape[1:]) in SIZES
        ]
        return graph.forward


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Torch caches compiled code for the whole process."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(compilation, "BACKEND", counting)
    return counting


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "networks"),
    [
        (DinoConfig(backbone="tiny_resnet", weights="none", prototypes=8), ["student.backbone", "teacher.backbone"]),
        (
            CrossTeachingConfig(
                cnn="tiny_resnet", transformer="tiny_swin_unet", cnn_weights="none", transformer_weights="none"
            ),
            ["committee.networks.cnn", "committee.networks.transformer"],
        ),
        (PicieConfig(backbone="tiny_resnet", weights="none"), ["answer.net"]),
    ],
    ids=["dino", "cross_teaching", "picie"],
)
def test_the_networks_of_a_method_are_found_and_keep_their_parameter_names(
    backend: Counting, method: MethodConfig, networks: list[str]
) -> None:
    built = method.build(TASK)
    names = list(built.state_dict())
    assert compile_networks(built, CPU) == networks
    assert list(built.state_dict()) == names


@pytest.mark.long
def test_a_run_is_the_same_and_each_size_is_compiled_once(
    backend: Counting, quick: Callable[..., RunConfig], lesions: Path, tmp_path: Path
) -> None:
    losses = []
    for compiled in (False, True):
        run = tmp_path / str(compiled)
        hardware = {"accelerator": "cpu", "compile": compiled}
        train(quick(lesions, DINO, epochs=3, label_fraction=60, hardware=hardware), run)
        losses.append([record.losses["total"] for record in read_epochs(run)])
        assert bool(backend.seen) is compiled
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert backend.seen.count((14, 3, 16, 16)) == 1  # two crops of seven images, in three epochs of steps
    assert backend.seen.count((14, 3, 32, 32)) == 2  # the student's and the teacher's


def test_a_compiler_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, quick: Callable[..., RunConfig], lesions: Path, tmp_path: Path
) -> None:
    def broken(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        raise RuntimeError("no compiler found\nsecond line")

    monkeypatch.setattr(compilation, "BACKEND", broken)
    with pytest.raises(S4miError) as refused:
        train(quick(lesions, DINO, epochs=1, hardware={"accelerator": "cpu", "compile": True}), tmp_path / "run")
    message = str(refused.value)
    assert message.startswith("hardware.compile: torch.compile does not work on this machine for cpu (")
    assert "(no compiler found)" in message
    assert message.endswith("or set hardware.compile=false")
    assert "\n" not in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_the_backend_of_torch_computes_the_same() -> None:
    torch.manual_seed(0)
    method = DinoConfig(backbone="tiny_resnet", weights="none", prototypes=8).build(TASK)
    images = torch.rand(4, 3, 32, 32)
    network: nn.Module = method.student.backbone
    outputs, gradients = [], []
    for compiled in (False, True):
        if compiled:
            compile_networks(method, CPU)
        y = network(images)
        gradients.append(torch.autograd.grad(y.square().sum(), list(network.parameters())))
        outputs.append(y.detach())
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()) + 1e-6)
