#!/usr/bin/env bash
# Packages: scikit-image 0.26.0, tifffile 2026.3.3, imageio 2.38.1, numpy 2.4.6; Python 3.11.
#
# A TIFF stack of n slices, read by `skimage.io.imread`, is an array of n × rows × columns, and code counts slices along
# the first axis. With three or four slices (or channels, or rounds of staining) it is not: an axis of that length is
# taken for colours and moved to the end, whatever the file says. OME-TIFF with the axes ZYX, tags that say "grey" and
# 16 bits make no difference. In a folder of stacks of different length the loop over slices of some then runs over
# rows: what is cut, counted or averaged "by slice" is a row of three pixels by columns, and no error comes up as long as
# sizes are not compared. tifffile, whose reader is behind it, and imageio keep the order of the file.
#
# Seen, stacks of 30 × 40 pixels in which slice k has the value k, shape and mean by first axis:
#   slices   skimage.io.imread                     tifffile and imageio
#   2        (2, 30, 40)   0, 1                    (2, 30, 40)   0, 1
#   3        (30, 40, 3)   1, 1, 1 ... 30 of them  (3, 30, 40)   0, 1, 2
#   4        (30, 40, 4)   1.5, 1.5 ... 30         (4, 30, 40)   0, 1, 2, 3
#   5        (5, 30, 40)   0, 1, 2, 3, 4           (5, 30, 40)   0, 1, 2, 3, 4
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-image==0.26.0 tifffile==2026.3.3 imageio==2.38.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import imageio.v3 as imageio
import numpy as np
import skimage.io
import tifffile

ROWS, COLUMNS = 30, 40
for slices in (2, 3, 4, 5):
    stack = np.broadcast_to(np.arange(slices, dtype=np.uint16)[:, None, None], (slices, ROWS, COLUMNS)).copy()
    tifffile.imwrite("plain.tif", stack, photometric="minisblack")
    tifffile.imwrite("stated.ome.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    for path in ("plain.tif", "stated.ome.tif"):
        by_skimage = skimage.io.imread(path)
        means = by_skimage.reshape(len(by_skimage), -1).mean(axis=1)
        print(f"{path}, {slices} slices: skimage {by_skimage.shape}, means by first axis {means[:5]}")
        assert (tifffile.imread(path) == stack).all()
        assert (imageio.imread(path) == stack).all()
        if slices in (3, 4):
            assert by_skimage.shape == (ROWS, COLUMNS, slices)
            assert (means == (slices - 1) / 2).all()
        else:
            assert (by_skimage == stack).all()
PYTHON
