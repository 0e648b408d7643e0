#!/usr/bin/env bash
# Packages: scikit-image 0.26.0, numpy 2.2.6; Python 3.11.
#
# Stain augmentation of histology takes an image apart with `rgb2hed`, scales haematoxylin and eosin a little and puts
# it together with `hed2rgb`. Three stains for three channels are one invertible matrix, so one would swear that nothing
# happens where nothing is scaled. `rgb2hed` however sets negative amounts of stain to 0, and only colours between the
# three stains come back. Nuclei and eosin do. Red blood cells, grey, dust and pen marks need a negative amount, and
# turn dark: the network learns from the augmented images that blood is brown and green ink violet, and sees others in
# tests, where nothing is augmented; an augmentation by a factor of 1 is not the identity. The matrices that the same
# module exports invert each other for all colours as long as nobody clips in between.
#
# Seen, RGB before and after `hed2rgb(rgb2hed(...))`:
#   nucleus          100  80 150   100  80 150
#   eosin            230 150 190   227 148 189
#   red blood cells  200  60  60   144  42  52
#   grey             150 150 150   148 125 147
#   green ink         60 140  80    55  37  69
# With the matrices and without clipping the greatest difference of all is below 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-image==0.26.0 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from skimage.color import hed2rgb, hed_from_rgb, rgb2hed, rgb_from_hed

COLOURS = {
    "nucleus": (100, 80, 150),
    "eosin": (230, 150, 190),
    "red blood cells": (200, 60, 60),
    "grey": (150, 150, 150),
    "green ink": (60, 140, 80),
}
off = {}
for name, colour in COLOURS.items():
    image = np.array([[colour]], dtype=np.uint8)
    back = hed2rgb(rgb2hed(image))[0, 0] * 255
    unclipped = 255 * np.exp(np.log(image[0, 0] / 255) @ hed_from_rgb @ rgb_from_hed)
    print(name, colour, "after", back.round().astype(int), "without clipping", unclipped.round().astype(int))
    assert np.abs(unclipped - colour).max() < 1
    assert (rgb2hed(image) >= 0).all()
    off[name] = np.abs(back - colour).max()
print({name: round(float(value), 1) for name, value in off.items()})
assert max(off["nucleus"], off["eosin"]) < 5
assert off["red blood cells"] > 40 and off["grey"] > 20 and off["green ink"] > 80
PYTHON
