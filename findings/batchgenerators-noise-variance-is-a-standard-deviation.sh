#!/usr/bin/env bash
# Packages: batchgenerators 0.25.5, numpy 2.2.6; Python 3.11.
#
# batchgenerators augments the training images of nnU-Net and of much code derived from it. Its noise has a
# `noise_variance`, and a variance is the square of the standard deviation. It is not: the number drawn from the range
# is handed on as the standard deviation, for Gaussian and for Rician noise. Of the usual range of 0 to 0.1, on images
# of unit variance, the noise is a tenth at most where the name says a third; whoever imitates the pipeline with
# another library, or writes its settings into a paper, has up to three times as much, and above 1 it is the other way
# round.
#
# Seen, an image of zeros, or of 100 for Rician noise; standard deviation afterwards, by noise_variance:
#                          0.01   0.1    1     4
#   Gaussian and Rician    0.01   0.1    1     4
#   as the name says       0.1    0.32   1     2
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet batchgenerators==0.25.5 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from batchgenerators.transforms.noise_transforms import GaussianNoiseTransform, RicianNoiseTransform

np.random.seed(0)
for variance in (0.01, 0.1, 1, 4):
    for transform, value in ((GaussianNoiseTransform, 0), (RicianNoiseTransform, 100)):
        noise = transform(noise_variance=(variance, variance), p_per_sample=1)
        deviation = noise(data=np.full((1, 1, 300, 300), value, dtype=float))["data"].std()
        print(f"{transform.__name__}, noise_variance {variance}: standard deviation {deviation:.4f}")
        assert abs(deviation / variance - 1) < 0.02
PYTHON
