#!/usr/bin/env bash
# Packages: pyvips 3.2.0, pyvips-binary 8.18.7, tifffile 2026.3.3, imageio 2.38.1, numpy 2.4.6; Python 3.11.
#
# Label masks of slides have more than 255 nuclei, radiographs 12 bits; both fit into a PNG of 16 bits. pyvips takes
# an array of uint16 as `ushort`, computes with all 16 bits, writes them to TIFF, and so one takes it that it writes
# them to PNG. An image made from an array is marked as one of ordinary grey or colour, though, and for PNG the mark
# decides, not the type: the file has 8 bits. Grey values are cut at 255 (all nuclei after the 255th become one, all
# of a radiograph but its black becomes white), colours are divided by 256, so a PNG of small labels in three channels
# is black. `bitdepth=16` makes it worse: values are cut at 255 first and then multiplied by 257. Tiles of `dzsave` as
# PNG are affected likewise. The same pixels read from a TIFF file carry the right mark and are saved whole.
# `new_from_array(..., interpretation="grey16")` (or "rgb16", or "auto") is the remedy.
#
# Seen, values 0 100 255 256 300 4095 65535:
#   PNG of the array, grey     0 100 255 255 255 255 255     PNG of the array, colour   0 0 0 1 1 15 255
#   with bitdepth=16           0 25700 65535 65535 65535 65535 65535
#   TIFF of the array, PNG of that TIFF, and PNG of the array with its interpretation: as they were
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 tifffile==2026.3.3 \
    imageio==2.38.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import imageio.v3
import numpy as np
import pyvips
import tifffile

VALUES = [0, 100, 255, 256, 300, 4095, 65535]
grey = np.array([VALUES], dtype=np.uint16)
colour = np.repeat(grey[..., None], 3, axis=2)


def png(image, **options):
    image.pngsave("image.png", **options)
    pixels = imageio.v3.imread("image.png")
    return pixels.dtype.name, pixels.reshape(len(VALUES), -1)[:, 0].tolist()


plain = pyvips.Image.new_from_array(grey)
assert plain.format == "ushort" and plain.max() == 65535
plain.tiffsave("image.tif")
assert tifffile.imread("image.tif").ravel().tolist() == VALUES

seen = {
    "grey": png(plain),
    "colour": png(pyvips.Image.new_from_array(colour)),
    "grey, bitdepth 16": png(plain, bitdepth=16),
    "from TIFF": png(pyvips.Image.new_from_file("image.tif")),
    "marked": png(pyvips.Image.new_from_array(grey, interpretation="grey16")),
    "auto": png(pyvips.Image.new_from_array(grey, interpretation="auto")),
}
for name, (kind, values) in seen.items():
    print(f"{name:18} {kind:7} {values}")
assert seen["grey"] == ("uint8", [0, 100, 255, 255, 255, 255, 255])
assert seen["colour"] == ("uint8", [0, 0, 0, 1, 1, 15, 255])
assert seen["grey, bitdepth 16"] == ("uint16", [0, 25700, 65535, 65535, 65535, 65535, 65535])
assert seen["from TIFF"] == seen["marked"] == seen["auto"] == ("uint16", VALUES)
PYTHON
