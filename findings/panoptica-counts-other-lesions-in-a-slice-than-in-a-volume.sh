#!/usr/bin/env bash
# Packages: panoptica 2.1.7, numpy 2.2.6; Python 3.11.
#
# Scores of lesions as objects (panoptic quality, lesion-wise F1) begin with splitting a mask into connected components.
# panoptica does that with scipy for two dimensions and with cc3d for three, as its documentation says. What it does not
# say is that the two mean something else by "connected": scipy joins pixels that share an edge, cc3d also those that
# touch at a corner. So the same mask as a slice and as a volume of one slice has different numbers of lesions, a thin
# oblique structure falls into single pixels in 2D only, and missing one of two touching lesions is an error in 2D and
# none in 3D. Scores of slices and of volumes are not comparable, nor either with a tool that has one rule. Passing
# `cca_backend` fixes the rule.
#
# Seen, a diagonal line of 6 pixels and two squares of 3 × 3 that touch at a corner: 8 lesions as (20, 20), 2 as (1, 20,
# 20); with the second square missing in the prediction 7 of 8 are found, recognition quality 0.93, or 2 of 2, 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet panoptica==2.1.7 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from panoptica import ConnectedComponentsInstanceApproximator, InputType, NaiveThresholdMatching, Panoptica_Evaluator
from panoptica.utils.constants import CCABackend

truth = np.zeros((20, 20), dtype=np.uint8)
truth[range(2, 8), range(2, 8)] = 1
truth[12:15, 12:15] = truth[15:18, 15:18] = 1
prediction = truth.copy()
prediction[15:18, 15:18] = 0


def score(predicted, true, backend=None):
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(cca_backend=backend),
        instance_matcher=NaiveThresholdMatching(),
    )
    result = evaluator.evaluate(predicted, true, verbose=False)["ungrouped"]
    print(f"{true.shape}, {backend}: {result.tp} of {result.n_ref_instances} lesions found, quality {result.rq:.2f}")
    return int(result.tp), int(result.n_ref_instances), round(float(result.rq), 2)


assert score(prediction, truth) == (7, 8, 0.93)
assert score(prediction[None], truth[None]) == (2, 2, 1.0)
for backend in CCABackend:
    assert score(prediction, truth, backend) == score(prediction[None], truth[None], backend)
PYTHON
