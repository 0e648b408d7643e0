import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead

from s4mi.contract import Batch, Task
from s4mi.methods.pretraining.simclr import contrast
from s4mi.nets.heads import ProjectionHead
from s4mi.settings.pretraining.simclr import SimclrConfig

TASK = Task(kind="multiclass", classes=(), image_size=32, counts=(), labelled=0)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("size", [2, 5])
def test_the_loss_and_its_gradient_are_lightlys(temperature: float, size: int) -> None:
    z = torch.randn(2, size, 8, generator=torch.Generator().manual_seed(size)).requires_grad_()
    ours = contrast(z[0], z[1], temperature=temperature)
    theirs = NTXentLoss(temperature=temperature)(z[0], z[1])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for one, other in zip(torch.autograd.grad(ours, z), torch.autograd.grad(theirs, z), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_head_has_lightlys_layers() -> None:
    torch.manual_seed(0)
    ours = ProjectionHead(6, hidden=10, projection=4)
    theirs = SimCLRProjectionHead(6, 10, 4)
    theirs.layers.load_state_dict(ours.mlp.state_dict())
    features = torch.randn(8, 6)
    torch.testing.assert_close(ours(features), theirs(features))


def test_the_views_of_an_image_are_the_pairs() -> None:
    torch.manual_seed(0)
    config = SimclrConfig.model_validate(
        {"backbone": "tiny_vit", "weights": "none", "hidden": 16, "projection": 8, "temperature": 0.05}
    )
    method = config.build(TASK)
    images = torch.rand(6, 3, 32, 32)
    agreeing = method.loss(Batch(torch.cat([images, images]), torch.arange(6))).total
    crossed = method.loss(Batch(torch.cat([images, images.roll(1, dims=0)]), torch.arange(6))).total
    assert agreeing < crossed
    assert len(config.crops(32).images) == 2
