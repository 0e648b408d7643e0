#!/usr/bin/env bash
# Packages: scipy 1.17.1, edt 3.1.2, opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11.
#
# Distance maps enter boundary losses, border weights and signed distances to be regressed, usually tile by tile, and
# some tiles are all tumour or all background. There is no border then, and one expects infinity, an error, or at most
# one distance for all pixels. `scipy.ndimage.distance_transform_edt` returns distances that look like any others: to a
# pixel that does not exist, one row above the upper left corner. So a full tile has a smooth map that grows from top
# left to bottom right, a signed map of an empty tile is the negative of it, and a network is taught that the border of
# every organ that fills a tile, and of every one that is absent, is in the same corner. A flipped tile has the same map,
# not the flipped one. edt gives infinity and OpenCV the largest number there is, which at least are noticed.
#
# Seen, a mask of 128 × 128 ones: scipy 1.0 at the upper left, 127.0 at the upper right, 128.0 at the lower left, 180.3
# at the lower right; edt inf; OpenCV 3.4e38. With one pixel of background scipy and edt agree to rounding.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scipy==1.17.1 edt==3.1.2 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import cv2
import edt
import numpy as np
from scipy.ndimage import distance_transform_edt

SIDE = 128
full = np.ones((SIDE, SIDE), np.uint8)
by_scipy = distance_transform_edt(full)
corners = by_scipy[[0, 0, -1, -1], [0, -1, 0, -1]]
print("scipy, corners of a full mask", corners.round(1).tolist())
rows, columns = np.indices(full.shape)
assert np.allclose(by_scipy, np.hypot(rows + 1, columns))
assert np.allclose(distance_transform_edt(full[::-1]), by_scipy)
assert not np.allclose(distance_transform_edt(full)[::-1], by_scipy)

by_edt, by_opencv = edt.edt(full), cv2.distanceTransform(full, cv2.DIST_L2, 5)
print("edt", np.unique(by_edt), "OpenCV", np.unique(by_opencv))
assert np.isinf(by_edt).all()
assert (by_opencv > 1e38).all()


def signed(mask):
    return distance_transform_edt(mask) - distance_transform_edt(1 - mask)


absent, filled = signed(np.zeros_like(full)), signed(full)
print("signed, absent and filled, at the centre", absent[64, 64].round(1), filled[64, 64].round(1))
assert np.allclose(absent, -filled)

full[40, 90] = 0
assert np.allclose(distance_transform_edt(full), edt.edt(full), atol=1e-4)
PYTHON
