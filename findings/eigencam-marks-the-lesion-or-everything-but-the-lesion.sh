#!/usr/bin/env bash
# Packages: grad-cam 1.5.7, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# EigenCAM shows what the activations of a layer have in common, their first principal component, without class or
# gradient, which is why it is popular for detectors and for networks of few labels. One expects the map to be hot where
# activations stand out from the rest. A principal component has no sign: it and its negative are equally the first.
# grad-cam takes the one that the decomposition happens to return and sets what is negative to 0, so the map shows
# either the lesion or everything but the lesion, each in full contrast, as every map is stretched to 0 to 1. Which of
# the two depends on the weights, and for one network on the image: the map of a lesion that grows turns inside out.
# Pictures chosen by hand show the one kind; a score of maps against outlines measures a coin. No warning. Gradients
# (GradCAM) have a sign.
#
# Seen, a bright square of 4, 8 and 16 pixels in noise, 20 small networks with weights at random: the square is hotter
# than the rest for 13, 12 and 16 of them, about 0.7 against 0.01; for the others it is 0.00 and the rest 0.08 to 0.62.
# One network (seed 4) shows the square of 4 and the surroundings of those of 8 and 16, another (seed 2) only that of
# 16.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet grad-cam==1.5.7 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from pytorch_grad_cam import EigenCAM

torch.set_num_threads(1)


class Network(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.last = torch.nn.Conv2d(16, 32, 3, padding=1)
        self.head = torch.nn.Linear(32, 2)

    def forward(self, image):
        return self.head(self.last(self.first(image).relu()).relu().mean(dim=(2, 3)))


def inside_and_outside(seed, side):
    """Mean of the map inside and outside a bright square, by a network of its own for each seed."""
    image = 0.2 * torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    image[..., 4 : 4 + side, 4 : 4 + side] += 1
    network = Network(seed).eval()
    with EigenCAM(network, [network.last]) as cam:
        found = cam(input_tensor=image, targets=None)[0]
    lesion = torch.zeros(32, 32, dtype=torch.bool)
    lesion[4 : 4 + side, 4 : 4 + side] = True
    return float(found[lesion].mean()), float(found[~lesion].mean())


kinds = []
for side in (4, 8, 16):
    maps = [inside_and_outside(seed, side) for seed in range(20)]
    hot = [seed for seed, (inside, outside) in enumerate(maps) if inside > outside]
    print(f"square of {side}: hot inside for {len(hot)} of 20 networks: {hot}")
    print("  inside / outside: " + ", ".join(f"{inside:.2f}/{outside:.2f}" for inside, outside in maps[:8]))
    assert 0 < len(hot) < 20, hot
    assert min(inside for inside, _ in maps) < 0.05
    kinds.append(set(hot))
assert kinds[0] ^ kinds[1] and kinds[1] ^ kinds[2], "no network changed sides with the size of the square"
PYTHON
