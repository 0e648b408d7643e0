#!/usr/bin/env bash
# Packages: Pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.3; Python 3.11.
#
# In a TIFF file whose photometric interpretation is WhiteIsZero, as film scanners and some X-ray exports write it, the value 0 is
# displayed white. Pillow inverts such files of 1 to 8 bits when it opens them, but hands out the stored values of 16 bits
# (mode `I;16`) as they are, and `image.mode` does not tell. tifffile never inverts: `imread` gives the stored values at every depth.
# So the same picture comes out of Pillow as a positive with 8 bits and as a negative with 16, and a mask that is read by one
# package and an image that is read by the other contradict each other. Whoever reads such files has to look at tag 262.
#
# Seen: stored 10 of 255 is 245 in Pillow, stored 2570 of 65535 is 2570; tifffile gives 10 and 2570.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.3
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

picture = np.full((4, 5), 10, dtype=np.uint8)
tifffile.imwrite("8.tif", picture, photometric="miniswhite")
tifffile.imwrite("16.tif", picture.astype(np.uint16) * 257, photometric="miniswhite")
for name, by_pillow, by_tifffile in (("8.tif", 245, 10), ("16.tif", 2570, 2570)):
    with Image.open(name) as image:
        assert image.tag_v2[262] == 0  # WhiteIsZero
        values = np.asarray(image)
    print(f"{name}: Pillow {values[0, 0]} (mode {image.mode}), tifffile {tifffile.imread(name)[0, 0]}")
    assert (values == by_pillow).all()
    assert (tifffile.imread(name) == by_tifffile).all()
PYTHON
