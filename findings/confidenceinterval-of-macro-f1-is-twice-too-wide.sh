#!/usr/bin/env bash
# Packages: confidenceinterval 1.0.5, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6; Python 3.11.
#
# The package confidenceinterval gives scores of scikit-learn with an interval, by default from a formula (delta
# method), and one expects it to be about as wide as the scores of repeated studies scatter. For accuracy, micro
# averages, and nearly for macro precision and recall, it is. For `f1_score(average="macro")` it depends on the number
# of classes: more than twice too wide for two, right for about ten, and too narrow for more, so that it misses the
# truth more often than it says. With some tens of images it reaches above 1. Two models are then "not different" where
# they are, or the reverse. method="bootstrap_percentile" of the same call is as wide as the scatter.
#
# Seen, 1000 images, 80 % of predictions kept and the rest drawn at random; width of the interval ÷ width of 95 % of
# repeated studies:
#   classes            2     3     5     10    20
#   macro F1          2.33  1.80  1.35  0.95  0.67
#   micro F1          0.97  1.02  1.00  0.99  1.04
#   macro recall      1.12  1.14  1.16  1.11  0.92
# 40 images of two classes, macro F1 0.95: interval 0.72 to 1.18, by bootstrap 0.87 to 1.00.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet confidenceinterval==1.0.5 scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import warnings

import confidenceinterval
import numpy as np
import sklearn.metrics

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)


def study(images, classes):
    truth = rng.integers(0, classes, images)
    return truth, np.where(rng.random(images) < 0.8, truth, rng.integers(0, classes, images))


def ratio(score, average, classes):
    repeated = [getattr(sklearn.metrics, score)(*study(1000, classes), average=average) for _ in range(300)]
    widths = []
    for _ in range(5):
        _, (lower, upper) = getattr(confidenceinterval, score)(*study(1000, classes), average=average)
        widths.append(upper - lower)
    return float(np.mean(widths) / (2 * 1.96 * np.std(repeated)))


ratios = {}
for classes in (2, 3, 5, 10, 20):
    for score, average in (("f1_score", "macro"), ("f1_score", "micro"), ("recall_score", "macro")):
        ratios[score, average, classes] = ratio(score, average, classes)
        print(f"{classes} classes, {average} {score}: {ratios[score, average, classes]:.2f}", flush=True)

few = study(40, 2)
for method in ("takahashi", "bootstrap_percentile"):
    value, (low, high) = confidenceinterval.f1_score(*few, average="macro", method=method)
    print(f"40 images, two classes, {method}: {value:.2f} ({low:.2f} to {high:.2f})")
    assert (high > 1) == (method == "takahashi")

assert ratios["f1_score", "macro", 2] > 2 and ratios["f1_score", "macro", 3] > 1.6
assert ratios["f1_score", "macro", 20] < 0.8
for (score, average, classes), value in ratios.items():
    if (score, average) != ("f1_score", "macro"):
        assert 0.8 < value < 1.3, (score, average, classes, value)
PYTHON
