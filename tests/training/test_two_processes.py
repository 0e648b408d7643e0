"""Two processes train step by step like one process on the same batches, whatever a method computes across a batch."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, multiprocessing, nn

from s4mi.config import RunConfig, make_run_config
from s4mi.contract import Batch, Classifier, Segmenter, TrainLoader
from s4mi.engine.fit import fit
from s4mi.settings.segmentation.picie import ClusteringConfig
from s4mi.training.evaluate import evaluate, validate
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.session import Session

WORLD = 2
NET = {"network": "tiny_resnet"}
METHODS: dict[str, dict[str, Any]] = {
    "finetune": {"backbone": "tiny_resnet", "weights": "none", "class_weights": "inverse"},
    "focal": {"name": "finetune", "backbone": "tiny_vit", "weights": "none", "criterion": "focal"},
    "dino": {
        "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 2,
    },
    "cass": {"cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 24, "variance_weight": 0.5},
    "simclr": {"backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8},
    "simmim": {"backbone": "tiny_vit", "weights": "none", "square": 8},
    "dedl": {
        "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8], "class_weights": "median",
        "criterion": "dice_cross_entropy",
    },
    "cross_teaching": {
        "cnn": "tiny_resnet", "transformer": "tiny_swin_unet", "transformer_weights": "none", "confidence": 0.55,
        "recipe": "paper",
    },
    "cross_pseudo_supervision": NET,
    "co_training": {**NET, "ramp_up": 0.0},
    "mean_teacher": {**NET, "passes": 2, "class_weights": "inverse", "ramp_up": 0.0, "unlabelled_weight": 1.0},
    "adversarial": {**NET, "evaluator": 8, "ramp_up": 0.0},
    "self_training": {**NET, "rounds": 2},
    "weak_to_strong": {**NET, "confidence": 0.5},
    "picie": {"backbone": "tiny_resnet", "weights": "none", "width": 8, "clusters": 5},
    "mdc": {"backbone": "tiny_resnet", "weights": "none", "width": 8, "clusters": 3},
}  # fmt: skip


FEW = ("dedl", "dino")
"""Methods of the fast tests."""


@dataclass(frozen=True)
class Learnt:
    """The losses of each step by name, the final weights, and their scores."""

    losses: list[dict[str, float]]
    weights: dict[str, Tensor]
    images: int
    scores: dict[str, float]
    tested: dict[str, Any]
    names: list[str]


def learn(fabric: Fabric, config: RunConfig, run: Path) -> Learnt:
    """Train a few steps of a run on this process's share, without random layers such as dropout.

    In double precision, so that a difference is one of formulas: training blows up what rounding leaves. k-means
    computes in single precision, whatever it is given.
    """
    if isinstance(config.method, ClusteringConfig):
        return _learn(fabric, config, run)
    with in_double_precision():
        return _learn(fabric, config, run)


@contextmanager
def in_double_precision() -> Iterator[None]:
    single, default = Tensor.float, torch.get_default_dtype()
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        Tensor.float = single  # type: ignore[method-assign]
        torch.set_default_dtype(default)


@final
class AsPrecise:
    """A loader whose images have the precision of the network."""

    def __init__(self, stream: TrainLoader) -> None:
        self.steps, self._stream = stream.steps, stream

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for batch in self._stream.epoch(epoch):
            given = {name: getattr(batch, name) for name in ("images", "local", "unlabelled")}
            yield replace(batch, **{name: None if one is None else one.float() for name, one in given.items()})


def _learn(fabric: Fabric, config: RunConfig, run: Path) -> Learnt:
    prepared = prepare(config)
    session = Session.begin(fabric, config, prepared, RunDir(run))
    for module in session.method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    steps = list(
        fit(
            fabric,
            session.method,
            session.optimizer,
            session.scheduler,
            AsPrecise(session.loader),
            epochs=config.epochs,
        )
    )
    scores, tested, names = {}, {}, []
    if isinstance(session.method, Classifier | Segmenter):
        metric = config.metric(prepared.task.kind)
        scores = validate(fabric, session.method, prepared, metric=metric)
        evaluation = evaluate(fabric, session.method, config, prepared, "test")
        assert evaluation is not None
        tested = {name: one for name, one in evaluation.scores.model_dump().items() if isinstance(one, float | int)}
        names = [image.image for image in evaluation.images]
    return Learnt(
        losses=[{name: float(loss) for name, loss in step.losses.items()} for step in steps],
        weights={name: tensor.clone() for name, tensor in session.method.state_dict().items()},
        images=sum(step.images for step in steps),
        scores=scores,
        tested=tested,
        names=names,
    )


def work(rank: int, port: int, configs: dict[str, RunConfig], out: Path) -> None:
    """Train one of two processes on its half of every run."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE=str(WORLD)
    )
    torch.set_num_threads(1)
    for name, config in configs.items():
        fabric = Fabric(accelerator="cpu", devices=WORLD, strategy="ddp")
        fabric.launch()
        torch.save(learn(fabric, config, out / name), out / f"{name}-{rank}.pt")
    torch.distributed.destroy_process_group()


def together(configs: dict[str, RunConfig], out: Path) -> dict[str, list[Learnt]]:
    """Train each run in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(work, args=(port, configs, out), nprocs=WORLD)  # type: ignore[no-untyped-call]
    return {
        name: [torch.load(out / f"{name}-{rank}.pt", weights_only=False) for rank in range(WORLD)] for name in configs
    }


def settings(name: str, folder: Path, cache: Path, **changes: Any) -> RunConfig:
    """Batches of 7 or fewer: the two processes have unequal shares, and the last batches are smaller."""
    contents = {
        "data": {"path": folder, "image_size": 32, "cache": cache},
        "method": {"name": name, **METHODS[name]},
        "epochs": 2,
        "batch_size": 7,
        "label_fraction": 60,
        "optim": {"name": "sgd", "lr": 1e-3 if name in ("picie", "mdc") else 0.02, "schedule": "constant"},
        "hardware": {"accelerator": "cpu"},
        **changes,
    }
    return make_run_config(contents, origin="test")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cache_dir: Path) -> dict[str, tuple[Learnt, Learnt]]:
    """Results of one process and of the first of two, for a few methods."""
    out = tmp_path_factory.mktemp("few")
    configs = {name: settings(name, lesions, cache_dir, epochs=1) for name in FEW}
    configs["apart"] = settings(
        "dedl", lesions, cache_dir, epochs=1, hardware={"accelerator": "cpu", "sync_batch_norm": False}
    )
    return side_by_side(configs, out)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cache_dir: Path) -> dict[str, tuple[Learnt, Learnt]]:
    """The same for all other methods."""
    return side_by_side(
        {name: settings(name, lesions, cache_dir) for name in METHODS if name not in FEW},
        tmp_path_factory.mktemp("many"),
    )


def side_by_side(configs: dict[str, RunConfig], out: Path) -> dict[str, tuple[Learnt, Learnt]]:
    """Each run by one process and by two, of which both have learnt the same and have seen each image once."""
    found = {}
    for name, (first, second) in together(configs, out / "two").items():
        alone = learn(Fabric(accelerator="cpu", devices=1), configs[name], out / "one" / name)
        assert first.losses == second.losses
        assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)
        assert (first.tested, first.scores) == (second.tested, second.scores)
        assert first.images + second.images == alone.images
        found[name] = (alone, first)
    return found


def check_equal(alone: Learnt, shared: Learnt) -> None:
    assert len(alone.losses) == len(shared.losses) > 2
    for one, two in zip(alone.losses, shared.losses, strict=True):
        assert two == pytest.approx(one, abs=1e-5, rel=1e-5)
    for key, weight in alone.weights.items():
        torch.testing.assert_close(shared.weights[key], weight, atol=1e-5, rtol=1e-4, msg=lambda text: f"{key}: {text}")  # noqa: B023


@pytest.mark.parametrize("name", FEW)
def test_two_processes_learn_what_one_learns_from_the_same_batches(
    name: str, few: dict[str, tuple[Learnt, Learnt]]
) -> None:
    check_equal(*few[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name not in FEW])
def test_two_processes_learn_what_one_learns_whatever_the_method(
    name: str, many: dict[str, tuple[Learnt, Learnt]]
) -> None:
    check_equal(*many[name])


def test_two_processes_score_each_image_once_and_in_its_order(few: dict[str, tuple[Learnt, Learnt]]) -> None:
    alone, shared = few["dedl"]
    assert alone.names == shared.names
    assert len(set(alone.names)) == len(alone.names) == alone.tested["images"]
    assert shared.tested == pytest.approx(alone.tested, abs=1e-6)
    assert shared.scores == pytest.approx(alone.scores, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finetune", "cross_teaching", "picie"])
def test_two_processes_score_what_one_scores(name: str, many: dict[str, tuple[Learnt, Learnt]]) -> None:
    alone, shared = many[name]
    assert shared.tested == pytest.approx(alone.tested, abs=1e-3)
    assert shared.scores == pytest.approx(alone.scores, abs=1e-3)


def test_batch_normalisation_of_each_process_by_itself_is_something_else(
    few: dict[str, tuple[Learnt, Learnt]],
) -> None:
    alone, apart = few["apart"]
    assert abs(alone.losses[0]["total"] - apart.losses[0]["total"]) > 1e-4
