#!/usr/bin/env bash
# Packages: empatches 0.2.3, numpy 2.2.6; Python 3.11.
#
# Large images are predicted patch by patch with overlap, and where patches overlap their predictions are averaged, so
# that seams vanish. EMPatches extracts the patches and merges predictions with mode="avg". That is the mean of two
# where two overlap. In the corners, where four do, each patch is averaged with the average so far: the last one in
# order counts half, the first two an eighth each, so the lower right patch decides everywhere, and with more overlap
# it is worse. mode="max" starts from an image of zeros: of logits, negative where there is no lesion, all background is
# 0, a probability of one half after the sigmoid. Predictions of constant probability, with which one tests, are right
# in both.
#
# Seen, patches of 32 with an overlap of one half, patch n predicts n (0, 1, 3 and 4 overlap at (20, 20)): merged 3.0,
# their mean is 2.0; largest difference in the image 1.5, with an overlap of three quarters (up to 16 patches) 7.9. All
# patches −1: mode="max" 0, mode="min" −1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet empatches==0.2.3 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from empatches import EMPatches

library = EMPatches()


def merge(overlap, predict, mode):
    """The merged image and the mean over patches."""
    patches, places = library.extract_patches(np.zeros((64, 64), dtype=np.float32), patchsize=32, overlap=overlap)
    predictions = [np.full_like(patch, predict(n)) for n, patch in enumerate(patches)]
    total, count = np.zeros((64, 64)), np.zeros((64, 64))
    for prediction, (top, bottom, left, right) in zip(predictions, places, strict=True):
        total[top:bottom, left:right] += prediction
        count[top:bottom, left:right] += 1
    return library.merge_patches(predictions, places, mode=mode), total / count, count.max()


merged, mean, most = merge(0.5, lambda n: n, "avg")
print(f"half, up to {most:.0f} patches: at (20, 20) {merged[20, 20]}, mean {mean[20, 20]}")
print(f"largest difference {abs(merged - mean).max()}")
assert (merged[20, 20], mean[20, 20], most) == (3, 2, 4)
further, further_mean, most = merge(0.75, lambda n: n, "avg")
print(f"three quarters, up to {most:.0f} patches: largest difference {abs(further - further_mean).max()}")
assert abs(further - further_mean).max() > 5
constant, _, _ = merge(0.5, lambda _: 0.7, "avg")
assert np.allclose(constant, 0.7)
highest, _, _ = merge(0.5, lambda _: -1, "max")
lowest, _, _ = merge(0.5, lambda _: -1, "min")
print("all patches −1: max", np.unique(highest), "min", np.unique(lowest))
assert (highest == 0).all()
PYTHON
