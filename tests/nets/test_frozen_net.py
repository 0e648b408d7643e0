"""Networks on a frozen encoder: what never changes, what is saved, and what is trained."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from s4mi.nets.backbone import TINY, Backbone
from s4mi.nets.frozen_net import FrozenNet
from s4mi.nets.network_names import network_label
from s4mi.nets.networks import build_network


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("encoder", TINY)
def test_training_changes_the_head_alone(encoder: str) -> None:
    """Not even the running averages of a CNN's batch normalisation, whether in training mode or not."""
    torch.manual_seed(0)
    net = build_network(f"frozen/{encoder}", classes=3, image_size=32).train()
    before, images = state(net), torch.rand(4, 3, 32, 32)
    optimizer = torch.optim.SGD([weight for weight in net.parameters() if weight.requires_grad], lr=1.0)
    net(images).square().mean().backward()
    optimizer.step()
    after = net.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    assert all(name.startswith("heads.0.") for name in changed)
    assert not net.encoder.training
    assert net.heads.training


@pytest.mark.parametrize("encoder", TINY)
def test_the_head_sees_the_image_and_the_maps_of_the_encoder(encoder: str) -> None:
    """The deepest map is the one that the backbone computes by itself."""
    torch.manual_seed(0)
    net = FrozenNet(encoder, classes=2, image_size=32)
    images = torch.rand(2, 3, 32, 32)
    seen, *maps = net.encode(images)
    assert torch.equal(seen, images)
    assert [level.shape[1] for level in maps] == list(net.encoder.widths)
    backbone = net.encoder.backbone
    assert isinstance(backbone, Backbone)
    with torch.no_grad():
        torch.testing.assert_close(maps[-1], backbone.eval().feature_map(images), rtol=1e-5, atol=1e-6)


def test_a_gradient_passes_through_to_the_image() -> None:
    """Saliency maps need it."""
    net, images = build_network("frozen/tiny_vit", classes=2, image_size=32), torch.rand(1, 3, 32, 32)
    head, images = net.heads[0], images.requires_grad_()
    net.eval()
    maps = net.encode(images)[1:]
    head.token_logits(maps).sum().backward() if hasattr(head, "token_logits") else head(
        maps, images.detach()
    ).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_checkpoint_needs_no_weight_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = Backbone("tiny_vit", image_size=32).net.state_dict()
    save_file(given, tmp_path / "w.safetensors")
    torch.manual_seed(2)
    net = build_network("frozen/tiny_vit", classes=2, image_size=32, weights=str(tmp_path / "w.safetensors"))
    loaded = net.get_submodule("encoder.backbone.net").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in given.items())
    other = build_network("frozen/tiny_vit", classes=2, image_size=32)
    other.load_state_dict(net.state_dict())
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(images), other.eval()(images))


def test_several_heads_are_averaged_as_probabilities() -> None:
    torch.manual_seed(0)
    net = FrozenNet("tiny_vit", classes=3, image_size=32, heads=3).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        features = net.encode(images)
        each = torch.stack([net.head_logits(number, features).softmax(dim=1) for number in range(3)])
        torch.testing.assert_close(net(images).softmax(dim=1), each.mean(dim=0))
    assert (each.std(dim=0) > 0).any()


def test_the_label_says_that_it_is_frozen() -> None:
    assert network_label("frozen/resnet50") == "resnet50 (frozen)"
