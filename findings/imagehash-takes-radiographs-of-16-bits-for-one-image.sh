#!/usr/bin/env bash
# Packages: imagehash 4.3.2, pillow 13.0.0, scipy 1.17.1, numpy 2.4.6; Python 3.11.
#
# Before a data set is split, near-duplicates are sought with perceptual hashes; hashes compare pixels with their mean
# or neighbours, so brightness and number of bits should not matter. imagehash first converts an image to 8 bits by
# Pillow's `convert("L")`, which for 16 bits does not scale: it cuts off at 255. Radiographs have 10 to 16 bits, with
# hardly a pixel below 255 in the patient, so what is hashed is a white sheet. All patients of a data set then have the
# same average, perceptual and difference hash, a filter for duplicates keeps one of them, and a test for leaks between
# train and test finds everything (or is switched off). Where only air is below 255 the hash is of the air around the
# patient. Nothing warns. Dividing to 8 bits before is the remedy.
#
# Seen, 20 different images of 12 bits, values 300 to 4095, as PNG of 16 bits: number of different hashes 1 for phash,
# dhash, average_hash and whash; as PNG of 8 bits (divided by 16) 20 for all four.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet imagehash==4.3.2 pillow==13.0.0 scipy==1.17.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

IMAGES, LOWEST, HIGHEST = 20, 300, 4095
HASHES = (imagehash.phash, imagehash.dhash, imagehash.average_hash, imagehash.whash)


def made(seed):
    """Smooth random image of 12 bits."""
    image = gaussian_filter(np.random.default_rng(seed).standard_normal((256, 256)), 12)
    image = (image - image.min()) / np.ptp(image)
    return np.round(LOWEST + image * (HIGHEST - LOWEST)).astype(np.uint16)


for bits, divisor, right in ((16, 1, 1), (8, 16, IMAGES)):
    for seed in range(IMAGES):
        pixels = made(seed) // divisor
        Image.fromarray(pixels if bits == 16 else pixels.astype(np.uint8)).save(f"{seed}-{bits}.png")
    opened = [Image.open(f"{seed}-{bits}.png") for seed in range(IMAGES)]
    assert {image.mode for image in opened} == {"I;16" if bits == 16 else "L"}
    assert all(np.array_equal(np.asarray(image), made(seed) // divisor) for seed, image in enumerate(opened))
    different = {method.__name__: len({str(method(image)) for image in opened}) for method in HASHES}
    print(f"{bits} bits: {different} different hashes of {IMAGES} images")
    assert set(different.values()) == {right}, different
PYTHON
