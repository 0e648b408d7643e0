#!/usr/bin/env bash
# Packages: pyfeats 1.0.1, mahotas 1.4.19, scikit-image 0.26.0, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# pyfeats computes texture features of a region: image and mask go in. First-order, grey-tone-difference and Laws
# features are of the pixels under the mask. `glrlm_features` takes the same mask, documented as the region of interest,
# and does not use it: grey-level run lengths are those of the whole image, whatever is segmented. All lesions of an
# image get equal values, and the patients are told apart by their background. In a table with the other features nothing
# gives it away. As grey level 0 is left out of run lengths, setting the pixels outside to 0 is the remedy for all of the
# features but the run percentage, which stays relative to the size of the image.
#
# Seen, short-run emphasis, NGTDM coarseness and mean value, two lesions in one image of 64 × 64 pixels, the first rough,
# the second smooth:
#                                       GLRLM   NGTDM    mean
#   first                               0.956     1.9     130
#   second                              0.956     inf      60
#   first, in another background        0.767     1.9     130
#   first, 0 outside, both images       0.995
#   second, 0 outside                   0.035
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pyfeats==1.0.1 mahotas==1.4.19 scikit-image==0.26.0 scipy==1.17.1 \
    numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from pyfeats import fos, glrlm_features, ngtdm_features

rng = np.random.default_rng(0)
image = rng.integers(100, 120, (64, 64)).astype(np.uint8)
first, second = np.zeros((2, 64, 64), dtype=np.uint8)
first[8:24, 8:24] = 1
second[36:60, 36:60] = 1
image[first == 1] = rng.integers(20, 250, 256)  # rough
image[second == 1] = 60  # smooth
other = np.where(first == 1, image, rng.integers(10, 13, image.shape).astype(np.uint8))


def features(pixels, mask):
    run_lengths = np.asarray(glrlm_features(pixels, mask, 256)[0], dtype=float)
    return run_lengths, np.asarray(ngtdm_features(pixels, mask, 1)[0], float), np.asarray(fos(pixels, mask)[0], float)


values = [features(image, first), features(image, second), features(other, first)]
for name, of in zip(("first lesion", "second lesion", "first, other background"), values, strict=True):
    print(f"{name}: GLRLM {of[0][:3].round(3)}, NGTDM {of[1][0]:.2f}, first order {of[2][0]:.2f}")
for method in range(3):
    lesions = np.allclose(values[0][method], values[1][method])
    backgrounds = np.allclose(values[0][method], values[2][method], equal_nan=True)
    assert (lesions, backgrounds) == ((True, False) if method == 0 else (False, True)), method
right = [features(pixels * mask, mask)[0] for pixels, mask in ((image, first), (other, first), (image, second))]
print("0 outside:", [of[:3].round(3).tolist() for of in right])
assert np.allclose(right[0], right[1]) and abs(right[0][0] - right[2][0]) > 0.3
PYTHON
