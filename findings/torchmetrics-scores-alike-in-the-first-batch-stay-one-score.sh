#!/usr/bin/env bash
# Packages: torchmetrics 1.9.0, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# A MetricCollection saves work: members with the same counts share them. One takes it that they are told by what they
# count. They are told by the numbers that are in them after the first batch: what is equal there is one group for
# good, only one member of a group is updated from then on, and the others report its counts. Validation that is read
# by patient begins with a healthy one, where no threshold finds anything, and sensitivities at three thresholds
# become one; likewise accuracy with and without an ignored class if the first batch has none of that class. A group
# outlives `reset`, so every epoch is wrong, and the order of names decides whose value all get. No warning, and the
# same images in another order give the right values. `compute_groups=False` is the remedy.
#
# Seen, 400 images with a lesion and 100 without, batches of 50; sensitivity at 30, 50 and 70 %:
#   healthy ones first      0.955  0.955  0.955, in the second epoch as well
#   healthy ones last       0.955  0.823  0.490
#   compute_groups=False    0.955  0.823  0.490
# Accuracy with and without class 4, of which the first batch has none: 0.408 and 0.408; 0.408 and 0.446 is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryRecall, MulticlassAccuracy

random = np.random.default_rng(0)
BATCH, THRESHOLDS = 50, (0.3, 0.5, 0.7)
healthy = random.uniform(0, 0.2, size=100)
ill = random.beta(4, 1.8, size=400)
truth = torch.tensor([0] * 100 + [1] * 400)
predicted = torch.tensor(np.concatenate([healthy, ill]))


def thresholds(**options):
    return MetricCollection({f"at {t:.0%}": BinaryRecall(threshold=t) for t in THRESHOLDS}, **options)


def epoch(metrics, outputs, targets):
    metrics.reset()
    for start in range(0, len(targets), BATCH):
        metrics.update(outputs[start:][:BATCH], targets[start:][:BATCH])
    return [round(float(value), 4) for value in metrics.compute().values()]


right = [round(float(np.mean(ill > t)), 4) for t in THRESHOLDS]
metrics = thresholds()
first, second = epoch(metrics, predicted, truth), epoch(metrics, predicted, truth)
last = epoch(thresholds(), predicted.flip(0), truth.flip(0))
alone = epoch(thresholds(compute_groups=False), predicted, truth)
print("right", right, "| healthy first", first, second, "| healthy last", last, "| without groups", alone)
assert first == second == [right[0]] * 3
assert last == alone == right and len(set(right)) == 3

classes = torch.tensor(np.sort(random.integers(0, 5, size=500)))
found = torch.tensor(np.where(random.random(500) < 0.25, classes, random.integers(0, 4, size=500)))
hits = (classes == found).double()
wanted = [round(float(value), 4) for value in (hits.mean(), hits[classes != 4].mean())]
names = {name: MulticlassAccuracy(5, average="micro", ignore_index=i) for name, i in (("all", None), ("some", 4))}
seen = epoch(MetricCollection(names), found, classes)
print("accuracy with and without class 4, right", wanted, "| in one collection", seen)
assert seen == [wanted[0]] * 2 and abs(wanted[1] - wanted[0]) > 0.03
PYTHON
