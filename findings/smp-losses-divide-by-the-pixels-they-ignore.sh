#!/usr/bin/env bash
# Packages: segmentation-models-pytorch 0.6.0, torch 2.15.0; Python 3.11, CPU.
#
# With scribbles or partly annotated slides most pixels have no label and are set to `ignore_index`. PyTorch's
# cross-entropy averages over the pixels that have one. `SoftCrossEntropyLoss` and `SoftBCEWithLogitsLoss` of
# segmentation-models-pytorch set the loss of ignored pixels to 0 and then average over all, so the loss, and its
# gradient, shrink with the share that is annotated (64 times where an eighth of each side is). That acts as a lower
# learning rate, tips the balance with every other term (a Dice loss beside it, weight decay), weighs images with many
# scribbles more than those with few, and makes losses of a sparsely and a fully annotated set incomparable. FocalLoss
# of the same package leaves ignored pixels out.
#
# Seen, random logits, 64 × 64 pixels of which 8 × 8 are annotated: cross-entropy 1.45, SoftCrossEntropyLoss 0.0226;
# binary cross-entropy 0.75, SoftBCEWithLogitsLoss 0.0117: both 1/64. All annotated: equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet segmentation-models-pytorch==0.6.0 torch==2.15.0
"$work/venv/bin/python" - <<'PYTHON'
import torch
from segmentation_models_pytorch.losses import FocalLoss, SoftBCEWithLogitsLoss, SoftCrossEntropyLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

generator = torch.Generator().manual_seed(0)
logits = torch.randn(1, 3, 64, 64, generator=generator)
classes = torch.randint(0, 3, (1, 64, 64), generator=generator)
for side in (64, 32, 8):
    truth = torch.full_like(classes, -100)
    truth[:, :side, :side] = classes[:, :side, :side]
    known = truth >= 0
    share = known.float().mean()
    multiclass = SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=-100)(logits, truth)
    right = cross_entropy(logits, truth, ignore_index=-100)
    print(f"{side} × {side} annotated: cross-entropy {right:.4f}, SoftCrossEntropyLoss {multiclass:.4f}")
    assert torch.isclose(multiclass, right * share, rtol=1e-4)

    binary, target = logits[:, 0], torch.where(known, truth.clamp(max=1), -100).float()
    found = SoftBCEWithLogitsLoss(ignore_index=-100)(binary, target)
    right = binary_cross_entropy_with_logits(binary[known], target[known])
    print(f"    binary cross-entropy {right:.4f}, SoftBCEWithLogitsLoss {found:.4f}")
    assert torch.isclose(found, right * share, rtol=1e-4)

    focal = FocalLoss("binary", gamma=0.0, ignore_index=-100)(binary, target)
    assert torch.isclose(focal, right, rtol=1e-3)
PYTHON
