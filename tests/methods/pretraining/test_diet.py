"""DIET against a naive version of its loss, and what it trains."""

import math

import pytest
import torch

from s4mi.contract import Batch, Task, TrainState
from s4mi.errors import S4miError
from s4mi.methods.pretraining.diet import Diet, numbers_of
from s4mi.settings.pretraining.diet import DietConfig

ROWS = (3, 4, 9, 17, 40)


def built(**settings: object) -> Diet:
    task = Task(kind="multiclass", classes=(), image_size=32, counts=(), labelled=0, train_rows=ROWS)
    torch.manual_seed(0)
    return DietConfig.model_validate({"backbone": "tiny_vit", "weights": "none", **settings}).build(task)


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("rate", [1.0, 20.0])
def test_the_loss_is_the_smoothed_cross_entropy_with_the_image_as_its_class(smoothing: float, rate: float) -> None:
    method = built(label_smoothing=smoothing, head_rate=rate, tuning="full").eval()
    x, rows = images(3), [17, 3, 40]
    loss = float(method.loss(Batch(x, torch.tensor(rows))).total.detach())
    weight, features = method.head.weight.detach().double() * rate, method.backbone(x).detach().double()
    naive = 0.0
    for feature, row in zip(features, rows, strict=True):
        z = [float((w * feature).sum()) for w in weight]
        log_sum = math.log(sum(math.exp(each) for each in z))
        log_p = [each - log_sum for each in z]
        n = ROWS.index(row)
        naive += -(1 - smoothing) * log_p[n] - smoothing / len(ROWS) * sum(log_p)
    assert loss == pytest.approx(naive / 3, rel=1e-5)


def test_each_training_image_has_a_class_of_its_own() -> None:
    numbers = numbers_of(ROWS)
    assert [int(numbers[row]) for row in ROWS] == [0, 1, 2, 3, 4]
    assert int((numbers == -1).sum()) == 41 - 5
    assert built().head.weight.shape == (5, 96)


def test_a_step_of_adam_moves_the_classes_faster_by_the_given_factor() -> None:
    """The logits' own change, as W is multiplied by the factor."""
    moved = []
    for rate in (1.0, 50.0):
        method = built(head_rate=rate, tuning="head").eval()
        before = rate * method.head.weight.detach().clone()
        optimizer = torch.optim.Adam(method.head.parameters(), lr=1e-4, eps=1e-12)
        method.loss(Batch(images(5), torch.tensor(ROWS))).total.backward()
        optimizer.step()
        moved.append((rate * method.head.weight - before).detach().abs().mean())
    torch.testing.assert_close(moved[1] / moved[0], torch.tensor(50.0), rtol=1e-2, atol=0)


def test_by_default_the_classes_are_learnt_before_the_last_two_blocks() -> None:
    method = built(head_first=1)
    batch = Batch(images(5), torch.tensor(ROWS))
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.01)
    start = {name: p.detach().clone() for name, p in method.named_parameters()}
    changed = []
    for step in range(2):
        method.train()
        method.before_epoch([batch])
        state = TrainState(step=step, per_epoch=1, total=2)
        method.before_step(state)
        optimizer.zero_grad()
        method.loss(batch).total.backward()
        method.after_backward(state)
        optimizer.step()
        changed.append({name for name, p in method.named_parameters() if not torch.equal(p, start[name])})
    assert changed[0] == {"head.weight"}
    blocks = {name.split(".")[3] for name in changed[1] if name.startswith("backbone.net.blocks.")}
    assert blocks == {"2", "3"}
    assert not any("patch_embed" in name or "pos_embed" in name for name in changed[1])


def test_trained_images_are_told_apart() -> None:
    method = built(tuning="full", head_first=0, label_smoothing=0.1)
    x, rows = images(5), torch.tensor(ROWS)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        method.loss(Batch(x, rows)).total.backward()
        optimizer.step()
    assert method.eval().head(method.backbone(x)).argmax(dim=1).tolist() == [0, 1, 2, 3, 4]


def test_without_training_images_it_says_so() -> None:
    task = Task(kind="multiclass", classes=(), image_size=32, counts=(), labelled=0)
    with pytest.raises(S4miError, match="needs training images"):
        DietConfig.model_validate({"backbone": "tiny_vit", "weights": "none"}).build(task)
