import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.ensemble import AVERAGE, MemberSelection, NetworkEnsemble, mean_logits


def committee(seed: int = 0, *, average: bool = True, default: str = AVERAGE) -> NetworkEnsemble:
    """Two networks that classify each pixel independently."""
    torch.manual_seed(seed)
    return NetworkEnsemble({"a": nn.Conv2d(3, 4, 1), "b": nn.Conv2d(3, 4, 1)}, average=average, default=default)


IMAGES = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))


def test_a_selection_is_its_default_until_another_is_selected() -> None:
    choice = MemberSelection(("a", "b", "c"), default="b")
    assert choice.name == "b"
    choice.take("c")
    assert choice.name == "c"
    with pytest.raises(S4miError, match=r"^unknown ensemble member 'd'; choose from a, b, c$"):
        choice.take("d")
    assert choice.name == "c"


def test_a_selection_survives_a_checkpoint() -> None:
    choice, other = MemberSelection(("a", "b"), default="a"), MemberSelection(("a", "b"), default="a")
    choice.take("b")
    other.load_state_dict(choice.state_dict())
    assert other.name == "b"
    choice.take("a")
    assert other.name == "b"  # a copy, not the same tensor


def test_the_members_are_the_networks_and_then_their_average() -> None:
    net = committee()
    members = net.member_logits(IMAGES)
    assert list(members) == ["a", "b", "average"]
    assert torch.equal(members["a"], net["a"](IMAGES))
    assert torch.equal(members["b"], net["b"](IMAGES))
    mean = (net["a"](IMAGES).softmax(dim=1) + net["b"](IMAGES).softmax(dim=1)) / 2
    torch.testing.assert_close(members["average"].softmax(dim=1), mean)


@pytest.mark.parametrize("average", [True, False])
def test_the_logits_are_those_of_the_selected_member(average: bool) -> None:
    net = committee(average=average, default="b")
    members = net.member_logits(IMAGES)
    assert list(members) == ["a", "b", *(["average"] if average else [])]
    assert net.choice.name == "b"
    for name, logits in members.items():
        net.choice.take(name)
        assert torch.equal(net(IMAGES), logits)


def test_without_an_average_it_cannot_be_selected() -> None:
    with pytest.raises(S4miError, match="unknown ensemble member 'average'; choose from a, b"):
        committee(average=False, default="a").choice.take(AVERAGE)


def test_the_average_is_the_default() -> None:
    net = committee()
    assert net.choice.name == AVERAGE
    assert torch.equal(net(IMAGES), net.member_logits(IMAGES)[AVERAGE])


@pytest.mark.parametrize(("chosen", "asked"), [("a", ["a"]), ("b", ["b"]), ("average", ["a", "b"])])
def test_only_the_networks_that_are_needed_run(chosen: str, asked: list[str]) -> None:
    net, calls = committee(), []
    for name in ("a", "b"):
        net[name].register_forward_hook(lambda _module, _given, _z, name=name: calls.append(name))
    net.choice.take(chosen)
    net(IMAGES)
    assert calls == asked


def test_a_checkpoint_restores_networks_and_selection() -> None:
    net, other = committee(0), committee(1)
    net.choice.take("a")
    other.load_state_dict(net.state_dict())
    assert other.choice.name == "a"
    assert torch.equal(other(IMAGES), net(IMAGES))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**20), count=st.integers(1, 4))
def test_the_softmax_of_the_mean_is_the_mean_of_the_softmaxes(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = [3 * torch.randn(2, 3, 2, generator=generator) for _ in range(count)]
    p = mean_logits(*logits).softmax(dim=1)
    torch.testing.assert_close(mean_logits(*logits).exp(), p)  # they are the logarithm of p
    for b in range(2):
        for i in range(2):
            for k in range(3):
                mean = sum(share(z[b, :, i], k) for z in logits) / count
                assert p[b, k, i].item() == pytest.approx(mean, abs=1e-5)


def share(z: Tensor, k: int) -> float:
    return math.exp(z[k]) / sum(math.exp(each) for each in z)


def test_the_mean_of_certain_predictions_is_finite() -> None:
    one, other = torch.tensor([[1000.0, -1000.0, 0.0]]), torch.tensor([[-1000.0, 1000.0, 0.0]])
    mean = mean_logits(one, other)
    assert torch.isfinite(mean).all()
    torch.testing.assert_close(mean.softmax(dim=1), torch.tensor([[0.5, 0.5, 0.0]]))


def test_the_mean_of_half_precision_is_in_single_precision() -> None:
    assert mean_logits(torch.zeros(1, 2, dtype=torch.bfloat16)).dtype == torch.float32
