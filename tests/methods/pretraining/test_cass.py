import math

import pytest
import torch
from safetensors.torch import save_file

from s4mi.contract import Batch, Task
from s4mi.errors import S4miError
from s4mi.methods.pretraining.cass import Cass, variance_hinge
from s4mi.settings.pretraining.cass import CassConfig

TASK = Task(kind="multilabel", classes=("a", "b"), image_size=32, counts=(1, 1), labelled=2)
SMALL = {"cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 24}


def built(**settings: object) -> Cass:
    torch.manual_seed(0)
    return CassConfig.model_validate({**SMALL, **settings}).build(TASK)


def batch(size: int = 6) -> Batch:
    images = torch.rand(size, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(size))


def embeddings(method: Cass, given: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    cnn, vit = method.cnn, method.vit
    z_cnn = cnn[0](given.images) @ cnn[1].weight.T + cnn[1].bias
    z_vit = vit[0](given.images) @ vit[1].weight.T + vit[1].bias
    return z_cnn, z_vit


def test_the_loss_is_the_formula_image_by_image() -> None:
    method, given = built(), batch()
    total = 0.0
    for z, w in zip(*embeddings(method, given), strict=True):
        cosine = sum(float(a) * float(b) for a, b in zip(z, w, strict=True))
        cosine /= math.sqrt(sum(float(a) ** 2 for a in z)) * math.sqrt(sum(float(b) ** 2 for b in w))
        total += 2 - 2 * cosine
    losses = method.loss(given)
    assert list(losses) == ["similarity"]
    assert float(losses.total) == pytest.approx(total / 6, abs=1e-5)


def test_the_loss_trains_both_networks() -> None:
    method = built()
    method.loss(batch()).total.backward()
    for network in (method.cnn, method.vit):
        assert all(weight.grad is not None and weight.grad.any() for weight in network[1].parameters())
        assert any(weight.grad is not None and weight.grad.any() for weight in network[0].parameters())


def test_the_gradient_is_the_formulas() -> None:
    method, given = built(), batch()
    method.eval()
    z, w = embeddings(method, given)
    naive = (2 - 2 * (z * w).sum(1) / (z.norm(dim=1) * w.norm(dim=1))).mean()
    weights = [weight for weight in method.parameters() if weight.requires_grad]
    expected = torch.autograd.grad(naive, weights, allow_unused=True)
    given_gradients = torch.autograd.grad(method.loss(given).total, weights, allow_unused=True)
    for ours, theirs in zip(given_gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_variance_term_is_vicregs_on_directions() -> None:
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    naive = []
    for d in range(7):
        column = [float(row[d] / row.norm()) * math.sqrt(7) for row in z]
        mean = sum(column) / 5
        std = math.sqrt(sum((x - mean) ** 2 for x in column) / 4 + 1e-4)
        naive.append(max(0.0, 1 - std))
    assert float(variance_hinge(z)) == pytest.approx(sum(naive) / 7, abs=1e-5)
    assert float(variance_hinge(torch.ones(5, 7))) == pytest.approx(0.99, abs=1e-4)  # 1 - sqrt(1e-4)
    torch.testing.assert_close(variance_hinge(3 * z), variance_hinge(z))


def test_the_variance_loss_is_off_by_default_and_has_its_weight() -> None:
    given = batch()
    plain, weighed = built().loss(given), built(variance_weight=0.5).loss(given)
    z, w = embeddings(built(), given)
    assert "variance" not in plain
    torch.testing.assert_close(weighed["variance"], 0.5 * (variance_hinge(z) + variance_hinge(w)) / 2)
    torch.testing.assert_close(weighed["similarity"], plain["similarity"])


def test_one_run_gives_both_encoders() -> None:
    method = built()
    assert method.encoders() == {"tiny_resnet": method.cnn[0], "tiny_vit": method.vit[0]}
    assert set(method.embedders()) == {"tiny_resnet logits", "tiny_vit logits"}


def test_weights_with_a_classifier_keep_it(tmp_path) -> None:
    import timm

    net = timm.create_model("resnet10t", num_classes=1000)
    save_file(net.state_dict(), tmp_path / "resnet10t.safetensors")
    method = built(cnn="resnet10t", cnn_weights=str(tmp_path / "resnet10t.safetensors"), embedding=1000)
    assert torch.equal(method.cnn[1].weight, net.get_classifier().weight)
    assert torch.equal(method.cnn[0].net.state_dict()["conv1.0.weight"], net.state_dict()["conv1.0.weight"])


def test_two_networks_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="cnn and vit must differ"):
        CassConfig.model_validate({"cnn": "tiny_vit", "vit": "tiny_vit"})


def test_weights_of_one_network_are_not_those_of_both() -> None:
    config = CassConfig.model_validate({**SMALL, "weights": "imagenet"})
    with pytest.raises(S4miError, match="'tiny_resnet' has no ImageNet weights"):
        config.build(TASK)
    config.model_copy(update={"cnn_weights": "none", "vit_weights": "none"}).build(TASK)


def test_from_scratch_needs_no_weights() -> None:
    config = CassConfig.model_validate({**SMALL, "weights": "imagenet", "cnn_weights": "/not/there"}).from_scratch()
    assert (config.weights, config.cnn_weights, config.vit_weights) == ("none", None, None)
    config.build(TASK)
