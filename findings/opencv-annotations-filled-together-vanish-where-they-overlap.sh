#!/usr/bin/env bash
# Packages: opencv-python-headless 5.0.0.93, pillow 13.0.0, numpy 2.4.6; Python 3.11.
#
# `cv2.fillPoly` and `cv2.drawContours(..., -1, ..., cv2.FILLED)` take the list of all outlines of an image, so one
# hands them all polygons of a class at once and expects each to be filled. They fill by the even-odd rule over the
# whole list, which is how holes are drawn: what lies in two polygons is background, in three it is lesion again. Two
# readers' outlines of one lesion leave a rim of it, an annotation that was exported twice leaves its line, a nodule
# drawn inside its organ becomes a hole. Where annotations do not overlap, all is right, which is what one tests with;
# the mask looks like any other and nothing warns. A call for each polygon, as one has to with Pillow, gives the
# union, and is the remedy.
#
# Seen, pixels of two squares of 31 × 31 that share 16 × 16; of one square given twice; of a small one inside it:
#                                   overlapping   twice   inside
#   one call, fillPoly              1470          120     880
#   one call, drawContours          1470          120     880
#   a call each, or Pillow          1666          961     961
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np
from PIL import Image, ImageDraw

SIZE = 60


def square(start, end):
    return np.array([[start, start], [end, start], [end, end], [start, end]], dtype=np.int32)


def at_once(polygons):
    return cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), polygons, 1)


def contours(polygons):
    return cv2.drawContours(np.zeros((SIZE, SIZE), np.uint8), polygons, -1, 1, cv2.FILLED)


def one_by_one(polygons):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon], 1)
    return mask


def pillow(polygons):
    mask = Image.new("L", (SIZE, SIZE))
    for polygon in polygons:
        ImageDraw.Draw(mask).polygon([tuple(point) for point in polygon.tolist()], fill=1)
    return np.array(mask)


large = square(5, 35)
cases = {
    "overlapping": [large, square(20, 50)],
    "twice": [large, large],
    "inside": [large, square(15, 25)],
    "apart": [large, square(40, 50)],
}
expected = {"overlapping": (1470, 1666), "twice": (120, 961), "inside": None, "apart": (1082, 1082)}
for name, polygons in cases.items():
    masks = {f.__name__: f(polygons) for f in (at_once, contours, one_by_one, pillow)}
    counts = {key: int(mask.sum()) for key, mask in masks.items()}
    print(name, counts)
    assert np.array_equal(masks["one_by_one"], masks["pillow"]), name
    assert np.array_equal(masks["at_once"], masks["contours"]), name
    if expected[name]:
        assert (counts["at_once"], counts["pillow"]) == expected[name], name
    else:
        assert (counts["at_once"], counts["pillow"]) == (880, 961)
    if name == "overlapping":
        three = at_once([*polygons, square(25, 30)])
        assert masks["at_once"][27, 27] == 0 and three[27, 27] == 1
PYTHON
