#!/usr/bin/env bash
# Packages: scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6; Python 3.11.
#
# Features of tiles come out of networks in float32, and the first selection among them is an analysis of variance
# (`f_classif`, the default score of SelectKBest, SelectPercentile, SelectFdr and the rest). Most of scikit-learn
# computes with float64 where it matters; this keeps float32, adds up squares, and subtracts the square of the sum. With
# a mean some times the spread, what remains is rounding: F is too large, or negative (p is 1 then). More data make it
# worse, for the differences to be found shrink and the sums grow. With a false discovery rate of 5 %, noise is selected
# by the dozen, and features that tell the classes are dropped. `f_regression` of the same classes, which is the same
# test for two of them, centres first and stays right. No warning. `features.astype(np.float64)`, or standardising
# before selecting, is the remedy.
#
# Seen, a million tiles, 5 features that differ (by 0.02 of the spread) and 40 that do not; selected of 5 and of 40:
#   mean over spread    0         10         100
#   float64             5, 0      5, 0       5, 0
#   float32             5, 0      5, 11      2, 13
# A blood value of mean 37 and spread 0.1 in 400 patients, no difference: p below 0.05 in 22 % of trials, not 5 %;
# F negative in 37 %.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from sklearn.feature_selection import SelectFdr, f_classif, f_regression

random = np.random.default_rng(0)
TILES, TRUE, NOISE = 1_000_000, 5, 40
labels = np.repeat([0, 1], TILES // 2)
spread = random.normal(size=(TILES, TRUE + NOISE)).astype(np.float32)
spread[labels == 1, :TRUE] += np.float32(0.02)


def selected(values):
    chosen = SelectFdr(f_classif, alpha=0.05).fit(values, labels).get_support()
    return int(chosen[:TRUE].sum()), int(chosen[TRUE:].sum())


for mean in (0, 10, 100):
    features = spread + np.float32(mean)
    single = selected(features)
    double = selected(features.astype(np.float64))
    print(f"mean {mean}: float32 {single}, float64 {double}")
    assert double[0] == TRUE and double[1] <= 2
    assert single == double if mean == 0 else single[1] >= 8

negative, hits = 0, {"f_classif": 0, "f_classif in float64": 0, "f_regression": 0}
groups = np.repeat([0, 1], 200)
for _ in range(400):
    values = (37 + 0.1 * random.normal(size=(400, 1))).astype(np.float32)
    scores = {
        "f_classif": f_classif(values, groups),
        "f_classif in float64": f_classif(values.astype(np.float64), groups),
        "f_regression": f_regression(values, groups),
    }
    negative += int(scores["f_classif"][0][0] < 0)
    for name, (_, p) in scores.items():
        hits[name] += int(p[0] < 0.05)
print("p below 0.05 of 400", hits, "negative F", negative)
assert hits["f_classif"] > 60 and hits["f_classif in float64"] < 40 and hits["f_regression"] < 40 and negative > 5
PYTHON
