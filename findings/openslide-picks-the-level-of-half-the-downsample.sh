#!/usr/bin/env bash
# Packages: openslide-python 1.4.7, openslide-bin 4.0.1.2, tifffile 2026.3.3, numpy 2.2.6; Python 3.11.
#
# Tiles of a whole slide at 5× are read from a level with a downsample of 4. Sides of levels are rounded down to whole
# pixels, so OpenSlide, which computes the downsample from the sizes, has 4.0017, and `get_best_level_for_downsample(4)`
# asks for a level of at most 4: it returns the one of 2. Code that then reads tiles of 256 pixels at "the level for 4"
# has tiles at twice the magnification and a quarter of the area, on slides whose sides are no multiple, and the right
# ones on all others: one cohort, two magnifications. A factor of 4.01 asked for gives the right level.
#
# Seen, levels 0 to 4 of halves: sides of 4096 pixels: levels 0 1 2 3 4 for 1 2 4 8 16; sides of 4097 and 5003: levels 0
# 0 1 2 3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet openslide-python==1.4.7 openslide-bin==4.0.1.2 tifffile==2026.3.3 \
    numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import openslide
import tifffile


def levels(height, width):
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter("slide.tif") as file:
        for level in range(5):
            pixels = np.zeros((height >> level, width >> level, 3), dtype=np.uint8)
            file.write(pixels, subfiletype=int(level > 0), **options)
    slide = openslide.OpenSlide("slide.tif")
    asked = [slide.get_best_level_for_downsample(2**level) for level in range(5)]
    near = [slide.get_best_level_for_downsample(2**level * 1.01) for level in range(5)]
    print((height, width), "downsamples", [round(one, 4) for one in slide.level_downsamples], "levels", asked, near)
    return asked, near


assert levels(4096, 4096) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
assert levels(4097, 5003) == ([0, 0, 1, 2, 3], [0, 1, 2, 3, 4])
PYTHON
