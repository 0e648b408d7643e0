import torch
import torch.nn.functional as F
from torch import nn

from s4mi.nets.autoencoder import WidthAutoencoder


def linear_shapes(net: WidthAutoencoder) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in net.modules() if isinstance(layer, nn.Linear)]


def test_the_widths_go_down_and_are_mirrored_back() -> None:
    assert linear_shapes(WidthAutoencoder(40, (24, 12, 6))) == [
        (40, 24),
        (24, 12),
        (12, 6),
        (6, 12),
        (12, 24),
        (24, 40),
    ]
    assert linear_shapes(WidthAutoencoder(40, (8,))) == [(40, 8), (8, 40)]


def test_each_row_is_post_processed_by_itself_as_the_layers_one_by_one_would() -> None:
    net, logits = WidthAutoencoder(10, (6, 3)), torch.randn(2, 3, 5, 10)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    answer = net(logits)
    assert answer.shape == logits.shape
    for b, k, h in [(0, 0, 0), (0, 2, 4), (1, 1, 3)]:
        row = logits[b, k, h]
        for layer in layers[:-1]:
            row = F.gelu(layer.weight @ row + layer.bias)
        torch.testing.assert_close(answer[b, k, h], layers[-1].weight @ row + layers[-1].bias)


def test_logits_of_either_sign_come_out() -> None:
    answer = WidthAutoencoder(10, (6,))(50 * torch.randn(8, 2, 6, 10))
    assert answer.min() < -1
    assert answer.max() > 1


def test_a_gradient_reaches_every_layer_and_the_logits() -> None:
    net, logits = WidthAutoencoder(10, (6, 3)), torch.randn(2, 3, 5, 10, requires_grad=True)
    net(logits).square().sum().backward()
    assert logits.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
