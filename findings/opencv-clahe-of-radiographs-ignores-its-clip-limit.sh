#!/usr/bin/env bash
# Packages: opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11.
#
# CLAHE evens out the contrast of radiographs and fundus photographs; its clip limit says how far contrast may be
# raised. `cv2.createCLAHE(clipLimit, tileGridSize)` takes images of 8 and of 16 bits, and one expects the limit to
# mean the same. It is given in multiples of the mean count of a bin, and an image of 16 bits has 65 536 bins whatever
# it holds: on a tile of 64 × 64 pixels the mean count is 1/16, and limits are rounded down to whole pixels, at least
# one. So all limits from 0.1 to 31 are one and the same, at every number of bits in the file, and a search over them
# finds nothing. What is cut off is spread over bins of which a detector with 12 bits uses one in sixteen, so the
# result is dark and has a third of the contrast that the same image has with 8 bits. Nothing warns. Multiplying 12
# bits to 16 does not help.
#
# Seen, 512 × 512 pixels of 12 bits, 8 × 8 tiles, standard deviation of the result by clip limit (of a range of 1):
#                              1      2      4     10     20
#   8 bits (divided by 16)  0.113  0.134  0.178  0.217  0.219
#   16 bits                 0.046, the same image for all limits
#   16 bits (times 16)      0.114, the same image for all limits
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np

y, x = np.mgrid[:512, :512]
waves = 1000 + 800 * np.sin(x / 40) * np.cos(y / 60)
radiograph = (waves + np.random.default_rng(0).normal(0, 60, waves.shape)).clip(0, 4095).astype(np.uint16)
LIMITS = (1, 2, 4, 10, 20)


def results(image):
    return [cv2.createCLAHE(limit, (8, 8)).apply(image) for limit in LIMITS]


def contrasts(images, white):
    return [round(float(image.std()) / white, 3) for image in images]


narrow, wide, stretched = results((radiograph // 16).astype(np.uint8)), results(radiograph), results(radiograph * 16)
for name, images, white in (("8 bits", narrow, 255), ("16 bits", wide, 65535), ("times 16", stretched, 65535)):
    print(f"{name}: standard deviation {contrasts(images, white)} for limits {LIMITS}")
assert np.allclose(contrasts(narrow, 255), [0.113, 0.134, 0.178, 0.217, 0.219], atol=0.002)
assert all(np.array_equal(image, wide[0]) for image in wide)
assert all(np.array_equal(image, stretched[0]) for image in stretched)
assert np.allclose(contrasts(wide, 65535)[0], 0.046, atol=0.002)
assert np.allclose(contrasts(stretched, 65535)[0], 0.114, atol=0.002)
for limit, same in ((0.1, True), (31, True), (32, False)):
    assert np.array_equal(cv2.createCLAHE(limit, (8, 8)).apply(radiograph), wide[0]) is same, limit
PYTHON
