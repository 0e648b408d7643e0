"""Heads on feature maps: the linear layer against its matrix product, the decoder by its invariances."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.nets.token_decoder import Standardise, TokenDecoder
from s4mi.nets.token_linear import TokenLinear


def maps(*sides: int, width: int = 5, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, width, side, side, generator=generator) for side in sides]


IMAGES = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


def test_the_linear_layer_is_a_matrix_product_of_each_token_enlarged() -> None:
    head = TokenLinear((5, 5), classes=3)
    head.standardise[0].fit(torch.arange(5.0), torch.arange(1.0, 6.0))
    weight, bias = torch.randn(3, 10), torch.randn(3)
    head.take(weight, bias)
    first, second = maps(4, 4)
    tokens = torch.cat([(first - torch.arange(5.0)[:, None, None]) / torch.arange(1.0, 6.0)[:, None, None], second], 1)
    expected = torch.einsum("kd,bdhw->bkhw", weight, tokens) + bias[:, None, None]
    expected = F.interpolate(expected, (48, 48), mode="bilinear")
    torch.testing.assert_close(head([first, second], IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_maps_of_different_grids_give_the_logits_of_their_enlarged_features() -> None:
    head = TokenLinear((5, 5), classes=3)
    weight, bias = torch.randn(3, 10), torch.randn(3)
    head.take(weight, bias)
    columns = head.standardised(maps(3, 6))
    assert columns.shape == (2, 10, 6, 6)
    expected = torch.einsum("kd,bdhw->bkhw", weight, columns) + bias[:, None, None]
    torch.testing.assert_close(head.token_logits(maps(3, 6)), expected, rtol=1e-4, atol=1e-5)


def test_standardised_features_have_mean_zero_and_deviation_one_and_constant_ones_are_centred() -> None:
    features = maps(8)[0] * torch.tensor([1.0, 10.0, 0.1, 0.0, 3.0])[:, None, None] + 2
    layer = Standardise(5)
    layer.fit(features.mean((0, 2, 3)), features.std((0, 2, 3), correction=0))
    standardised = layer(features)
    torch.testing.assert_close(standardised.mean((0, 2, 3)), torch.zeros(5), rtol=0, atol=1e-5)
    expected = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(standardised.std((0, 2, 3), correction=0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sides", [(4,), (4, 4), (2, 4, 8), (24, 48)])
def test_the_decoder_takes_maps_of_any_grid(sides: tuple[int, ...]) -> None:
    head = TokenDecoder((5,) * len(sides), classes=3, width=16).eval()
    assert head(maps(*sides), IMAGES).shape == (2, 3, 48, 48)


def test_the_decoder_s_logits_of_an_image_do_not_depend_on_its_batch() -> None:
    head = TokenDecoder((5, 5), classes=2, width=16).eval()
    both, both_maps = head(maps(4, 8), IMAGES), maps(4, 8)
    alone = head([map_[1:] for map_ in both_maps], IMAGES[1:])
    torch.testing.assert_close(alone, both[1:], rtol=1e-4, atol=1e-5)


def test_the_decoder_reads_maps_and_image() -> None:
    head = TokenDecoder((5, 5), classes=2, width=16).eval()
    one, two = (map_.requires_grad_() for map_ in maps(4, 8))
    images = IMAGES.clone().requires_grad_()
    head([one, two], images).square().sum().backward()
    for given in (one, two, images):
        assert given.grad is not None
        assert float(given.grad.abs().min(dim=0).values.max()) > 0


def test_drawing_anew_keeps_the_standardisation_and_follows_the_seed() -> None:
    head = TokenDecoder((5,), classes=2, width=16)
    head.standardise[0].fit(torch.ones(5), torch.full((5,), 2.0))
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        head.draw()
        states.append({name: tensor.clone() for name, tensor in head.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["classify.weight"], states[2]["classify.weight"])
    assert states[2]["standardise.0.std"].flatten().tolist() == [2.0] * 5
