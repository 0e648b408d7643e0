#!/usr/bin/env bash
# Packages: segmentation-models-pytorch 0.6.0, torch 2.15.0; Python 3.11, CPU.
#
# Focal loss is cross-entropy times (1 − p)^γ, so with γ = 0 it is cross-entropy. `smp.losses.FocalLoss("multiclass")`
# is not: it takes a sigmoid of each class's logit, not the softmax over classes, and averages one binary loss per
# class, though it expects one class for each pixel. The probabilities that a network is asked with (softmax) are then
# not those that were fitted. A constant added to all logits, which changes no prediction, changes the loss; the loss of
# a class that is found with certainty depends on how many other classes there are. Settings from papers (γ = 2, α) mean
# something else, and calibration measured on the softmax is off.
#
# Seen: four classes, γ = 0: cross-entropy 1.7333, smp 0.8265, equal to the mean binary cross-entropy; all logits + 5:
# cross-entropy 1.7333, smp 3.8099.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet segmentation-models-pytorch==0.6.0 torch==2.15.0
"$work/venv/bin/python" - <<'PYTHON'
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

torch.manual_seed(0)
logits = torch.randn(2, 4, 8, 8)
classes = torch.randint(0, 4, (2, 8, 8))
focal = smp.losses.FocalLoss("multiclass", gamma=0.0)
one_hot = F.one_hot(classes, 4).permute(0, 3, 1, 2).float()
for shift in (0, 5):
    loss, entropy = focal(logits + shift, classes), F.cross_entropy(logits + shift, classes)
    binary = F.binary_cross_entropy_with_logits(logits + shift, one_hot)
    print(f"logits + {shift}: smp {loss:.4f}, cross-entropy {entropy:.4f}, binary cross-entropy by class {binary:.4f}")
    assert torch.isclose(loss, binary, atol=1e-5)
    assert abs(loss - entropy) > 0.5
assert torch.isclose(F.cross_entropy(logits, classes), F.cross_entropy(logits + 5, classes), atol=1e-5)
PYTHON
