#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, numpy 2.2.6; Python 3.11.
#
# Masks of several raters are fused with `SimpleITK.LabelVoting` or `SimpleITK.MultiLabelSTAPLE`. Both return a class of
# their own where the vote is undecided: the highest class + 1. With three raters that is rare, with two and LabelVoting
# it is every pixel on which they differ. So fusing two masks of background, liver and tumour (0, 1, 2) has a class 3,
# which a loss over three classes rejects at best and which rounding or clipping turns into tumour., a rim around each
# structure. `labelForUndecidedPixels` sets another value, the same for all such pixels.
#
# Seen: raters 0 1 1 2 0 and 0 1 2 2 1: LabelVoting gives 0 1 3 2 3, with labelForUndecidedPixels=0 0 1 0 2 0;
# MultiLabelSTAPLE gives 0 1 0 2 3. Masks of one class, 0 1 and 1 1: LabelVoting gives 2 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import SimpleITK


def fused(fusion, *raters, undecided=()):
    masks = [SimpleITK.GetImageFromArray(np.array([rater], dtype=np.uint8)) for rater in raters]
    result = SimpleITK.GetArrayFromImage(fusion(masks, *undecided))[0].tolist()
    print(fusion.__name__, undecided, *raters, "gives", result)
    return result


first, second = [0, 1, 1, 2, 0], [0, 1, 2, 2, 1]
assert fused(SimpleITK.LabelVoting, first, second) == [0, 1, 3, 2, 3]
assert fused(SimpleITK.MultiLabelSTAPLE, first, second) == [0, 1, 0, 2, 3]
assert fused(SimpleITK.LabelVoting, [0, 1], [1, 1]) == [2, 1]
assert fused(SimpleITK.LabelVoting, first, second, first) == first
assert fused(SimpleITK.LabelVoting, first, second, undecided=[0]) == [0, 1, 0, 2, 0]
PYTHON
