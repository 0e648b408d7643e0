#!/usr/bin/env bash
# Packages: scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6; Python 3.11.
#
# `permutation_test_score` asks whether a cross-validated score could be chance. With several images of a patient, folds
# have to keep patients together, so one hands it the patients as `groups` and GroupKFold, as to every other function of
# that module. Here `groups` has a second effect: labels are shuffled within a patient only. A diagnosis is the same for
# all images of a patient, so no label ever moves, each "permutation" gives the true score, and p is 1 for a perfect
# classifier as for a useless one. If labels differ within a few patients, only these move, and what one learns from the
# others stays in the score of "chance". Shuffling labels by patient in a loop of one's own is the remedy.
# Leaving `groups` out and handing over ready folds is none: that shuffles images, and is too lax.
#
# Seen, 40 patients of 5 images, 39 permutations:
#   features of the disease           accuracy 0.93, p 1.000; labels shuffled by patient in a loop p 0.025
#   features without it               accuracy 0.49, p 1.000; loop p 0.125
#   ready folds instead of groups, features of the patient, no effect: p of 0.05 and less in 23 % of studies
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score, permutation_test_score

random = np.random.default_rng(0)
PATIENTS, IMAGES, ROUNDS = 40, 5, 39
patients = np.repeat(np.arange(PATIENTS), IMAGES)
diagnoses = np.arange(PATIENTS) % 2
labels = diagnoses[patients]
model, folds = LogisticRegression(), GroupKFold(5)


def features(effect, of_patient):
    """Features of images: of the disease, of the patient, of the image."""
    values = of_patient * random.normal(size=(PATIENTS, 3))[patients] + random.normal(size=(PATIENTS * IMAGES, 3))
    values[:, 0] += effect * labels
    return values


def by_groups(values):
    score, chance, p = permutation_test_score(
        model, values, labels, groups=patients, cv=folds, n_permutations=ROUNDS, random_state=0
    )
    return score, chance, p


def by_patient(values):
    score = cross_val_score(model, values, labels, groups=patients, cv=folds).mean()
    chance = [
        cross_val_score(model, values, random.permutation(diagnoses)[patients], groups=patients, cv=folds).mean()
        for _ in range(ROUNDS)
    ]
    return (1 + sum(value >= score for value in chance)) / (1 + ROUNDS)


for effect in (3, 0):
    values = features(effect, 0)
    score, chance, p = by_groups(values)
    loop = by_patient(values)
    print(f"effect {effect}: score {score:.2f}, by chance {chance.min():.2f} to {chance.max():.2f}, p {p}; {loop=}")
    assert p == 1 and np.allclose(chance, score)
    assert (loop <= 0.03) == (effect == 3)

ready = list(folds.split(labels, labels, patients))
small = []
for _ in range(30):
    p = permutation_test_score(model, features(0, 1), labels, cv=ready, n_permutations=19, random_state=0)[2]
    small.append(p <= 0.05)
print(f"ready folds, no effect: p of 0.05 and less in {np.mean(small):.0%} of studies")
assert np.mean(small) > 0.1
PYTHON
