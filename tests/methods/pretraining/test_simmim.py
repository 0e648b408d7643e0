import pytest
import torch

from s4mi.contract import Batch, Task
from s4mi.errors import S4miError
from s4mi.methods.pretraining.simmim import Simmim, masked_squares
from s4mi.settings.pretraining.simmim import SimmimConfig

TASK = Task(kind="segmentation", classes=("a", "b"), image_size=32, counts=(1, 1), labelled=2)


def built(backbone: str = "tiny_vit", **settings: object) -> Simmim:
    torch.manual_seed(0)
    return SimmimConfig.model_validate({"backbone": backbone, "weights": "none", "square": 8, **settings}).build(TASK)


def batch(size: int = 3) -> Batch:
    images = torch.rand(size, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(size))


@pytest.mark.parametrize("backbone", ["tiny_vit", "tiny_swin", "tiny_resnet"])
def test_the_loss_is_the_mean_error_over_masked_pixels(backbone: str) -> None:
    method, given = built(backbone), batch()
    method.eval()
    torch.manual_seed(7)
    masked = masked_squares(given.images, square=8, share=0.6)
    visible = given.images.clone()
    mean, std = method.backbone.normalise.mean.flatten(), method.backbone.normalise.std.flatten()
    for b, _, y, x in masked.nonzero().tolist():
        visible[b, :, y, x] = method.colour.detach().flatten() * std + mean
    predicted = method.head(method.backbone.feature_map(visible))
    assert predicted.shape == given.images.shape
    target = (given.images - mean[:, None, None]) / std[:, None, None]
    errors = [(target - predicted)[b, :, y, x].abs().mean() for b, _, y, x in masked.nonzero().tolist()]
    torch.manual_seed(7)
    torch.testing.assert_close(method.loss(given).total, torch.stack(errors).mean(), rtol=1e-4, atol=1e-5)


def test_masked_pixels_do_not_reach_the_network() -> None:
    method, given = built(), batch()
    method.eval()
    torch.manual_seed(3)
    masked = masked_squares(given.images, square=8, share=0.6)
    seen: list[torch.Tensor] = []
    method.backbone.net.patch_embed.register_forward_hook(lambda _module, images, _out: seen.append(images[0]))
    for images in (given.images, torch.where(masked, 1 - given.images, given.images)):
        torch.manual_seed(3)
        method.loss(Batch(images, given.rows))
    assert torch.equal(seen[0], seen[1])


@pytest.mark.parametrize(("share", "squares"), [(0.6, 10), (0.01, 1), (0.99, 15), (0.5, 8)])
def test_every_image_has_its_own_masked_squares_of_the_share(share: float, squares: int) -> None:
    torch.manual_seed(0)
    masked = masked_squares(torch.zeros(40, 3, 32, 32), square=8, share=share)
    assert masked.shape == (40, 1, 32, 32)
    whole = masked.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2)
    assert (whole.all(-1) == whole.any(-1)).all()  # a square is masked whole or not at all
    assert set(masked.sum(dim=(1, 2, 3)).tolist()) == {squares * 64}
    assert len({tuple(one.flatten().tolist()) for one in masked}) > 10


def test_squares_that_do_not_divide_the_image_are_refused() -> None:
    with pytest.raises(
        S4miError, match=r"square 12 does not divide data.image_size 32 into several squares; set it to 4"
    ):
        built(square=12)
    with pytest.raises(S4miError, match=r"method.square 32"):
        built(square=32)
