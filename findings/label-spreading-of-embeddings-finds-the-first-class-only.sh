#!/usr/bin/env bash
# Packages: scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6; Python 3.11.
#
# Few labels, many images and an embedding of each: what `LabelSpreading` and `LabelPropagation` of scikit-learn are
# for. Their default kernel is exp(−20 d²), in which 20 stands whatever the dimension. Embeddings of some hundred
# standardised dimensions are further apart than d² = 40, where the kernel is 0 in double precision, so no label reaches
# any other image. One would expect an error, or NaN. `transduction_` instead holds the first class for every image
# without a label: their distributions are all 0 and the largest of equal numbers is the first. `score` on a test set
# that is mostly of the first class (the healthy one) looks like that of a model; only `predict_proba` has NaN. There is
# no warning. kernel="knn" works.
#
# Seen, two classes well apart in 384 dimensions, 200 images and 5 labels each: both methods give the first class to all
# 390 images without a label, distributions of 0 and 0; kernel="knn": 98 and 99 % right, a linear model of the 10 labels
# 99.5 %. In 8 dimensions the default kernel is right for all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelPropagation, LabelSpreading


def few_labels(dimensions):
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 200)
    embeddings = random.normal(size=(400, dimensions))
    embeddings += np.where(truth[:, None] == 1, 4, -4) / dimensions**0.5
    labels = np.full(400, -1)
    labels[:5], labels[200:205] = 0, 1
    return embeddings, labels, truth


embeddings, labels, truth = few_labels(384)
unknown, known = labels == -1, labels >= 0
linear = LogisticRegression().fit(embeddings[known], labels[known]).score(embeddings[unknown], truth[unknown])
print(f"a linear model of the 10 labels is right for {linear:.3f}")
for method in (LabelSpreading, LabelPropagation):
    model = method().fit(embeddings, labels)
    found, distributions = model.transduction_[unknown], model.label_distributions_[unknown]
    print(method.__name__, f"rbf: {sum(found == 0)} of {len(found)} class 0, distributions up to {distributions.max()}")
    assert (found == 0).all() and (distributions == 0).all()
    right = (method(kernel="knn").fit(embeddings, labels).transduction_ == truth).mean()
    print(method.__name__, f"knn: right for {right:.3f}")
    assert right > 0.95
few, labels, truth = few_labels(8)
right = (LabelSpreading().fit(few, labels).transduction_ == truth)[labels == -1].mean()
print(f"8 dimensions, rbf: right for {right:.3f}")
assert right > 0.9 and linear > 0.8
PYTHON
