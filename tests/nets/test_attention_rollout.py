"""Attention roll-out against a naive version that computes attention from queries and keys itself."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Classifier, Task
from s4mi.errors import S4miError
from s4mi.nets.attention_rollout import attention_rollout, find_attention
from s4mi.settings.classification.finetune import FinetuneConfig

SIZE = 64


def classifier(backbone: str, size: int = SIZE) -> Classifier:
    torch.manual_seed(0)
    task = Task(kind="multiclass", classes=("a", "b", "c"), image_size=size, counts=(1, 1, 1), labelled=3)
    return FinetuneConfig(backbone=backbone, weights="none").build(task).eval().requires_grad_(False)


def net_of(method: Classifier) -> nn.Module:
    return method.backbone.net  # type: ignore[no-any-return, union-attr]


def naive(net: nn.Module, image: Tensor, *, class_token: bool) -> Tensor:
    """(h, w) of one image, by hooks on the projections to queries, keys and values."""
    projected: list[Tensor] = []
    blocks = list(net.blocks)  # type: ignore[arg-type]
    hooks = [block.attn.qkv.register_forward_hook(lambda *call: projected.append(call[-1])) for block in blocks]
    net.forward_features(image[None])  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    rolled = None
    for block, qkv in zip(blocks, projected, strict=True):
        heads, n = block.attn.num_heads, qkv.shape[1]
        q, k, _ = qkv[0].reshape(n, 3, heads, -1).permute(1, 2, 0, 3)
        q, k = block.attn.q_norm(q), block.attn.k_norm(k)
        attention = torch.stack([(q[h] @ k[h].T / q.shape[-1] ** 0.5).softmax(dim=-1) for h in range(heads)]).mean(0)
        one = 0.5 * attention + 0.5 * torch.eye(n)
        rolled = one if rolled is None else one @ rolled
    assert rolled is not None
    prefix = int(net.num_prefix_tokens)  # type: ignore[arg-type]
    row = rolled[0] if class_token else rolled[prefix:].mean(dim=0)
    side = int((len(row) - prefix) ** 0.5)
    return row[prefix:].reshape(side, side)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("backbone", ["tiny_vit", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_the_map_is_the_class_tokens_row_of_the_product_of_attentions(backbone: str, fused: bool) -> None:
    method = classifier(backbone)
    net = net_of(method)
    for block in net.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = fused
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    blocks = find_attention(method)
    before = method.logits(images)
    maps = attention_rollout(method.logits, images, blocks=blocks)
    normalised = method.backbone.normalise(images)  # type: ignore[union-attr, operator]
    for image, found in zip(normalised, maps, strict=True):
        expected = naive(net, image, class_token=blocks.class_token)
        expected = F.interpolate(expected[None, None], size=(SIZE, SIZE), mode="bilinear")[0, 0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(method.logits(images), before)
    assert all(block.attn.fused_attn is fused for block in net.blocks)  # type: ignore[union-attr]
    assert not any(module._forward_hooks for module in method.modules())


def test_without_a_class_token_the_map_is_the_mean_over_the_patches() -> None:
    method = classifier("vit_tiny_patch16_224")
    net = timm.create_model("vit_tiny_patch16_224", img_size=SIZE, class_token=False, global_pool="avg", num_classes=0)
    method.backbone.net = net.eval()  # type: ignore[union-attr]
    blocks = find_attention(method)
    assert (blocks.class_token, blocks.prefix, blocks.positions) == (False, 0, 16)
    image = torch.rand(1, 3, SIZE, SIZE)
    found = attention_rollout(net.forward_features, image, blocks=blocks)
    expected = F.interpolate(naive(net, image[0], class_token=False)[None, None], size=(SIZE, SIZE), mode="bilinear")
    torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-7)


def test_a_class_token_that_attends_to_one_patch_lights_that_patch() -> None:
    """By hand: uniform attention of N tokens in every block but a peak of the class token in the first."""
    method = classifier("tiny_vit")
    blocks = find_attention(method)
    n = blocks.positions + blocks.prefix
    attention = torch.full((1, 1, n, n), 1 / n)
    peaked = attention.clone()
    peaked[0, 0, 0] = 0
    peaked[0, 0, 0, blocks.prefix + 5] = 1
    images = torch.rand(1, 3, SIZE, SIZE)

    def forward(_: Tensor) -> Tensor:
        for number, module in enumerate(blocks.modules):
            module.attn_drop(peaked if number == 0 else attention)  # type: ignore[operator]
        return images

    side = int(blocks.positions**0.5)
    found = F.adaptive_avg_pool2d(attention_rollout(forward, images, blocks=blocks)[None], side)[0, 0].flatten()
    assert int(found.argmax()) == 5


@pytest.mark.parametrize("backbone", ["tiny_resnet", "tiny_swin", "convnext_atto"])
def test_a_network_that_is_no_plain_vit_is_a_one_line_error(backbone: str) -> None:
    with pytest.raises(S4miError, match="attention roll-out needs a plain ViT, not ") as error:
        find_attention(classifier(backbone))
    assert "\n" not in str(error.value)
