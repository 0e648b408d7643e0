#!/usr/bin/env bash
# Packages: mahotas 1.4.19, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# Mahotas measures the cells of a label image: `labeled_sum` is the integrated intensity of each, whose documentation
# calls it equal to numpy's sum of the pixels. It adds in the type of the image, which numpy does not for small integers:
# of an image of 8 bits a cell's sum is what is left after division by 256, of one of 16 bits by 65536. Even a dim cell
# of a few hundred pixels is beyond both. The numbers look like intensities, have no relation to the cells, and there is
# no warning. Sums of a mask (True by label, to count its pixels in each cell) are never more than 1. Converting the
# image to float64 first is the remedy.
#
# Seen, cells of 15 × 15 and 30 × 30 pixels of value 40 (8 bits) or 2000 (16 bits), both filled in a mask:
#                    mahotas           numpy, scipy
#   8 bits           40    160         9000     36000
#   16 bits          56784 30528       450000   1800000
#   mask             1     1           225      900
#   8 bits as float  9000  36000       9000     36000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet mahotas==1.4.19 scipy==1.17.1 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import mahotas
import numpy as np
from scipy.ndimage import sum_labels

cells = np.zeros((60, 60), dtype=np.int32)
cells[5:20, 5:20] = 1
cells[25:55, 25:55] = 2
for name, image, divisor in (
    ("8 bits", np.full(cells.shape, 40, dtype=np.uint8), 2**8),
    ("16 bits", np.full(cells.shape, 2000, dtype=np.uint16), 2**16),
    ("8 bits as float", np.full(cells.shape, 40.0), None),
):
    found = mahotas.labeled_sum(image, cells)[1:]
    right = np.array([image[cells == cell].sum() for cell in (1, 2)])
    print(f"{name}: mahotas {found}, numpy {right}")
    assert (sum_labels(image, cells, (1, 2)) == right).all()
    assert (found == (right % divisor if divisor else right)).all()
    assert divisor is None or (found != right).all()
filled = mahotas.labeled_sum(np.ones(cells.shape, dtype=bool), cells)[1:]
print(f"mask: mahotas {filled.astype(int)}, pixels {[int((cells == cell).sum()) for cell in (1, 2)]}")
assert (filled.astype(int) == 1).all()
PYTHON
