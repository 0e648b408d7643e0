"""Saliency maps against autograd and their formulas, and general properties."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Classifier, Task
from s4mi.errors import S4miError
from s4mi.nets.attribution import MIN_POSITIONS, find_layer, grad_cam, input_gradient, smooth_grad
from s4mi.settings.classification.finetune import FinetuneConfig

SIZE = 64
CLASSES = (2, 0)


def classifier(backbone: str, size: int = SIZE) -> Classifier:
    """A classifier with random, frozen weights."""
    torch.manual_seed(0)
    task = Task(kind="multiclass", classes=("a", "b", "c"), image_size=size, counts=(1, 1, 1), labelled=3)
    return FinetuneConfig(backbone=backbone, weights="none").build(task).eval().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def gradient_of_scores(method: Classifier, images: Tensor, classes: Sequence[int]) -> Tensor:
    """Gradient of the scores by autograd."""
    x = images.clone().requires_grad_()
    scores = method.logits(x)[range(len(classes)), list(classes)]
    return torch.autograd.grad(scores.sum(), x)[0]


@pytest.mark.parametrize("backbone", ["tiny_resnet", "tiny_vit", "tiny_swin"])
def test_the_input_gradient_is_that_of_autograd(backbone: str, images: Tensor) -> None:
    method = classifier(backbone)
    maps = input_gradient(method.logits, images, CLASSES)
    expected = gradient_of_scores(method, images, CLASSES).abs().max(dim=1).values
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-7)


def test_a_network_that_sees_the_left_half_alone_has_no_gradient_in_the_right(images: Tensor) -> None:
    def logits(x: Tensor) -> Tensor:
        left = x[..., : SIZE // 2].square().mean(dim=(1, 2, 3))
        return torch.stack([left, -2 * left, left], dim=1)

    for maps in (input_gradient(logits, images, CLASSES), smooth_grad(logits, images, CLASSES, seed=0)):
        assert (maps[..., SIZE // 2 :] == 0).all()
        assert (maps[..., : SIZE // 2] > 0).all()


def test_smooth_grad_is_the_mean_gradient_over_noisy_copies(images: Tensor) -> None:
    method = classifier("tiny_resnet")
    image = images[:1]
    sigma = 0.2 * float(image.max() - image.min())
    torch.manual_seed(5)
    noisy = [image + torch.normal(0.0, sigma, size=image.shape) for _ in range(3)]
    mean = torch.stack([gradient_of_scores(method, one, CLASSES[:1]) for one in noisy]).mean(dim=0)
    maps = smooth_grad(method.logits, image, CLASSES[:1], seed=5, samples=3, noise_level=0.2)
    torch.testing.assert_close(maps, mean.abs().max(dim=1).values, rtol=1e-4, atol=1e-7)


def test_smooth_grad_without_noise_is_the_input_gradient(images: Tensor) -> None:
    logits = classifier("tiny_vit").logits
    calm = smooth_grad(logits, images, CLASSES, seed=0, samples=2, noise_level=0)
    torch.testing.assert_close(calm, input_gradient(logits, images, CLASSES))


def test_smooth_grad_is_the_same_again_and_leaves_the_global_generator_alone(images: Tensor) -> None:
    logits = classifier("tiny_resnet").logits
    torch.manual_seed(9)
    first = smooth_grad(logits, images, CLASSES, seed=3, samples=2)
    drawn = torch.rand(1)
    torch.manual_seed(9)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(first, smooth_grad(logits, images, CLASSES, seed=3, samples=2))
    assert not torch.equal(first, smooth_grad(logits, images, CLASSES, seed=4, samples=2))


def test_a_map_does_not_depend_on_the_images_beside_it(images: Tensor) -> None:
    method = classifier("tiny_resnet")
    layer = find_layer(method)
    for together, alone in (
        (input_gradient(method.logits, images, CLASSES), input_gradient(method.logits, images[1:], CLASSES[1:])),
        (
            smooth_grad(method.logits, images, CLASSES, seed=0),
            smooth_grad(method.logits, images[1:], CLASSES[1:], seed=0),
        ),
        (
            grad_cam(method.logits, images, CLASSES, layer=layer),
            grad_cam(method.logits, images[1:], CLASSES[1:], layer=layer),
        ),
    ):
        torch.testing.assert_close(together[1:], alone)


def enlarged(weighted: Tensor, size: int = SIZE) -> Tensor:
    return F.interpolate(weighted.relu(), size=(size, size), mode="bilinear", align_corners=False)[:, 0]


@pytest.mark.parametrize("backbone", ["tiny_resnet", "tiny_swin"])
def test_grad_cam_with_average_pooling_is_the_head_at_every_position(backbone: str) -> None:
    """With logits W · mean A + b each position has the gradient W / h w (Selvaraju et al., section 3.1)."""
    method, size = classifier(backbone, 224), 224
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    net = method.backbone.net  # type: ignore[union-attr]
    features = net.forward_features(method.backbone.normalise(images))  # type: ignore[union-attr, operator]
    if backbone == "tiny_swin":
        features = features.permute(0, 3, 1, 2)
    assert features.shape[2:] == (7, 7)
    weights = method.head.weight[list(CLASSES)]  # type: ignore[union-attr, index]
    expected = torch.einsum("bchw,bc->bhw", features, weights)[:, None] / 49
    maps = grad_cam(method.logits, images, CLASSES, layer=find_layer(method))
    torch.testing.assert_close(maps, enlarged(expected, size), rtol=1e-4, atol=1e-7)


def test_grad_cam_of_a_vit_is_the_formula_on_the_patch_tokens(images: Tensor) -> None:
    method = classifier("tiny_vit")
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, tokens: Tensor) -> None:
        tokens.retain_grad()
        kept.append(tokens)

    layer = find_layer(method)
    assert (layer.name, layer.prefix) == ("blocks.3.norm1", 1)
    with method.backbone.net.blocks[-1].norm1.register_forward_hook(keep):  # type: ignore[union-attr, index]
        method.logits(images.clone().requires_grad_())[range(2), list(CLASSES)].sum().backward()
    (tokens,) = kept
    assert tokens.grad is not None
    a = tokens.grad[:, 1:].mean(dim=1)  # (B, C)
    expected = (a[:, None] * tokens[:, 1:]).sum(dim=2).unflatten(1, (1, 8, 8))
    maps = grad_cam(method.logits, images, CLASSES, layer=layer)
    torch.testing.assert_close(maps, enlarged(expected.detach()), rtol=1e-4, atol=1e-7)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backbone", "size", "name", "layout"),
    [
        ("resnet18", 224, "layer4", "NCHW"),
        ("tf_efficientnet_lite0", 224, "bn2", "NCHW"),
        ("convnext_atto", 224, "norm_pre", "NCHW"),
        ("swin_tiny_patch4_window7_224", 224, "norm", "NHWC"),
        ("vit_tiny_patch16_224", 64, "blocks.11.norm1", "tokens"),
        ("deit_tiny_distilled_patch16_224", 64, "blocks.11.norm1", "tokens"),
        # Their last feature maps have 2 × 2 or 4 × 4 positions here, so that an earlier stage is taken.
        ("resnet18", 64, "layer2", "NCHW"),
        ("resnet18", 128, "layer3", "NCHW"),
        ("tf_efficientnet_lite0", 64, "blocks.2", "NCHW"),
        ("convnext_atto", 64, "stages.1", "NCHW"),
        ("swin_tiny_patch4_window7_224", 64, "layers.1", "NHWC"),
    ],
)
def test_grad_cam_finds_its_layer_in_networks_of_any_kind_and_leaves_them_as_they_were(
    backbone: str, size: int, name: str, layout: str
) -> None:
    method = classifier(backbone, size)
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    layer = find_layer(method)
    assert (layer.name, layer.layout) == (name, layout)
    assert layer.positions >= MIN_POSITIONS or layout == "tokens"
    assert layer.finer == (size < 224 and layout != "tokens")
    modules, before = list(method.modules()), method.logits(image)
    maps = torch.cat([grad_cam(method.logits, image, [k], layer=layer) for k in range(3)])
    assert maps.shape == (3, size, size)
    assert maps.isfinite().all()
    assert (maps >= 0).all()
    assert (maps > 0).any()
    assert list(method.modules()) == modules
    assert torch.equal(method.logits(image), before)
    assert not any(module._forward_hooks or module._backward_hooks for module in method.modules())


@pytest.mark.parametrize(
    ("backbone", "size", "message"),
    [
        ("tiny_resnet", 16, "the feature map of ResNet has a single spatial position at 16 pixels"),
        ("mixer_s32_224", 64, "Grad-CAM finds no feature map in MlpMixer"),
        ("crossvit_tiny_240", 240, "Grad-CAM finds no feature map in CrossVit"),
    ],
)
def test_a_network_without_a_feature_map_is_a_one_line_error(backbone: str, size: int, message: str) -> None:
    with pytest.raises(S4miError, match=message) as error:
        find_layer(classifier(backbone, size))
    assert "\n" not in str(error.value)


def test_no_gradient_is_left_on_frozen_parameters_nor_on_the_images(images: Tensor) -> None:
    method = classifier("tiny_resnet")
    input_gradient(method.logits, images, CLASSES)
    grad_cam(method.logits, images, CLASSES, layer=find_layer(method))
    assert all(parameter.grad is None for parameter in method.parameters())
    assert images.grad is None
    assert not images.requires_grad


def test_corrupt_weights_are_a_one_line_error(images: Tensor) -> None:
    with pytest.raises(S4miError, match="not finite"):
        input_gradient(lambda x: x.mean(dim=(2, 3)) * float("nan"), images, CLASSES)
