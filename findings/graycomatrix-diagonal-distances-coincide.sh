#!/usr/bin/env bash
# Packages: scikit-image 0.26.0, numpy 2.4.6; Python 3.11, CPU.
#
# Texture features of radiology and pathology are often grey-level co-occurrence matrices at several distances and four
# angles. Along the axes each distance gives a matrix of its own. Along the diagonals `skimage.feature.graycomatrix` turns
# a distance into rows and columns with d sin(angle) and d cos(angle), rounded to whole pixels: distance 1 is 0.71 and
# distance 2 is 1.41, both one row and one column. So at 45° and 135° distances 1 and 2 are the same matrix, and whatever
# is computed from them enters a feature table twice, without a warning; a distance of 2 also never means two diagonal
# steps. Distance 3 (2.12) is the first that differs.
#
# Seen: on random 32 × 32 pixels of 8 grey levels the matrices of distances 1 and 2 are equal at 45° and 135° (961 pairs
# both, as for one step) and different at 0° and 90° (992 and 960 pairs); those of 2 and 3 differ at all angles.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-image==0.26.0 numpy==2.4.6
cat > "$work/distances.py" <<'PYTHON'
import numpy as np
from skimage.feature import graycomatrix

image = np.random.default_rng(0).integers(0, 8, (32, 32), dtype=np.uint8)
angles = np.deg2rad([0, 45, 90, 135])
counts = graycomatrix(image, [1, 2, 3], angles, levels=8)
first = [bool(np.array_equal(counts[:, :, 0, k], counts[:, :, 1, k])) for k in range(4)]
second = [bool(np.array_equal(counts[:, :, 1, k], counts[:, :, 2, k])) for k in range(4)]
pairs = counts.sum(axis=(0, 1)).astype(int).T.tolist()
print("distances 1 and 2 equal at 0, 45, 90, 135 degrees:", first)
print("distances 2 and 3 equal:", second)
print("pairs by angle and distance:", pairs)
assert first == [False, True, False, True], first
assert second == [False] * 4, second
assert pairs[1][:2] == pairs[3][:2] == [961, 961], pairs
assert pairs[0][:2] == pairs[2][:2] == [992, 960], pairs
PYTHON
"$work/venv/bin/python" "$work/distances.py"
