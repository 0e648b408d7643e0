import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from pydantic import ValidationError

from s4mi.contract import Batch, Task
from s4mi.errors import S4miError
from s4mi.methods.segmentation.supervised import Supervised, SupervisedConfig
from s4mi.records import IGNORE


def built(*, image_size: int = 32, **settings: object) -> Supervised:
    task = Task(
        kind="segmentation", classes=("background", "a", "b"), image_size=image_size, counts=(60, 30, 10), labelled=4
    )
    small = {"encoder": "tiny_resnet", "weights": "none", "decoder_channels": (16, 8, 8)}
    torch.manual_seed(0)
    return SupervisedConfig.model_validate({**small, **settings}).build(task)


def batch(*, ignored: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(3, (4, 32, 32), generator=generator)
    if ignored:
        masks[:, :10] = IGNORE
    return Batch(torch.rand(4, 3, 32, 32, generator=generator), torch.arange(4), masks=masks)


def test_the_defaults_are_the_paper_s() -> None:
    config = SupervisedConfig()
    assert (config.encoder, config.weights, config.criterion) == ("resnet34", "imagenet", "cross_entropy")
    assert config.decoder_channels == (256, 128, 64, 32, 16)
    assert config.backbone_name == "resnet34 U-Net"


@pytest.mark.parametrize(
    ("rule", "weight"),
    [("none", None), ("inverse", [5 / 9, 10 / 9, 10 / 3]), ("median", [0.5, 1.0, 3.0]), ((1, 2, 0), [1.0, 2.0, 0.0])],
)
@pytest.mark.parametrize("ignored", [False, True])
def test_the_loss_is_the_weighted_cross_entropy_of_the_known_pixels(rule, weight, ignored: bool) -> None:
    method, given = built(class_weights=rule), batch(ignored=ignored)
    losses = method.loss(given)
    expected = F.cross_entropy(
        method.logits(given.images),
        given.known_masks,
        weight=None if weight is None else torch.tensor(weight),
        ignore_index=IGNORE,
    )
    assert list(losses) == ["cross_entropy"]
    torch.testing.assert_close(losses.total, expected)


def test_the_loss_can_be_half_dice_and_half_cross_entropy() -> None:
    method, given = built(criterion="dice_cross_entropy"), batch()
    losses, z = method.loss(given), method.logits(given.images)
    oracle = DiceLoss(squared_pred=True, batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5)
    torch.testing.assert_close(losses["dice"], oracle(z, given.known_masks[:, None]) / 2)
    torch.testing.assert_close(losses["cross_entropy"], F.cross_entropy(z, given.known_masks) / 2)
    assert list(losses) == ["dice", "cross_entropy"]


@pytest.mark.parametrize("criterion", ["cross_entropy", "dice_cross_entropy"])
def test_what_is_predicted_where_nothing_is_known_has_no_gradient(criterion: str) -> None:
    method, given = built(criterion=criterion), batch(ignored=True)
    seen = []
    method.unet.register_forward_hook(lambda module, inputs, z: (z.retain_grad(), seen.append(z))[0])
    method.loss(given).total.backward()
    assert (seen[0].grad[:, :, :10] == 0).all()
    assert (seen[0].grad[:, :, 10:] != 0).any()


def test_a_wrong_count_of_class_weights_is_refused() -> None:
    with pytest.raises(S4miError, match="class_weights names 2 numbers but there are 3 classes"):
        built(class_weights=(1, 2))


@pytest.mark.parametrize(
    ("size", "depth", "stride", "near"),
    [(100, 5, 32, 96), (250, 5, 32, 256), (16, 5, 32, 32), (225, 5, 32, 224), (60, 3, 8, 64), (40, 4, 16, 32)],
)
def test_a_size_that_is_no_multiple_of_the_stride_is_refused_with_one_that_is(
    size: int, depth: int, stride: int, near: int
) -> None:
    channels = (16, 16, 16, 8, 8)[-depth:]
    message = f"data.image_size {size} is no multiple of the U-Net's stride {stride}; take {near}"
    with pytest.raises(S4miError) as error:
        built(image_size=size, decoder_channels=channels)
    assert str(error.value) == message
    built(image_size=near, decoder_channels=channels)


@pytest.mark.parametrize("channels", [(16, 8), (16,) * 6, (16, 8, 0), (16, 8, -8)])
def test_a_decoder_has_three_to_five_blocks_of_some_width(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="decoder_channels"):
        SupervisedConfig(decoder_channels=channels)


def test_a_transformer_encoder_is_built_for_the_size() -> None:
    method = built(image_size=64, encoder="tu-swin_tiny_patch4_window7_224", decoder_channels=(16, 16, 8, 8, 8)).eval()
    with torch.no_grad():
        assert method.logits(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)
