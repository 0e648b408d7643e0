import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from pydantic import ValidationError
from torch import Tensor, nn

from s4mi.contract import Batch, Task
from s4mi.engine.checkpoint import load_weights, save_best
from s4mi.errors import S4miError
from s4mi.maths.losses import dice_cross_entropy
from s4mi.methods.segmentation.supervised import Supervised
from s4mi.nets.autoencoder import WidthAutoencoder
from s4mi.records import IGNORE
from s4mi.settings.segmentation.supervised import SupervisedConfig


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
    assert config.decoder_channels is None  # the network's own
    assert config.autoencoder is None
    assert config.attention is None
    assert config.backbone_name == "resnet34 U-Net"
    assert config.technique() == "dedl"


@pytest.mark.parametrize(
    ("rule", "weight"),
    [("none", None), ("inverse", [5 / 9, 10 / 9, 10 / 3]), ("median", [0.5, 1.0, 3.0]), ((1, 2, 0), [1.0, 2.0, 0.0])],
)
@pytest.mark.parametrize("ignored", [False, True])
def test_the_loss_is_the_weighted_cross_entropy_of_the_known_pixels(
    rule: object, weight: list[float] | None, ignored: bool
) -> None:
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
def test_predictions_of_ignored_pixels_have_no_gradient(criterion: str) -> None:
    method, given = built(criterion=criterion), batch(ignored=True)
    seen: list[Tensor] = []
    method.net.register_forward_hook(lambda module, inputs, z: seen.append(z))
    (gradient,) = torch.autograd.grad(method.loss(given).total, seen)
    assert (gradient[:, :, :10] == 0).all()
    assert (gradient[:, :, 10:] != 0).any()


def test_a_wrong_count_of_class_weights_is_refused() -> None:
    with pytest.raises(S4miError, match="class_weights names 2 numbers but there are 3 classes"):
        built(class_weights=(1, 2))


@pytest.mark.parametrize(("size", "padded"), [(33, 40), (40, None)])
def test_a_size_that_is_not_a_multiple_of_the_stride_is_padded_and_logged_once(
    size: int, padded: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="s4mi"):
        method = built(image_size=size).eval()
    lines = [line for line in caplog.messages if "multiple of the network's stride" in line]
    assert [f"are padded to {padded} pixels" in line for line in lines] == ([True] if padded else [])
    with torch.no_grad():
        assert method.logits(torch.rand(1, 3, size, size)).shape == (1, 3, size, size)


def test_the_architecture_is_built_and_named() -> None:
    method = built(architecture="unetplusplus", encoder="mobilenet_v2")
    assert "UnetPlusPlusDecoder" in {type(module).__name__ for module in method.modules()}
    assert method.config.backbone_name == "mobilenet_v2 UNet++"


@pytest.mark.parametrize("channels", [(16, 8), (16,) * 6, (16, 8, 0), (16, 8, -8)])
def test_a_decoder_has_three_to_five_blocks_of_some_width(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="decoder_channels"):
        SupervisedConfig(decoder_channels=channels)


def test_a_transformer_encoder_is_built_for_the_size() -> None:
    method = built(image_size=64, encoder="tu-swin_tiny_patch4_window7_224", decoder_channels=(16, 16, 8, 8, 8)).eval()
    with torch.no_grad():
        assert method.logits(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def with_autoencoder(*, image_size: int = 32, **settings: object) -> Supervised:
    return built(image_size=image_size, autoencoder=(12, 6), **settings)


def autoencoder_of(method: Supervised) -> WidthAutoencoder:
    assert method.members is not None
    return method.members.autoencoder


@pytest.mark.parametrize("ignored", [False, True])
def test_the_autoencoder_adds_the_cross_entropy_of_the_post_processed_logits(ignored: bool) -> None:
    method, given = with_autoencoder(class_weights=(1, 2, 3)), batch(ignored=ignored)
    losses = method.loss(given)
    first, second, third, fourth = (layer for layer in autoencoder_of(method).layers if isinstance(layer, nn.Linear))
    z, weight = method.members.net(given.images), torch.tensor([1.0, 2.0, 3.0])
    post_processed = fourth(F.gelu(third(F.gelu(second(F.gelu(first(z)))))))
    assert list(losses) == ["cross_entropy", "post_processed"]
    for name, logits in {"cross_entropy": z, "post_processed": post_processed}.items():
        expected = F.cross_entropy(logits, given.known_masks, weight=weight, ignore_index=IGNORE)
        torch.testing.assert_close(losses[name], expected)


def test_with_dice_raw_and_post_processed_logits_have_the_same_loss() -> None:
    method, given = with_autoencoder(criterion="dice_cross_entropy"), batch()
    losses, members, y = method.loss(given), method.members.member_logits(given.images), given.known_masks
    assert list(losses) == ["dice", "cross_entropy", "post_processed"]
    torch.testing.assert_close(losses["dice"] + losses["cross_entropy"], dice_cross_entropy(members["raw"], y))
    torch.testing.assert_close(losses["post_processed"], dice_cross_entropy(members["post-processed"], y))


def test_the_members_are_the_logits_before_and_after_the_autoencoder_and_one_is_selected() -> None:
    method, images = with_autoencoder().eval(), batch().images
    with torch.no_grad():
        members, raw = method.members.member_logits(images), method.members.net(images)
        assert list(members) == ["raw", "post-processed"]
        assert torch.equal(members["raw"], raw)
        assert torch.equal(members["post-processed"], autoencoder_of(method)(raw))
        assert method.members.choice.name == "post-processed"
        assert torch.equal(method.logits(images), members["post-processed"])
        for name in ("raw", "post-processed"):
            method.members.choice.take(name)
            assert method.members.choice.name == name
            assert torch.equal(method.logits(images), members[name])
    with pytest.raises(S4miError, match="unknown ensemble member 'best'; choose from raw, post-processed"):
        method.members.choice.take("best")


def test_a_checkpoint_holds_the_selected_member(tmp_path: Path) -> None:
    method, other, images = with_autoencoder().eval(), with_autoencoder().eval(), batch().images
    method.members.choice.take("raw")
    save_best(tmp_path, method.state_dict(), epoch=1)
    other.load_state_dict(load_weights(tmp_path / "best.safetensors"))
    assert other.members.choice.name == "raw"
    with torch.no_grad():
        assert torch.equal(other.logits(images), method.members.member_logits(images)["raw"])


def test_without_an_autoencoder_there_is_nothing_to_select_and_nothing_to_store() -> None:
    method = built().eval()
    assert method.members is None
    assert all(name.startswith("net.") for name in method.state_dict())


def test_with_an_autoencoder_a_gradient_reaches_all_and_comes_from_both_terms() -> None:
    method, given = with_autoencoder(), batch()
    losses = method.loss(given)
    trained = {name: weight for name, weight in method.named_parameters() if weight.requires_grad}
    of_net = [weight for name, weight in trained.items() if name.startswith("net.net.")]
    for term in losses.values():
        gradients = torch.autograd.grad(term, of_net, retain_graph=True)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)
    torch.autograd.grad(losses.total, tuple(trained.values()))  # raises if one is not reached
    assert any(name.startswith("net.autoencoder.") for name in trained)


def test_the_autoencoder_is_as_wide_as_the_image_also_where_that_is_padded() -> None:
    method = with_autoencoder(image_size=33).eval()
    with torch.no_grad():
        members = method.members.member_logits(torch.rand(1, 3, 33, 33))
    assert [logits.shape for logits in members.values()] == [(1, 3, 33, 33)] * 2


def test_the_autoencoder_belongs_to_the_technique_and_has_hidden_widths() -> None:
    config = SupervisedConfig(autoencoder=(64, 16))
    assert config.technique() == "dedl with autoencoder"
    assert config.backbone_name == SupervisedConfig().backbone_name
    for widths in [(), (8, 0)]:
        with pytest.raises(ValidationError, match="autoencoder"):
            SupervisedConfig(autoencoder=widths)
