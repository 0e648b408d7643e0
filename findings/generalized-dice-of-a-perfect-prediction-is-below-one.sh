#!/usr/bin/env bash
# Packages: torchmetrics 1.9.0, torch 2.15.0; Python 3.11, CPU.
#
# Scores of a class that few images show. torchmetrics has three segmentation metrics with values for each class, and an
# image without the class, predicted rightly as without it, means something else in each: DiceScore and MeanIoU leave it
# out, while GeneralizedDiceScore(per_class=True) counts it as 0. So a prediction that equals the truth in every pixel has
# a generalized Dice of 0.25 for a class that one image of four shows, whichever `weight_type` is set, and the same metric
# without `per_class` calls the same prediction perfect. The rarer a class, the lower its score, whatever the network does.
#
# Seen, for truth = prediction in four images, class 2 in the first only:
#   GeneralizedDiceScore per class  1.00 1.00 0.25      over all classes  1.00
#   DiceScore, MeanIoU per class    1.00 1.00 1.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.15.0
cat > "$work/scores.py" <<'PYTHON'
import torch
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

truth = torch.zeros(4, 8, 8, dtype=torch.long)
truth[:, :4] = 1
truth[0, 4:6] = 2
same = {"num_classes": 3, "input_format": "index"}

scores = {
    "generalized Dice": GeneralizedDiceScore(per_class=True, **same)(truth, truth).tolist(),
    "Dice": DiceScore(average="none", **same)(truth, truth).tolist(),
    "IoU": MeanIoU(per_class=True, **same)(truth, truth).tolist(),
}
for name, values in scores.items():
    print(f"{name:17}", values)
over_all = float(GeneralizedDiceScore(**same)(truth, truth))
print("generalized Dice over all classes:", over_all)
assert scores["generalized Dice"] == [1.0, 1.0, 0.25], scores
for weights in ("square", "simple", "linear"):
    assert GeneralizedDiceScore(per_class=True, weight_type=weights, **same)(truth, truth).tolist() == [1.0, 1.0, 0.25]
assert scores["Dice"] == scores["IoU"] == [1.0, 1.0, 1.0], scores
assert over_all == 1.0, over_all
PYTHON
"$work/venv/bin/python" "$work/scores.py"
