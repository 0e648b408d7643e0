"""PiCIE and MDC on a ViT, and on a frozen backbone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from s4mi.contract import Batch, Task, TrainState
from s4mi.methods.segmentation.picie import PixelClustering
from s4mi.nets.token_features import TokenFeatures
from s4mi.settings.segmentation.picie import MdcConfig, PicieConfig

TASK = Task(kind="segmentation", classes=("background", "a"), image_size=32, counts=(0, 0), labelled=0)


def built(backbone: str, *, config: type[PicieConfig | MdcConfig] = MdcConfig, **changes: Any) -> PixelClustering:
    torch.manual_seed(0)
    settings = {"backbone": backbone, "weights": "none", "width": 8, "clusters": 3, **changes}
    return config.model_validate(settings).build(TASK)


def batch_for(method: PixelClustering) -> Batch:
    images = torch.rand(4 * method.views, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(4), affine=torch.eye(2, 3).repeat(len(images), 1, 1))


def stepped(method: PixelClustering) -> dict[str, Tensor]:
    """The state before a training step; the method is trained by one."""
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    batch = batch_for(method)
    method.train().before_epoch([batch])
    method.before_step(TrainState(0, per_epoch=1, total=1))
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method.loss(batch).total.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    optimizer.step()
    return before


def test_features_of_a_vit_are_linear_in_its_tokens_at_several_depths() -> None:
    torch.manual_seed(0)
    net = TokenFeatures("tiny_vit", width=8, image_size=32).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        maps = net.encoder.forward_intermediates(
            net.normalise(images), indices=[0, 1, 2, 3], norm=True, output_fmt="NCHW", intermediates_only=True
        )
        expected = sum(
            torch.einsum("dc,bchw->bdhw", layer.weight[:, :, 0, 0], map_) + layer.bias[:, None, None]  # type: ignore[operator]
            for layer, map_ in zip(net.laterals, maps, strict=True)
        )
        assert net(images).shape == (2, 8, 4, 4)
        torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [PicieConfig, MdcConfig])
@pytest.mark.parametrize("backbone", ["tiny_vit", "tiny_resnet"])
def test_a_frozen_backbone_stays_as_it_is_and_the_layers_on_it_learn(
    config: type[PicieConfig | MdcConfig], backbone: str
) -> None:
    method = built(backbone, config=config, tuning="head")
    before = stepped(method)
    changed = {name for name, tensor in method.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert not [name for name in changed if "encoder" in name]
    assert "frozen backbone" in method.config.technique()


def test_a_vit_that_is_tuned_changes_too() -> None:
    method = built("tiny_vit")
    before = stepped(method)
    name = "answer.net.encoder.blocks.0.attn.qkv.weight"
    assert not torch.equal(method.state_dict()[name], before[name])


def test_predictions_have_the_size_of_the_images_even_if_patches_do_not_divide_it() -> None:
    torch.manual_seed(0)
    task = Task(kind="segmentation", classes=("background", "a"), image_size=36, counts=(0, 0), labelled=0)
    method = MdcConfig(backbone="tiny_vit", weights="none", width=8).build(task).eval()
    method.answer.centroids.copy_(torch.randn_like(method.answer.centroids))
    with torch.no_grad():
        assert method.logits(torch.rand(2, 3, 36, 36)).shape == (2, 2, 36, 36)
