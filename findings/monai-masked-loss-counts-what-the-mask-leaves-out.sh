#!/usr/bin/env bash
# Packages: monai 1.6.1, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# `monai.losses.MaskedLoss` wraps a loss for images of which only a part is annotated; one expects what is outside the
# mask to have no share in it. It multiplies logits and truth by the mask and calls the loss. A logit of 0 is not "no
# opinion": its probability is a half, or one over the number of classes, so every pixel left out enters binary
# cross-entropy with ln 2, and a Dice loss with softmax or sigmoid as half a false positive. The loss of a perfect
# prediction is then set by the share that is not annotated, sparsely annotated images look worst, and in the Dice terms
# the gradient of the annotated pixels shrinks too. `MaskedDiceLoss` of the same package masks the probabilities and is
# right.
#
# Seen, a perfect prediction (logits ± 20), 64 × 64 pixels, of which the given part is annotated:
#                               all     32 × 32   16 × 16
#   MaskedLoss, cross-entropy   0.000    0.520     0.650
#   MaskedLoss, Dice            0.000    0.658     0.789
#   MaskedDiceLoss              0.000    0.000     0.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet monai==1.6.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import math

import torch
from monai.losses import DiceLoss, MaskedDiceLoss, MaskedLoss

truth = torch.zeros(1, 1, 64, 64)
truth[..., 20:40, 20:40] = 1
logits = 40 * truth - 20
for side in (64, 32, 16):
    mask = torch.zeros_like(truth)
    mask[..., 30 - side // 2 : 30 + side // 2, 30 - side // 2 : 30 + side // 2] = 1
    if side == 64:
        mask[:] = 1
    left_out = 1 - mask.mean().item()
    entropy = MaskedLoss(torch.nn.BCEWithLogitsLoss)(logits, truth, mask).item()
    dice = MaskedLoss(DiceLoss, sigmoid=True)(logits, truth, mask).item()
    right = MaskedDiceLoss(sigmoid=True)(logits, truth, mask).item()
    print(f"{side} × {side} annotated: cross-entropy {entropy:.3f}, Dice {dice:.3f}, MaskedDiceLoss {right:.3f}")
    assert math.isclose(entropy, math.log(2) * left_out, abs_tol=1e-3)
    assert right < 0.001 and (dice > 0.5) == (side < 64), (right, dice)
PYTHON
