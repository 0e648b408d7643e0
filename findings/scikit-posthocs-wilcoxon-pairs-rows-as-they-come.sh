#!/usr/bin/env bash
# Packages: scikit-posthocs 0.17.1, pandas 3.1.1, scipy 1.17.1, statsmodels 0.15.0, numpy 2.4.6; Python 3.11.
#
# Several networks, the same test images, Dice by image in a long table: after Friedman's test follow pairs of networks,
# and the Wilcoxon signed-rank test, which is for pairs, is one of those scikit-posthocs has. The other tests of the
# package for repeated measures ask for the column that names the image. `posthoc_wilcoxon` cannot be told it: the first
# row of one network is the partner of the first row of the other, whatever image they are of. A table that comes from
# parallel workers, or was sorted, is tested without an objection. Shuffled, a clear difference is gone; sorted by
# score, as one does to look at failures, best is compared with best and the p-value is tiny for whatever difference
# there is, even between equal networks; and if each network failed on an image, of which the row is missing, all rows
# between are a row off. Nothing is sorted or checked unless the numbers of rows differ.
#
# Seen, 30 images, p-value of network A against B:
#                                      scipy, by image   scikit-posthocs
#   B better by 0.02 on each, in order   0.00000008      0.00000008
#   the same rows in random order        0.00000008      0.40 to 0.72 (8 orders)
#   A lacks image 30 and B image 1       0.0000003       0.92
#   no difference, in order              0.18            0.18
#   no difference, sorted by score       0.18            0.035
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-posthocs==0.17.1 pandas==3.1.1 scipy==1.17.1 statsmodels==0.15.0 \
    numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import pandas
from scikit_posthocs import posthoc_wilcoxon
from scipy.stats import wilcoxon

COUNT = 30
rng = np.random.default_rng(0)
difficulty = rng.uniform(0.5, 0.9, COUNT)
scores = pandas.DataFrame({"image": np.repeat(np.arange(COUNT), 2), "network": np.tile(["A", "B"], COUNT)})
noise = rng.normal(scale=0.01, size=2 * COUNT)
scores["dice"] = difficulty[scores["image"]] + 0.02 * (scores["network"] == "B") + noise
equal = scores.copy()
equal["dice"] = difficulty[equal["image"]] + rng.normal(scale=0.01, size=2 * COUNT)


def both(name, table):
    """p-values by image and by scikit-posthocs."""
    wide = table.pivot(index="image", columns="network", values="dice").dropna()
    right = float(wilcoxon(wide["A"], wide["B"]).pvalue)
    found = float(posthoc_wilcoxon(table, val_col="dice", group_col="network").loc["A", "B"])
    print(f"{name}: by image {right:.2g}, scikit-posthocs {found:.2g}")
    return right, found


right, found = both("better, in order", scores)
assert np.isclose(right, found) and right < 1e-5
for seed in range(8):
    right, found = both("better, random order", scores.sample(frac=1, random_state=seed))
    assert right < 1e-5 and found > 0.1
lacking = scores[~((scores["image"] == 0) & (scores["network"] == "B"))]
lacking = lacking[~((lacking["image"] == COUNT - 1) & (lacking["network"] == "A"))]
right, found = both("better, each lacks an image", lacking)
assert right < 1e-5 and found > 0.1
right, found = both("equal, in order", equal)
assert np.isclose(right, found) and right > 0.1
right, found = both("equal, sorted by score", equal.sort_values("dice"))
assert right > 0.1 and found < 0.05
PYTHON
