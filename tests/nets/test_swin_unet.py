from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.swin_unet import SHAPES, PatchExpanding, SwinUNet, depth_to_space, swin_block

SWIN_TINY = "swin_tiny_patch4_window7_224"


def images(*size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def tiny(classes: int = 2, image_size: int = 64, seed: int = 0) -> SwinUNet:
    torch.manual_seed(seed)
    return SwinUNet("tiny_swin", classes=classes, image_size=image_size)


def one_line(error: pytest.ExceptionInfo[S4miError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "size", "count", "about"), [("swin_tiny", 224, 27_168_228, 27.2e6), ("tiny_swin", 64, 3_033_772, 3e6)]
)
def test_it_has_the_documented_number_of_parameters(name: str, size: int, count: int, about: float) -> None:
    net = SwinUNet(name, classes=2, image_size=size)
    assert sum(parameter.numel() for parameter in net.parameters()) == count
    assert count == pytest.approx(about, rel=0.03)


@pytest.mark.long
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (32, 32), (100, 70), (1, 33)])
@pytest.mark.parametrize("name", SHAPES)
def test_the_logits_have_the_size_of_the_image(name: str, size: tuple[int, int]) -> None:
    net = SwinUNet(name, classes=5, image_size=64).eval()
    with torch.no_grad():
        answer = net(images(*size))
    assert answer.shape == (2, 5, *size)
    assert torch.isfinite(answer).all()


def test_the_features_are_a_pyramid_of_strides_4_to_32() -> None:
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in tiny().encode(images(64, 96))]
    assert shapes == [(2, 32, 16, 24), (2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)]


@pytest.mark.long
@settings(deadline=None, max_examples=10)
@given(height=st.integers(1, 3), width=st.integers(1, 3))
def test_the_size_it_was_built_for_changes_no_logits(height: int, width: int) -> None:
    net, other = tiny().eval(), tiny(image_size=160, seed=1).eval()
    other.load_state_dict(net.state_dict())
    x = images(32 * height, 32 * width)
    with torch.no_grad():
        assert torch.equal(net(x), other(x))


@pytest.mark.parametrize("training", [True, False])
def test_every_parameter_gets_a_gradient(training: bool) -> None:
    net = tiny().train(training)
    net(images(64, 96)).square().mean().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    if not training:  # no block was skipped
        idle = [name for name, parameter in net.named_parameters() if not parameter.grad.any()]
        assert idle == []


def test_a_parameter_gets_a_gradient_even_where_a_window_holds_one_patch() -> None:
    net = tiny()
    net(images(32, 32)).square().mean().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_encoder_and_decoder_together_are_the_network() -> None:
    net, x = tiny().eval(), images(50, 70)
    with torch.no_grad():
        assert torch.equal(net.decode(net.encode(x), (50, 70)), net(x))


def test_the_decoder_depends_on_every_feature_map() -> None:
    net, x = tiny().eval(), images(64, 64)
    with torch.no_grad():
        maps = net.encode(x)
        answer = net.decode(maps, (64, 64))
        for level in range(len(maps)):
            without = [torch.zeros_like(one) if place == level else one for place, one in enumerate(maps)]
            assert not torch.allclose(net.decode(without, (64, 64)), answer, atol=1e-4), level


def test_each_image_is_processed_independently() -> None:
    net, x = tiny().eval(), images(96, 70, count=3)
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.cat([net(one[None]) for one in x]), rtol=0, atol=1e-5)


def test_blocks_are_skipped_in_training_only() -> None:
    net, x = tiny(), images(64, 64)
    with torch.no_grad():
        assert not torch.equal(net(x), net(x))
        net.eval()
        assert torch.equal(net(x), net(x))


def test_the_decoder_has_the_stochastic_depth_of_the_encoder_at_the_same_stride() -> None:
    def rates(blocks: Any) -> list[float]:
        return [getattr(block.drop_path1, "drop_prob", 0.0) for block in blocks]

    net = tiny()
    encoder = [rates(stage.blocks) for stage in net.encoder.layers]
    assert [rate for stage in encoder for rate in stage] == pytest.approx([0.2 * index / 7 for index in range(8)])
    for decoder, same in zip([rates(level.blocks) for level in net.decoder.levels], encoder[2::-1], strict=True):
        assert decoder == pytest.approx(same)


@pytest.mark.parametrize("size", [(64, 64), (96, 70)])
def test_it_can_be_trained_in_half_precision(size: tuple[int, int]) -> None:
    net = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer = net(images(*size))
    answer.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


# Patch expanding


def test_depth_to_space_by_hand() -> None:
    gathered = torch.tensor([[[[1, 3, 2, 4], [5, 7, 6, 8]]]])  # columns first, as Swin's patch merging gathers them
    assert depth_to_space(gathered, 2).squeeze().tolist() == [[1, 2, 5, 6], [3, 4, 7, 8]]


@given(height=st.integers(1, 4), width=st.integers(1, 4), channels=st.integers(1, 3))
def test_depth_to_space_is_the_inverse_of_patch_merging(height: int, width: int, channels: int) -> None:
    merging = PatchMerging(channels)
    merging.norm = merging.reduction = nn.Identity()
    x = torch.arange(2 * height * 2 * width * channels).reshape(1, 2 * height, 2 * width, channels).float()
    assert torch.equal(depth_to_space(merging(x), 2), x)


@given(times=st.integers(1, 4), height=st.integers(1, 3), width=st.integers(1, 3), channels=st.integers(1, 3))
def test_depth_to_space_keeps_the_position_of_every_patch(times: int, height: int, width: int, channels: int) -> None:
    patch = torch.arange(height * width).reshape(1, height, width, 1)
    same = depth_to_space(patch.expand(-1, -1, -1, times**2 * channels), times)
    expected = patch.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2).expand(-1, -1, -1, channels)
    assert torch.equal(same, expected)


def test_patch_expanding_gives_larger_and_normalised_maps() -> None:
    with torch.no_grad():
        expanded = PatchExpanding(24, 48, times=4)(torch.randn(2, 3, 5, 24))
    assert expanded.shape == (2, 12, 20, 48)
    torch.testing.assert_close(expanded.mean(dim=-1), torch.zeros(2, 12, 20), rtol=0, atol=1e-5)
    torch.testing.assert_close(expanded.std(dim=-1, correction=0), torch.ones(2, 12, 20), rtol=0, atol=1e-3)


# Windows


def block_of(window: int, shift: int) -> Any:
    block = SwinTransformerBlock(
        8, (1, 1), num_heads=2, window_size=window, shift_size=shift, always_partition=True, dynamic_mask=True
    )
    nn.init.normal_(block.attn.relative_position_bias_table)
    nn.init.normal_(block.norm1.bias)  # so that padding is not zero after the norm
    return block.eval()


def place_by_place(block: Any, x: Tensor) -> Tensor:
    """A Swin block as a loop: every position attends to those of its own window and to no other."""
    _, height, width, channels = x.shape
    (window, _), heads = block.window_size, block.attn.num_heads
    shifts = [block.shift_size[0] if side > window else 0 for side in (height, width)]
    q, k, v = block.attn.qkv(block.norm1(x[0])).reshape(height, width, 3, heads, -1).unbind(2)
    answer = torch.empty(height, width, channels)
    places = [(row, column) for row in range(height) for column in range(width)]

    def home(place: tuple[int, int]) -> list[int]:
        return [(at - shift) // window for at, shift in zip(place, shifts, strict=True)]

    for place in places:
        seen = [other for other in places if home(other) == home(place)]
        offsets = [(place[0] - row + window - 1, place[1] - column + window - 1) for row, column in seen]
        bias = block.attn.relative_position_bias_table[[a * (2 * window - 1) + b for a, b in offsets]]  # (n, heads)
        keys, values = (torch.stack([of[other] for other in seen]) for of in (k, v))  # (n, heads, C / heads)
        score = (q[place] * keys).sum(-1) * (channels // heads) ** -0.5 + bias
        answer[place] = (score.softmax(0)[..., None] * values).sum(0).flatten()
    x = x + block.attn.proj(answer)
    return x + block.mlp(block.norm2(x))


@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 9), width=st.integers(1, 9), window=st.integers(1, 4), shifted=st.booleans())
def test_attention_stays_within_its_windows(height: int, width: int, window: int, shifted: bool) -> None:
    torch.manual_seed(height + 10 * width)
    block, x = block_of(window, window // 2 if shifted else 0), torch.randn(1, height, width, 8)
    with torch.no_grad():
        torch.testing.assert_close(swin_block(block, x), place_by_place(block, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("size", [(14, 14), (7, 7), (14, 28)])
def test_a_block_is_timms_where_windows_fit(size: tuple[int, int], shift: int) -> None:
    torch.manual_seed(0)
    peer: nn.Module = SwinTransformerBlock(16, size, num_heads=2, window_size=7, shift_size=shift).eval()
    x = torch.randn(2, *size, 16)
    with torch.no_grad():
        torch.testing.assert_close(swin_block(peer, x), peer(x), rtol=1e-5, atol=1e-6)


def test_the_first_rows_do_not_attend_to_the_last_ones() -> None:
    torch.manual_seed(0)
    block, x = block_of(7, 3), torch.randn(1, 16, 16, 8)
    other = x.clone()
    other[:, -1] = torch.randn(16, 8)
    with torch.no_grad():
        changed = (swin_block(block, x) - swin_block(block, other)).abs().amax(dim=(0, 2, 3)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(10, 16))  # shifted windows begin at 0, 3 and 10


# Weights


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """Swin-tiny of timm with perturbed weights."""
    torch.manual_seed(7)
    net: nn.Module = timm.create_model(SWIN_TINY)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.rand_like(parameter))
    return net.eval()


@pytest.fixture(scope="module")
def weight_file(published: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(published.state_dict(), tmp_path_factory.mktemp("weights"))


def written(tensors: dict[str, Tensor], folder: Path) -> str:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "w.safetensors")
    return str(folder / "w.safetensors")


@pytest.mark.long
@pytest.mark.parametrize("size", [64, 96, 128, 224])
def test_a_file_replaces_all_of_the_encoder_and_nothing_of_the_decoder(
    published: nn.Module, weight_file: str, size: int
) -> None:
    torch.manual_seed(3)
    random = SwinUNet(classes=2, image_size=size)
    torch.manual_seed(3)
    loaded = SwinUNet(classes=2, image_size=size, weights=weight_file)
    given = published.state_dict()
    assert all(torch.equal(tensor, given[key]) for key, tensor in loaded.encoder.state_dict().items())
    before, after = random.decoder.state_dict(), loaded.decoder.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_with_the_weights_of_a_file_the_encoder_equals_timms(published: nn.Module, weight_file: str) -> None:
    peer = timm.create_model(SWIN_TINY, depths=(2, 2, 2, 2), num_classes=0).eval()
    peer.load_state_dict({key: published.state_dict()[key] for key in peer.state_dict()})
    net, x = SwinUNet(classes=2, image_size=64, weights=weight_file).eval(), images(224, 224, count=1)
    with torch.no_grad():
        expected = peer.forward_intermediates(net.normalise(x), norm=True, intermediates_only=True)
        for ours, theirs in zip(net.encode(x), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_weights_of_imagenet_come_from_timm(monkeypatch: pytest.MonkeyPatch, published: nn.Module) -> None:
    asked = []

    def create(name: str, **options: object) -> nn.Module:
        asked.append((name, options["pretrained"]))
        return published

    monkeypatch.setattr(timm, "create_model", create)
    net, given = SwinUNet(classes=2, image_size=64, weights="imagenet"), published.state_dict()
    assert asked == [(SWIN_TINY, True)]
    assert all(torch.equal(tensor, given[key]) for key, tensor in net.encoder.state_dict().items())


def test_without_a_connection_the_error_has_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(S4miError) as error:
        SwinUNet(classes=2, image_size=64, weights="imagenet")
    assert one_line(error).startswith(f"ImageNet weights of '{SWIN_TINY}' cannot be downloaded (")
    assert "method.weights=none" in one_line(error)


def test_the_tiny_network_has_no_weights_of_imagenet() -> None:
    with pytest.raises(S4miError) as error:
        SwinUNet("tiny_swin", classes=2, image_size=64, weights="imagenet")
    assert one_line(error).startswith("'tiny_swin' has no ImageNet weights; pass method.weights=none")


def test_the_tiny_network_loads_a_file_of_its_own_encoder(tmp_path: Path) -> None:
    given = tiny().encoder.state_dict()
    net = SwinUNet("tiny_swin", classes=3, image_size=96, weights=written(given, tmp_path))
    assert all(torch.equal(tensor, given[key]) for key, tensor in net.encoder.state_dict().items())


def refused(name: str, path: Path | str) -> str:
    with pytest.raises(S4miError) as error:
        SwinUNet(name, classes=2, image_size=64, weights=str(path))
    return one_line(error)


def test_weights_that_do_not_fit_are_a_one_line_error(published: nn.Module, tmp_path: Path) -> None:
    state = published.state_dict()
    partial = written({key: tensor for key, tensor in state.items() if not key.startswith("layers.3")}, tmp_path)
    assert "'layers.3.downsample.norm.weight' is missing; pass weights of this network" in refused("swin_tiny", partial)
    table = "layers.0.blocks.0.attn.relative_position_bias_table"
    wrong = refused("swin_tiny", written({**state, table: torch.zeros(15 * 15, 3)}, tmp_path))
    assert f"w.safetensors: does not fit '{SWIN_TINY}' (size mismatch for {table}" in wrong
    assert "does not fit 'tiny_swin' (size mismatch for " in refused("tiny_swin", written(state, tmp_path))
    other = written(timm.create_model("resnet18").state_dict(), tmp_path)
    assert f"w.safetensors: holds 0% of the tensors of '{SWIN_TINY}'" in refused("swin_tiny", other)
    (tmp_path / "note.pth").write_text("no weights")
    assert "note.pth: not a valid weight file" in refused("swin_tiny", tmp_path / "note.pth")
    assert "does not exist; pass 'imagenet', 'none' or the path" in refused("swin_tiny", tmp_path / "nowhere.pth")


@pytest.mark.parametrize("name", ["tiny_swim", "swin_base"])
def test_the_error_for_an_unknown_network_names_the_known_ones(name: str) -> None:
    with pytest.raises(S4miError) as error:
        SwinUNet(name, classes=2, image_size=64)
    assert one_line(error).startswith(f"Swin-Unet {name!r} is unknown")
    assert one_line(error).endswith("choose swin_tiny or tiny_swin")
