import copy
import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.settings.optim import OptimConfig

CPU = torch.device("cpu")


def lr_by_epoch(config: OptimConfig, epochs: int) -> list[float]:
    """The learning rate during each epoch, and after the last."""
    optimizer = make_optimizer(config, [nn.Parameter(torch.zeros(1))], device=CPU)
    scheduler = make_scheduler(config, optimizer)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*rates, optimizer.param_groups[0]["lr"]]


def test_the_defaults_are_those_of_the_paper() -> None:
    config = OptimConfig()
    optimizer = make_optimizer(config, [nn.Parameter(torch.zeros(1))], device=CPU)
    assert type(optimizer) is Adam
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (3.6e-4, 1e-5)
    assert (config.schedule, config.cosine_epochs, config.min_lr) == ("cosine", 50, 3.4e-4)


@pytest.mark.parametrize(("lr", "min_lr", "epochs"), [(3.6e-4, 3.4e-4, 50), (1e-2, 0, 7)])
def test_the_cosine_schedule_matches_its_formula(lr: float, min_lr: float, epochs: int) -> None:
    rates = lr_by_epoch(OptimConfig(lr=lr, min_lr=min_lr, cosine_epochs=epochs), epochs)
    expected = [min_lr + (lr - min_lr) * (1 + math.cos(math.pi * t / epochs)) / 2 for t in range(epochs + 1)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert rates[-1] == pytest.approx(min_lr, abs=1e-12)


def test_the_step_schedule_drops_every_few_epochs() -> None:
    config = OptimConfig(schedule="step", lr=0.8, step_epochs=2, step_factor=0.5)
    assert lr_by_epoch(config, 5) == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.2])


def test_the_constant_schedule_does_not_change() -> None:
    assert lr_by_epoch(OptimConfig(schedule="constant", lr=0.3), 20) == [0.3] * 21


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", lambda p: Adam(p, lr=0.01, weight_decay=0.1)),
        ("adamw", lambda p: AdamW(p, lr=0.01, weight_decay=0.1)),
        ("sgd", lambda p: SGD(p, lr=0.01, weight_decay=0.1, momentum=0.8)),
    ],
)
def test_fused_optimisers_equal_the_plain_ones(name, reference) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    other = copy.deepcopy(net)
    config = OptimConfig(name=name, lr=0.01, weight_decay=0.1, momentum=0.8, schedule="constant")
    ours: Optimizer = make_optimizer(config, net.parameters(), device=CPU)
    plain: Optimizer = reference(other.parameters())
    assert ours.defaults["fused"] is True
    for _ in range(5):
        images = torch.randn(8, 4)
        for module, optimizer in ((net, ours), (other, plain)):
            optimizer.zero_grad()
            module(images).square().mean().backward()
            optimizer.step()
    for left, right in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_frozen_parameters_are_not_optimised() -> None:
    net = nn.Linear(2, 1)
    net.bias.requires_grad_(False)
    optimizer = make_optimizer(OptimConfig(), net.parameters(), device=CPU)
    assert [id(parameter) for parameter in optimizer.param_groups[0]["params"]] == [id(net.weight)]


def test_gradients_that_are_clipped_on_a_gpu_are_not_unscaled_within_the_step() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    fused = [
        make_optimizer(OptimConfig(clip_norm=clip), parameters, device=torch.device(device)).defaults["fused"]
        for clip, device in ((None, "cuda"), (1.0, "cuda"), (1.0, "cpu"), (None, "mps"))
    ]
    assert fused == [True, False, True, False]


def test_a_cosine_schedule_that_would_rise_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_lr 0\.00034 is above lr 0\.0001; lower optim\.min_lr as well"):
        OptimConfig(lr=1e-4)
    assert OptimConfig(lr=1e-4, min_lr=1e-4).lr == 1e-4
    assert OptimConfig(lr=1e-4, schedule="step").lr == 1e-4  # min_lr applies to the cosine schedule only


@pytest.mark.parametrize(
    "settings",
    [{"lr": 0}, {"weight_decay": -1}, {"momentum": 1}, {"cosine_epochs": 0}, {"step_factor": 2}, {"clip_norm": 0}],
)
def test_values_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        OptimConfig.model_validate(settings)


def test_a_schedule_resumes_from_its_saved_state() -> None:
    config = OptimConfig(lr=1e-2, min_lr=0, cosine_epochs=6)
    whole = lr_by_epoch(config, 6)
    optimizer = make_optimizer(config, [nn.Parameter(torch.zeros(1))], device=CPU)
    scheduler = make_scheduler(config, optimizer)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    again = make_optimizer(config, [nn.Parameter(torch.zeros(1))], device=CPU)
    resumed = make_scheduler(config, again)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    rates = []
    for _ in range(3):
        rates.append(again.param_groups[0]["lr"])
        again.step()
        resumed.step()
    assert [*rates, again.param_groups[0]["lr"]] == pytest.approx(whole[3:], abs=1e-15)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_accepts_parameters_that_are_first_frozen(momentum: float) -> None:
    """Like the prototypes of DINO, frozen in the first epoch; compared with torch's unfused step."""
    config = OptimConfig(name="sgd", lr=0.1, momentum=momentum, weight_decay=0.01, schedule="constant")
    ours, theirs = ([nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2)] for _ in range(2))
    optimizer = make_optimizer(config, ours, device=CPU)
    oracle = SGD(theirs, lr=0.1, momentum=momentum, weight_decay=0.01)
    for step in range(3):
        for weights, stepped in ((ours, optimizer), (theirs, oracle)):
            weights[0].grad = torch.tensor([0.5, -1.0])
            weights[1].grad = None if step == 0 else torch.tensor([0.25, 4.0])
            stepped.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_scaled_parameter_is_trained_at_its_share_of_the_learning_rate(name: str, schedule: str) -> None:
    """Each parameter moves as it does under an optimiser of its own, whose learning rates are scaled."""
    config = OptimConfig(name=name, schedule=schedule, lr=0.1, min_lr=0.01, cosine_epochs=3, step_epochs=2)
    own = OptimConfig(name=name, schedule=schedule, lr=0.025, min_lr=0.0025, cosine_epochs=3, step_epochs=2)
    plain, scaled, alone = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(3))
    only = nn.Parameter(torch.tensor([1.0, -2.0]))
    scaled.lr_scale = 0.25
    together = make_optimizer(config, [plain, scaled], device=CPU)
    apart = [make_optimizer(config, [only], device=CPU), make_optimizer(own, [alone], device=CPU)]
    optimizers = [together, *apart]
    schedulers = [make_scheduler(config, together), make_scheduler(config, apart[0]), make_scheduler(own, apart[1])]
    for _ in range(5):
        for parameter in (plain, scaled, alone, only):
            parameter.grad = parameter.detach() ** 2
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
        torch.testing.assert_close(plain, only)
        torch.testing.assert_close(scaled, alone)
    assert not torch.equal(plain, scaled)


def test_scaled_rates_go_on_after_a_checkpoint() -> None:
    config = OptimConfig(lr=0.1, min_lr=0.01, cosine_epochs=5)
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[1].lr_scale = 0.5
    rates: list[list[float]] = []
    first = make_optimizer(config, parameters, device=CPU)
    scheduler = make_scheduler(config, first)
    for epoch in range(5):
        if epoch == 2:
            again = make_optimizer(config, parameters, device=CPU)
            continued = make_scheduler(config, again)
            again.load_state_dict(first.state_dict())
            continued.load_state_dict(scheduler.state_dict())
        first.step()
        scheduler.step()
        if epoch >= 2:
            again.step()
            continued.step()
            assert [group["lr"] for group in again.param_groups] == [group["lr"] for group in first.param_groups]
        rates.append([group["lr"] for group in first.param_groups])
    assert all(slow == pytest.approx(fast / 2) for fast, slow in rates)
    assert rates[-1] == pytest.approx([0.01, 0.005])
