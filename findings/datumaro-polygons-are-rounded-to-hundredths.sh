#!/usr/bin/env bash
# Packages: datumaro 1.13.12, pycocotools 2.0.11, numpy 2.4.6; Python 3.11, CPU.
#
# Datumaro, on which CVAT's import and export stand, converts annotations between formats. A polygon in its memory is not
# the polygon that was given: the constructor rounds every coordinate to two decimals and keeps it in single precision. One
# would take a hundredth of a pixel for harmless. Rasterised by pycocotools, which works on a grid of a fifth of a pixel and fills
# by where edges cross it, a quarter of small polygons get another mask, so that a conversion from COCO to COCO alone changes pixels,
# and a check for equal masks before and after it fails, without any annotation being touched.
#
# Seen: of 200 star-shaped polygons of 8 corners, 47 have another mask after `datumaro.Polygon(points).points`, by 89 pixels in
# all; 4.23456 becomes 4.23, and 11.005 becomes 11.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet datumaro==1.13.12 pycocotools==2.0.11 numpy==2.4.6
cat > "$work/polygons.py" <<'PYTHON'
import datumaro as dm
import numpy as np
import pycocotools.mask

H, W = 64, 96


def mask(points):
    return pycocotools.mask.decode(pycocotools.mask.frPyObjects([list(points)], H, W))[..., 0].astype(bool)


rng = np.random.default_rng(0)
changed = pixels = 0
for _ in range(200):
    angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 8)), rng.uniform(5, 20, 8)
    points = np.stack([48 + radii * np.cos(angles), 32 + radii * np.sin(angles)], axis=1).ravel().tolist()
    before, after = mask(points), mask(dm.Polygon(points).points)
    changed += bool((before != after).any())
    pixels += int((before != after).sum())
print(f"{changed} of 200 polygons have another mask, {pixels} pixels in all")
print(dm.Polygon([4.23456, 3.1, 20.7, 5.5, 11.005, 18.4]).points)
assert (changed, pixels) == (47, 89), (changed, pixels)
assert np.allclose(dm.Polygon([4.23456, 11.005, 20.7, 5.5, 1, 18.4]).points[:2], [4.23, 11.0], atol=1e-6)
PYTHON
"$work/venv/bin/python" -W ignore "$work/polygons.py"
