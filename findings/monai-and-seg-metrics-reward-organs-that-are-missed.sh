#!/usr/bin/env bash
# Packages: monai 1.6.1, torch 2.15.0, seg-metrics 1.2.8, SimpleITK 2.5.7, numpy 2.4.6; Python 3.11, CPU.
#
# The distance between an organ and a prediction without it is not defined; one expects an infinite value, a penalty
# or an error. MONAI's HausdorffDistanceMetric has infinity for the maximum, and its average surface distance too.
# With `percentile=95`, the form that is reported, it has NaN, which its mean leaves out, as it does for images that
# have no such organ; the mean then is of the images in which the organ was found. (MONAI warns that distances may be
# "nan/inf"; its mean is neither.) seg-metrics has 0 for all of its distances, the value of a perfect prediction; its
# warning is about precision and recall only. So a network that misses the difficult half of the organs has the same
# mean HD95 as one that outlines all of them, or a better one, and early stopping or a search by HD95 prefers it.
# Without any hit MONAI's mean is 0 as well.
#
# Seen, four images, organs predicted two pixels beside their place, then half of them and all of them missed:
#                         all found   half missed   all missed
#   MONAI, maximum                2      infinite     infinite
#   MONAI, percentile 95          2             2            0
#   seg-metrics, hd95             2             1            0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet monai==1.6.1 torch==2.15.0 seg-metrics==1.2.8 \
    SimpleITK==2.5.7 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import logging

import numpy as np
import torch
from monai.metrics import HausdorffDistanceMetric
from seg_metrics.seg_metrics import write_metrics

logging.disable(logging.WARNING)
truth = np.zeros((4, 1, 40, 40), dtype=np.uint8)
truth[:, :, 10:20, 10:20] = 1
found = np.roll(truth, 2, axis=-1)


def by_monai(predicted, percentile):
    metric = HausdorffDistanceMetric(include_background=True, percentile=percentile)
    metric(torch.from_numpy(predicted), torch.from_numpy(truth))
    return float(metric.aggregate())


def by_seg_metrics(predicted):
    distances = []
    for mask, true in zip(predicted, truth, strict=True):
        scores = write_metrics(
            labels=[1], gdth_img=true, pred_img=mask, csv_file=None, spacing=np.ones(3), metrics=["hd95"]
        )
        distances.append(float(np.squeeze(scores[0]["hd95"])))
    return float(np.mean(distances))


table = []
for missed in (0, 2, 4):
    predicted = found.copy()
    predicted[:missed] = 0
    row = by_monai(predicted, None), by_monai(predicted, 95), by_seg_metrics(predicted)
    print(f"{missed} of 4 missed: MONAI maximum {row[0]}, percentile 95 {row[1]}; seg-metrics hd95 {row[2]}")
    table.append(row)
assert table == [(2, 2, 2), (np.inf, 2, 1), (np.inf, 0, 0)], table
PYTHON
