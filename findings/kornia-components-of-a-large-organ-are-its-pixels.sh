#!/usr/bin/env bash
# Packages: kornia 0.9.0, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# Connected components on the GPU, to drop small islands or to count lesions: `kornia.contrib.connected_components`.
# One expects labels of components. It gives each pixel a number and lets the largest spread by one pixel at a time,
# `num_iterations` times, of which the default is 100. A component that is further across than that is not finished:
# its one part has one label, and each pixel that the largest number has not reached has another, thousands in all. A
# "largest component" then is a part of the organ, "components below 50 pixels" are the rest of it, and a count of
# lesions is a count of pixels. Tests on small images pass and there is no warning. Distances count along the component,
# so a vessel that winds breaks at a smaller size than a disc.
#
# Seen, squares in 400 × 400 pixels, number of labels by side of the square and iterations:
#   side              50     100     150     300
#   100 (default)      1       1    2500   40000
#   300                1       1       1       1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet kornia==0.9.0 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import kornia
import torch


def labels(mask, **iterations):
    return kornia.contrib.connected_components(mask, **iterations)[mask > 0].unique().numel()


found = {}
for side in (50, 100, 150, 300):
    mask = torch.zeros(1, 1, 400, 400)
    mask[..., 20 : 20 + side, 20 : 20 + side] = 1
    found[side] = labels(mask), labels(mask, num_iterations=300)
    print(f"square of {side}: {found[side][0]} labels, {found[side][1]} with 300 iterations")

winding = torch.zeros(1, 1, 60, 60)
winding[..., ::4, :] = 1
winding[..., 2::8, -1:] = winding[..., 1::8, -1:] = winding[..., 3::8, -1:] = 1
winding[..., 6::8, :1] = winding[..., 5::8, :1] = winding[..., 7::8, :1] = 1
print("a vessel that winds in 60 × 60:", labels(winding), "labels")
assert found == {50: (1, 1), 100: (1, 1), 150: (2500, 1), 300: (40000, 1)}, found
assert labels(winding) > 100
assert labels(winding, num_iterations=1500) == 1
PYTHON
