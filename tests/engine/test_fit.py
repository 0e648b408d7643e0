"""The training loop, compared with a plain loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from s4mi.contract import Batch, Batches, Classifier, Losses, TrainState
from s4mi.engine.fit import LossNotFiniteError, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.settings.optim import OptimConfig


@final
class Line(Classifier):
    """z = Wx on the mean colour; records the calls of its hooks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3, 2)
        self.calls: list[str] = []

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.head(images.mean(dim=(2, 3)))
        return z

    def loss(self, batch: Batch) -> Losses:
        z = self.logits(batch.images)
        entropy = nn.functional.cross_entropy(z, batch.known_labels)
        return Losses(entropy=entropy, size=0.01 * self.head.weight.square().sum())

    def before_epoch(self, images: Batches) -> None:
        self.calls.append(f"epoch of {len(list(images))}")

    def before_step(self, state: TrainState) -> None:
        assert self.head.weight.grad is None or not self.calls[-1].startswith("backward")
        self.calls.append(f"step {state.step}, epoch {state.epoch:g}")

    def after_backward(self, state: TrainState) -> None:
        assert self.head.weight.grad is not None
        self.before = self.head.weight.detach().clone()
        self.calls.append(f"backward {state.step}")

    def after_step(self, state: TrainState) -> None:
        assert not torch.equal(self.before, self.head.weight)
        self.calls.append(f"{state.progress:.3f}")


@dataclass
class TwoBatches:
    """Two batches, the same every epoch; one image can be NaN."""

    steps: int = 2
    nan_epoch: int = 0

    def batch(self, epoch: int, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(4, 3, 5, 5, generator=generator)
        if epoch == self.nan_epoch and step == 1:
            images[2] = torch.nan
        return Batch(images=images, rows=torch.arange(4) + 4 * step, labels=torch.tensor([0, 1, 0, 1]))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for step in range(self.steps):
            yield self.batch(epoch, step)


def run(
    method: Classifier, stream: TwoBatches, *, epochs: int, first: int = 1, clip_norm: float | None = None
) -> list[dict[str, float]]:
    config = OptimConfig(lr=0.1, schedule="step", step_epochs=1)
    optimizer = make_optimizer(config, method.parameters(), device=torch.device("cpu"))
    fabric = Fabric(accelerator="cpu", devices=1)
    scheduler = make_scheduler(config, optimizer)
    steps = fit(fabric, method, optimizer, scheduler, stream, epochs=epochs, first_epoch=first, clip_norm=clip_norm)
    return [{name: float(loss) for name, loss in step.losses.items()} for step in steps]


def test_the_loop_does_what_a_plain_loop_does() -> None:
    method, by_hand, stream = Line(), Line(), TwoBatches()
    losses = run(method, stream, epochs=3)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=0.1, weight_decay=1e-5)
    expected = []
    for epoch in range(1, 4):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.1 ** (epoch - 1)
        for batch in stream.epoch(epoch):
            total = by_hand.loss(batch).total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            expected.append(float(total.detach()))
    assert [step["total"] for step in losses] == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(method.head.weight, by_hand.head.weight)


def test_a_step_tells_the_learning_rate_that_it_was_made_with() -> None:
    method, config = Line(), OptimConfig(name="sgd", lr=0.1, schedule="step", step_epochs=1, momentum=0, weight_decay=0)
    optimizer = make_optimizer(config, method.parameters(), device=torch.device("cpu"))
    fabric, rates = Fabric(accelerator="cpu", devices=1), []
    before = method.head.weight.detach().clone()
    for step in fit(fabric, method, optimizer, make_scheduler(config, optimizer), TwoBatches(), epochs=3):
        moved, before = method.head.weight.detach() - before, method.head.weight.detach().clone()
        assert method.head.weight.grad is not None
        rates.append(float(-(moved / method.head.weight.grad).mean()))
        assert step.lr == pytest.approx(rates[-1], rel=1e-3)
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=1e-3)


def test_total_is_the_sum_of_the_named_terms() -> None:
    for step in run(Line(), TwoBatches(), epochs=2):
        assert step["total"] == pytest.approx(step["entropy"] + step["size"])


def test_hooks_are_called_in_order_with_progress_up_to_one() -> None:
    method = Line()
    run(method, TwoBatches(), epochs=2)
    assert method.calls == [
        "epoch of 2",
        *("step 0, epoch 0", "backward 0", "0.250"),
        *("step 1, epoch 0.5", "backward 1", "0.500"),
        "epoch of 2",
        *("step 2, epoch 1", "backward 2", "0.750"),
        *("step 3, epoch 1.5", "backward 3", "1.000"),
    ]


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_loss_that_is_not_finite_is_named_with_its_step_and_images(clip_norm: float | None) -> None:
    with pytest.raises(LossNotFiniteError) as caught:
        run(Line(), TwoBatches(nan_epoch=2), epochs=3, clip_norm=clip_norm)
    assert (caught.value.epoch, caught.value.index, caught.value.rows) == (2, 2, (4, 5, 6, 7))
    assert caught.value.terms["size"] < 1


def test_the_global_generator_is_seeded_by_epoch_so_that_a_resumed_run_draws_the_same() -> None:
    drawn: list[float] = []

    @final
    class Drawing(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def logits(self, images: Tensor) -> Tensor:
            return images.mean(dim=(2, 3)) * self.weight

        def loss(self, batch: Batch) -> Losses:  # noqa: ARG002
            drawn.append(float(torch.rand(())))
            return Losses(nothing=self.weight.sum())

    for first in (1, 3):
        method, config = Drawing(), OptimConfig()
        optimizer = make_optimizer(config, method.parameters(), device=torch.device("cpu"))
        fabric = Fabric(accelerator="cpu", devices=1)
        list(
            fit(fabric, method, optimizer, make_scheduler(config, optimizer), TwoBatches(), epochs=4, first_epoch=first)
        )
    assert len(set(drawn[:8])) == 8
    assert drawn[8:] == drawn[4:8]


def test_a_gradient_that_a_method_removes_changes_no_weight() -> None:
    @final
    class Frozen(Classifier):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.free, self.held = nn.Linear(3, 2), nn.Linear(3, 2)

        def logits(self, images: Tensor) -> Tensor:
            colour = images.mean(dim=(2, 3))
            z: Tensor = self.free(colour) + self.held(colour)
            return z

        def loss(self, batch: Batch) -> Losses:
            return Losses(entropy=nn.functional.cross_entropy(self.logits(batch.images), batch.known_labels))

        def after_backward(self, state: TrainState) -> None:
            if state.epoch < 1:
                self.held.weight.grad = None

    for epochs, moved in ((1, False), (2, True)):
        method = Frozen()
        before = {name: weight.detach().clone() for name, weight in method.named_parameters()}
        run(method, TwoBatches(), epochs=epochs)
        assert torch.equal(before["held.weight"], method.held.weight) != moved
        assert not torch.equal(before["free.weight"], method.free.weight)
