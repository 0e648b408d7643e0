#!/usr/bin/env bash
# Packages: cellpose 4.2.1.1, torch 2.15.0, fastremap 1.21.0, fill-voids 2.1.2, opencv-python-headless 5.0.0.93, scipy
# 1.17.1, tqdm 4.70.1, numpy 2.4.6; Python 3.11, CPU.
#
# Segmentations of cells are compared by `cellpose.metrics`. Its average precision, TP / (TP + FP + FN), counts objects
# as the number of different values less one, for the background. Epithelium, a colony or a crop of electron microscopy
# has no background: one object is then missing in truth and in prediction, a perfect prediction has −1 false positives
# and −1 false negatives and a precision above 1, and means over tiles are too high, the more so the fewer cells a tile
# has. `aggregated_jaccard_index` is not the index that has this name in the literature: Kumar et al. (2017) divide by
# the sum of the unions of the matched pairs, in which a pixel that one cell loses to its neighbour counts twice; here
# the union is that of both foregrounds, in which it counts once. So a wrong border between cells costs half as much as
# elsewhere, and values cannot be compared with published ones.
#
# Seen, four cells of 20 × 20 pixels side by side, predicted exactly:
#   they fill the tile           precision 2, false positives and negatives −1
#   with background around       precision 1, 0 and 0
# With background, four columns of one cell given to its neighbour: index 0.95, by Kumar et al. 0.905.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet fastremap==1.21.0 fill-voids==2.1.2 opencv-python-headless==5.0.0.93 \
  scipy==1.17.1 tqdm==4.70.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -m pip install --quiet --no-deps cellpose==4.2.1.1
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from cellpose import metrics

SIDE = 20
full = np.kron(np.array([[1, 2], [3, 4]]), np.ones((SIDE, SIDE), int))
framed = np.pad(full, 5)

for name, cells, right in (("full", full, 2), ("framed", framed, 1)):
    precision, true, false, missed = (float(found[0]) for found in metrics.average_precision(cells, cells, [0.5]))
    print(f"{name}: precision {precision}, {true} true, {false} false positives, {missed} missed")
    assert precision == right and true == 4 and false == missed == right * -1 + 1

predicted = framed.copy()
predicted[5 : 5 + SIDE, 5 + SIDE - 4 : 5 + SIDE] = 2
(index,) = metrics.aggregated_jaccard_index([framed], [predicted])
pairs = [(framed == cell, predicted == cell) for cell in range(1, 5)]
kumar = sum((one & other).sum() for one, other in pairs) / sum((one | other).sum() for one, other in pairs)
print(f"aggregated Jaccard index {index:.3f}, by Kumar et al. {kumar:.3f}")
assert abs(index - 0.95) < 1e-9 and abs(kumar - 1520 / 1680) < 1e-9
PYTHON
