#!/usr/bin/env bash
# Packages: pycocotools 2.0.11, numpy 2.4.6; Python 3.11.
#
# COCO files hold polygons and the size of the image, so one takes them for a format of nuclei on whole slides as well:
# nothing in it depends on the number of pixels, no mask of the slide is ever made. pycocotools turns each polygon into
# run lengths, which count pixels from the upper left corner with 32 bits. Of a slide of more than 2³² pixels (65 536 ×
# 65 536) the count starts again from 0, so positions fold: a nucleus on the right has its box on the left, and two
# nuclei of which one lies tens of thousands of pixels from the other, right and down, are the same pixels with an
# intersection over union of 1. Areas stay right, nothing is raised. An evaluation then matches detections with truth of
# elsewhere, and boxes derived from run lengths, as by `loadRes`, are those of elsewhere. Sizes and coordinates of
# single tiles are the remedy.
#
# Seen, squares of 20 pixels at (100, 100), (43049, 67396) and (79000, 99000):
#   100 000 high, 40 000 wide   boxes as given (of the two that lie in it)
#   100 000 high, 80 000 wide   boxes at (100, 100), (100, 100), (36051, 31704); IoU of the first two 1.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pycocotools==2.0.11 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
from pycocotools import mask

SIDE, HEIGHT = 20, 100_000


def square(x, y):
    return [x, y, x + SIDE, y, x + SIDE, y + SIDE, x, y + SIDE]


def boxes(corners, width):
    runs = [mask.frPyObjects([square(*corner)], HEIGHT, width)[0] for corner in corners]
    found = [tuple(int(value) for value in box) for box in mask.toBbox(runs)]
    overlap = mask.iou(runs, runs, [0] * len(runs)).round(2).tolist()
    print(f"{HEIGHT} x {width}: boxes {found}, areas {mask.area(runs).tolist()}, IoU {overlap}")
    assert mask.area(runs).tolist() == [SIDE**2] * len(runs)
    return found, overlap


near = [(100, 100), (39_000, 99_000)]
found, overlap = boxes(near, 40_000)
assert found == [(x, y, SIDE, SIDE) for x, y in near] and overlap == [[1, 0], [0, 1]]

far = [(100, 100), (43_049, 67_396), (79_000, 99_000)]
found, overlap = boxes(far, 80_000)
folded = [divmod((x * HEIGHT + y) % 2**32, HEIGHT) for x, y in far]
assert found == [(x, y, SIDE, SIDE) for x, y in folded] and folded[0] == folded[1] == (100, 100), folded
assert overlap == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
PYTHON
