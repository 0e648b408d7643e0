#!/usr/bin/env bash
# Packages: torchmetrics 1.9.0, torch 2.15.0, scikit-learn 1.9.1, numpy 2.4.6; Python 3.11, CPU.
#
# Regression of quantities that are large against their spread, e.g. positions of a landmark in the pixels of a whole
# slide. torchmetrics' R2Score and ExplainedVariance keep sums of squares in float32 over the batches and subtract the
# square of the sum at the end. Of the variance that leaves what rounding left, and the score is wrong, too high as well
# as too low, even above 1, without a warning; more images make it worse, not better. PearsonCorrCoef of the same
# package merges means and deviations and stays right, as scikit-learn's r2_score does. Subtracting one constant from
# predictions and targets before the update is the remedy.
#
# Seen, 6400 targets of standard deviation 1 and errors of 0.5 in batches of 64; R² is 0.7496 for each mean:
#   mean of the targets      0   1000   3000  10000
#   R2Score              0.7496 0.7784 1.1939 1.0242
#   ExplainedVariance    0.7496 0.7794 1.1241 1.0310
#   PearsonCorrCoef²     0.8005 0.8005 0.8005 0.8005
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch
from sklearn.metrics import r2_score
from torchmetrics import ExplainedVariance, PearsonCorrCoef, R2Score

random = np.random.default_rng(0)
truth = random.normal(size=6400)
errors = 0.5 * random.normal(size=6400)
off = {"R2Score": {}, "ExplainedVariance": {}, "PearsonCorrCoef": {}}
for mean in (0, 1000, 3000, 10000):
    target = (mean + truth).astype(np.float32)
    predicted = (mean + truth + errors).astype(np.float32)
    r2 = r2_score(target.astype(np.float64), predicted.astype(np.float64))
    expected = {"R2Score": r2, "ExplainedVariance": r2, "PearsonCorrCoef": np.corrcoef(target, predicted)[0, 1]}
    for metric in (R2Score(), ExplainedVariance(), PearsonCorrCoef()):
        for start in range(0, 6400, 64):
            metric.update(torch.from_numpy(predicted[start:][:64]), torch.from_numpy(target[start:][:64]))
        name, value = type(metric).__name__, float(metric.compute())
        off[name][mean] = abs(value - expected[name])
        print(f"mean {mean:5}, {name:17}: {value:.4f}, right is {expected[name]:.4f}")
assert max(off["PearsonCorrCoef"].values()) < 0.001, off
for name in ("R2Score", "ExplainedVariance"):
    assert off[name][0] < 0.001, off
    assert max(off[name][3000], off[name][10000]) > 0.1, off
PYTHON
