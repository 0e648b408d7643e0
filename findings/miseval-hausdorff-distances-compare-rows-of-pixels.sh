#!/usr/bin/env bash
# Packages: miseval 1.3.0, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# miseval scores medical segmentations under one name for each metric. Three of its distances are other than their
# names. "HD", the Hausdorff distance, hands the two label arrays as they are to a package for sets of points, which
# takes each row of pixels for one point: a stray pixel scores 1 wherever it lies, and the class asked for is not looked
# at. "AHD", the average Hausdorff distance, returns the maximum, which is the Hausdorff distance proper. "BD", the
# boundary distance, is the mean over all pairs of boundary points, of the near and the opposite side alike, so a
# perfect prediction of a disc has 4/π of its radius and a wrong one hardly more. The Dice of two empty masks is 1,
# their IoU 0. A table of these columns has plausible numbers of pixels that rank models by something else.
#
# Seen, a disc of radius 30 as truth and as prediction, then with a stray pixel, then moved by one pixel:
#                            perfect   stray   moved
#   Hausdorff distance          0      33.94     1       by scipy
#   mean surface distance       0       0.20    0.69     of the prediction's boundary, by scipy
#   miseval HD                  0       1       1.41     the same for each class, those without a pixel too
#   miseval AHD                 0      33.94     1
#   miseval BD                 38.08   38.69   38.10
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet miseval==1.3.0 scipy==1.17.1 numpy==2.2.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from miseval import evaluate
from scipy.ndimage import binary_erosion, distance_transform_edt

rows, columns = np.mgrid[:100, :100]
truth = ((rows - 50) ** 2 + (columns - 50) ** 2 < 30**2).astype(int)
near, far = truth.copy(), truth.copy()
near[50, 85] = far[5, 5] = 1


def surface_distances(one, other):
    """Distances of the boundary pixels of one mask to those of the other."""
    edges = [mask.astype(bool) & ~binary_erosion(mask) for mask in (one, other)]
    return distance_transform_edt(~edges[1])[edges[0]]


def distances(name, predicted):
    there, back = surface_distances(predicted, truth), surface_distances(truth, predicted)
    right = {"maximum": float(max(there.max(), back.max())), "mean": float(there.mean())}
    found = {metric: float(evaluate(truth, predicted, metric=metric)) for metric in ("HD", "AHD", "BD")}
    print(name, {key: round(value, 2) for key, value in (right | found).items()})
    return right, found


right, perfect = distances("perfect", truth)
assert right == {"maximum": 0, "mean": 0} and perfect["HD"] == perfect["AHD"] == 0 and perfect["BD"] > 30
for name, predicted in {"stray near": near, "stray far": far, "moved": np.roll(truth, 1, axis=1)}.items():
    right, found = distances(name, predicted)
    assert np.isclose(found["AHD"], right["maximum"])
    assert abs(found["BD"] - perfect["BD"]) < 1
    by_row = np.linalg.norm(truth[:, None] - predicted[None], axis=2)
    assert np.isclose(found["HD"], max(by_row.min(axis=0).max(), by_row.min(axis=1).max()))
    assert name == "moved" or found["HD"] == 1
classes = evaluate(truth, np.roll(truth, 1, axis=1), metric="HD", multi_class=True, n_classes=4)
assert (np.array(classes) == classes[0]).all() and classes[0] > 0, classes
empty = np.zeros_like(truth)
assert (evaluate(empty, empty, metric="DSC"), evaluate(empty, empty, metric="IoU")) == (1, 0)
PYTHON
