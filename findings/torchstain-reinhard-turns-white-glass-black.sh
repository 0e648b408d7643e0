#!/usr/bin/env bash
# Packages: torchstain 1.4.1, numpy 2.2.6; Python 3.11.
#
# Stain normalisation gives tiles of slides the colours of a reference tile. On a tile of white glass there is no
# stain, so one expects it to come out as it is, or the normaliser to raise, as the Macenko method of the same package
# does. The Reinhard method of torchstain shifts and stretches each tile to the mean and spread of the reference: a
# tile of one colour has a spread of 0, the quotient is not a number, and in 8 bits that becomes 0. White glass is
# black tissue afterwards, the only sign of it is numpy's warning about the division, and thresholds for tissue, which
# look for dark, take it for the densest there is. Real glass, with the noise of the camera, is stretched to the full
# contrast of the reference instead: a tile without a cell gets its mean and its spread, pinker and darker than any
# glass.
#
# Seen, mean of red, green and blue; a reference of 161, 97 and 190:
#   one colour, 255 or 240                         0     0     0
#   glass of 240 with a noise of 2 grey values   161    97   190, standard deviation of green 2 before, 44 after
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchstain==1.4.1 numpy==2.2.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer, NumpyReinhardNormalizer

HAEMATOXYLIN, EOSIN = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)
rng = np.random.default_rng(1)
stain = rng.gamma(2, 0.3, (64, 64, 1)) * HAEMATOXYLIN + rng.gamma(2, 0.3, (64, 64, 1)) * EOSIN
reference = (240 * np.exp(-stain)).astype(np.uint8)
reinhard, macenko = NumpyReinhardNormalizer(), NumpyMacenkoNormalizer()
reinhard.fit(reference)
macenko.fit(reference)
print("reference:", reference.mean(axis=(0, 1)).round(0), "green", reference[..., 1].std().round(1))

for grey in (255, 240):
    tile = np.full((64, 64, 3), grey, dtype=np.uint8)
    normalised = reinhard.normalize(tile)
    print(f"one colour, {grey}: {np.unique(normalised)}")
    assert normalised.dtype == np.uint8
    assert not normalised.any()
    try:
        macenko.normalize(tile)
    except (np.linalg.LinAlgError, ValueError, IndexError) as error:
        print("Macenko:", type(error).__name__)
    else:
        raise AssertionError("Macenko returned something")

glass = rng.normal(240, 2, (64, 64, 3)).clip(0, 255).astype(np.uint8)
normalised = reinhard.normalize(glass)
deviations = glass[..., 1].std().round(1), normalised[..., 1].std().round(1)
print("glass:", normalised.mean(axis=(0, 1)).round(0), "green before and after", *deviations)
assert np.allclose(normalised.mean(axis=(0, 1)), reference.mean(axis=(0, 1)), atol=2)
assert normalised[..., 1].std() > 20 * glass[..., 1].std()
PYTHON
