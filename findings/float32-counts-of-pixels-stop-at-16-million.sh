#!/usr/bin/env bash
# Packages: torch 2.15.0, torchmetrics 1.9.0, numpy 2.4.6; Python 3.11, CPU.
#
# Counts of pixels are whole numbers, so one does not think of rounding. But `torch.histc`, with which much segmentation
# code counts intersection and union of classes, `torch.histogram`, and `torch.bincount` with weights add 1 to a float32
# for each pixel, and 2²⁴ + 1 does not exist in float32: at 16 777 216 a count stays where it is, however many follow.
# (histc and histogram have such a count in each thread and add these up, so the result depends on the number of
# threads.) A CT of 512 × 512 × 64 voxels has as many, a whole slide hundreds of times more, and the background reaches
# them first. `torch.bincount` without weights is exact. torchmetrics' calibration error adds up bins in the same way,
# so with all pixels of a test set it depends on how many there are. Counting images or slices one by one in float64 or
# int64 is the remedy.
#
# Seen, 40 million pixels, 1000 of them of class 1, one thread: histc, histogram and weighted bincount count 16 777 216
# of class 0, bincount 39 999 000. IoU of the background for a prediction that misses a quarter of it: 0.75, by histc
# 1.00. BinaryCalibrationError, each pixel with p = 0.01 and 5 % positive, which is an error of 0.040: 0.041 for 10
# million pixels, 0.047 for 20, 0.104 for 40.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torch==2.15.0 torchmetrics==1.9.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics.functional.classification import binary_calibration_error

PIXELS, LIMIT = 40_000_000, 2**24

torch.set_num_threads(1)
truth = torch.zeros(PIXELS)
truth[-1000:] = 1
for name, counts in {
    "bincount": torch.bincount(truth.long()),
    "bincount with weights": torch.bincount(truth.long(), weights=torch.ones(PIXELS)),
    "histc": torch.histc(truth, bins=2, min=0, max=1),
    "histogram": torch.histogram(truth, bins=2, range=(0.0, 1.0)).hist,
}.items():
    print(f"{name}: {[int(count) for count in counts]}")
    assert [int(count) for count in counts] == [PIXELS - 1000 if name == "bincount" else LIMIT, 1000]

predicted = truth.clone()
predicted[: PIXELS // 4] = 1
both = torch.histc(truth[truth == predicted], bins=2, min=0, max=1)
one, other = (torch.histc(mask, bins=2, min=0, max=1) for mask in (truth, predicted))
by_histc = (both / (one + other - both))[0].item()
right = (((truth == 0) & (predicted == 0)).sum() / ((truth == 0) | (predicted == 0)).sum()).item()
print(f"IoU of the background: {by_histc:.3f}, right is {right:.3f}")
assert by_histc == 1 and abs(right - 0.75) < 0.001
del predicted, both, one, other

positive = torch.rand(PIXELS, generator=torch.Generator().manual_seed(0)) < 0.05
for pixels in (10_000_000, 20_000_000, PIXELS):
    target = positive[:pixels].long()
    error = binary_calibration_error(torch.full((pixels,), 0.01), target, n_bins=15).item()
    right = target.double().mean().item() - 0.01
    print(f"calibration error of {pixels} pixels: {error:.4f}, right is {right:.4f}")
    assert (abs(error - right) < 0.002) == (pixels == 10_000_000) or pixels == 20_000_000
PYTHON
