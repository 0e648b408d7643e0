#!/usr/bin/env bash
# Packages: opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11.
#
# Integral images give the sum, and so the mean and the share of tissue, of any rectangle from four corners: for local
# thresholds, for the tiles of a slide that are worth reading, for features of boxes. `cv2.integral` of an image of 8
# bits adds in 32 bits with a sign. That is plenty for photographs; 8.4 million white pixels fill it, and a film
# mammogram or the tissue mask (0 and 255) of an overview has more. From there on sums are negative, without a warning.
# Differences in the same 32 bits turn over as well and restore the sum of a small rectangle, so it works on trial; of
# the whole, or once the integral is converted to float or to 64 bits for the division, it does not: then some tiles
# have means far below 0. `cv2.integral2` does the same. Of an image of 16 bits both add in floating point.
# `sdepth=cv2.CV_64F` is the remedy.
#
# Seen, 4096 × 3328 pixels of 8 bits, all 200 (13.6 million, sum 2 726 297 600): integral −1 568 669 696, mean −115.1;
# mean of the last tile of 256 × 256 200; after conversion to float 5 of 208 tiles have a mean below 0, −65 336. With
# sdepth=cv2.CV_64F, and as 16 bits without it: 2 726 297 600, and 200 for all tiles.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np

HEIGHT, WIDTH, VALUE, TILE = 4096, 3328, 200, 256
image = np.full((HEIGHT, WIDTH), VALUE, np.uint8)


def means(integral):
    """Mean of the image and of its last tile by the integral image."""
    last = integral[-1, -1] - integral[-1 - TILE, -1] - integral[-1, -1 - TILE] + integral[-1 - TILE, -1 - TILE]
    return integral[-1, -1] / image.size, last / TILE**2


for name, integral in {
    "8 bits": cv2.integral(image),
    "8 bits, sums and squares": cv2.integral2(image)[0],
    "8 bits, sdepth=CV_64F": cv2.integral(image, sdepth=cv2.CV_64F),
    "16 bits": cv2.integral(image.astype(np.uint16)),
}.items():
    with np.errstate(over="ignore"):
        whole, tile = means(integral)
    print(f"{name}: {integral.dtype}, sum {integral[-1, -1]:.0f}, mean {whole:.1f}, mean of the last tile {tile:.1f}")
    tiles = np.diff(np.diff(integral[::TILE, ::TILE].astype(float), axis=0), axis=1) / TILE**2
    print(f"  in float: {(tiles != VALUE).sum()} of {tiles.size} tiles are not {VALUE}, lowest mean {tiles.min():.0f}")
    wraps = integral.dtype == np.int32
    assert wraps == (name in ("8 bits", "8 bits, sums and squares")), integral.dtype
    assert integral[-1, -1] == VALUE * image.size - (2**32 if wraps else 0)
    assert tile == VALUE and (tiles < 0).any() == wraps
assert cv2.integral2(image)[1][-1, -1] == VALUE**2 * image.size
PYTHON
