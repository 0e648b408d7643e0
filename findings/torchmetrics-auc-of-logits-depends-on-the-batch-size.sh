#!/usr/bin/env bash
# Packages: torchmetrics 1.9.0, torch 2.15.0, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6; Python 3.11, CPU.
#
# The area under the ROC curve is a matter of ranks, so logits have the same as probabilities, and torchmetrics takes
# both. It tells them apart by looking: if any value is outside 0 to 1 they are logits, and a sigmoid is applied. It
# looks at each batch for itself. Volumes are tested one at a time, and a single logit between 0 and 1 is taken for a
# probability, its neighbour of −0.1 or 1.2 is not: the epoch ends with values of two scales in one ranking (0.2 stays
# 0.2, −1 becomes 0.27 and ranks above it). So the same outputs of the same network have another area at another batch
# size or in another order, and the same for average precision, F1 at the threshold 0.5 (a logit of 0.3 is "negative")
# and calibration. Networks that are unsure, as with few labels, have most logits there. A sigmoid before the update is
# the remedy.
#
# Seen, 2000 outputs, scikit-learn 0.856:
#   batch size                 1       2       4       2000
#   BinaryAUROC                0.789   0.822   0.850   0.856
#   BinaryAveragePrecision     0.773   0.812   0.848   0.859
#   BinaryF1Score              0.764   0.773   0.778   0.780
#   BinaryCalibrationError     0.106   0.121   0.134   0.139
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.15.0 scikit-learn==1.9.1 scipy==1.17.1 \
    numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinaryCalibrationError, BinaryF1Score

COUNT = 2000
generator = torch.Generator().manual_seed(0)
sick = torch.randint(0, 2, (COUNT,), generator=generator)
logits = sick + 0.7 * torch.randn(COUNT, generator=generator)
right = roc_auc_score(sick, logits)
print(f"scikit-learn: {right:.4f}")


def score(metric, outputs, size):
    for start in range(0, COUNT, size):
        metric.update(outputs[start:][:size], sick[start:][:size])
    return float(metric.compute())


for kind in (BinaryAUROC, BinaryAveragePrecision, BinaryF1Score, BinaryCalibrationError):
    found = {size: score(kind(), logits, size) for size in (1, 2, 4, COUNT)}
    safe = {size: score(kind(), logits.sigmoid(), size) for size in found}
    print(kind.__name__, {size: round(value, 4) for size, value in found.items()}, "after a sigmoid", safe[1])
    assert max(safe.values()) - min(safe.values()) < 1e-4
    assert abs(found[COUNT] - safe[COUNT]) < 1e-4
    assert abs(found[1] - found[COUNT]) > 0.01
    if kind is BinaryAUROC:
        assert abs(found[COUNT] - right) < 1e-3
        assert found[1] < right - 0.05
PYTHON
