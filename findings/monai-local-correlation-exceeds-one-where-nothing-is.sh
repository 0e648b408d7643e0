#!/usr/bin/env bash
# Packages: monai 1.6.1, torch 2.15.0, scipy 1.17.1, numpy 2.4.6; Python 3.11, CPU.
#
# Registration networks are trained with the local normalised cross-correlation: in each window −1 is a perfect and 0
# no agreement, whatever the brightness, and MONAI states that its loss lies about there. Variances are computed as sum
# of squares less square of the mean, in float32. In a window of one value (air set to −1000, padding, a brain without
# its skull) the two are equal but for rounding. The variance is then set to at least 10⁻⁵; the covariance above it is
# what rounding left, squared. The loss of a CT in Hounsfield units is minus some thousand millions, all of it from
# outside the body, where nothing is, and what happens inside no longer counts. Small kernels may hide it. A background
# of 0, noise everywhere or float64 give values in the range.
#
# Seen, a body of 40 HU with an organ of 300 HU and noise of 10 HU, in air of −1000, against itself moved by 3 voxels:
#   kernel                         3         9          in float64: 3       9
#   whole HU                    −0.35   −3 · 10¹⁰              −0.35   −0.71
#   0 to 1 (air is 0)           −0.25       −0.48              −0.25   −0.48
#   whole HU, noise in the air  −0.31       −0.67              −0.31   −0.67
# Whole HU, mean by voxels of windows in the body −0.51, outside −5 · 10¹⁰. Smoothed instead of noise: −5 · 10⁸ with 3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet monai==1.6.1 torch==2.15.0 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from monai.losses import LocalNormalizedCrossCorrelationLoss
from scipy.ndimage import gaussian_filter

z, y, x = np.mgrid[-1:1:48j, -1:1:48j, -1:1:48j]
inside = (x / 0.8) ** 2 + (y / 0.6) ** 2 < 1
body = np.where(inside, 40.0, -1000.0)
body[((x - 0.2) / 0.2) ** 2 + (y / 0.2) ** 2 + z**2 < 1] = 300
smooth = gaussian_filter(body, 1)
noise = np.random.default_rng(0).normal(0, 10, body.shape)
scan = np.round(smooth + noise * inside)


def loss(image, kernel, dtype, reduction="mean"):
    image = torch.tensor(image, dtype=dtype)[None, None]
    moved = torch.roll(image, 3, -1)
    return LocalNormalizedCrossCorrelationLoss(kernel_size=kernel, reduction=reduction)(image, moved)


images = {
    "whole HU": scan,
    "0 to 1": np.maximum(scan + 1000, 0) / 1400,
    "noise in the air": np.round(smooth + noise),
    "smooth": smooth,
}
single, double = {}, {}
for name, image in images.items():
    single[name] = [loss(image, kernel, torch.float32).item() for kernel in (3, 9)]
    double[name] = [loss(image, kernel, torch.float64).item() for kernel in (3, 9)]
    print(f"{name}: kernels of 3 and 9 {single[name]}, in float64 {double[name]}", flush=True)
parts = loss(scan, 9, torch.float32, "none")[0, 0].numpy()
print(f"windows in the body {parts[inside].mean()}, outside {parts[~inside].mean()}")

assert all(-1 < value < 0 for values in double.values() for value in values)
assert single["whole HU"][1] < -1e6 and single["smooth"][0] < -1e6
assert -1 < parts[inside].mean() < 0 and parts[~inside].mean() < -1e6
for name in ("0 to 1", "noise in the air"):
    assert np.allclose(single[name], double[name], atol=0.05), name
PYTHON
