#!/usr/bin/env bash
# Packages: scipy 1.17.1, statsmodels 0.15.0, numpy 2.2.6; Python 3.11.
#
# Two models are compared class by class on the same images, e.g. by Dice, with a test for each class and a correction
# for their number. On a class that both miss everywhere, or both find fully, the scores are equal.
# `scipy.stats.wilcoxon` then has p = 1 for up to 13 images, as an exact test must, and NaN for 14 and more, where it
# changes to another method. In `statsmodels.stats.multitest.multipletests` one NaN reaches the other classes: with
# Benjamini-Hochberg ("fdr_bh") all corrected p-values are NaN while `reject` of the same call is True for some, so
# table and asterisks contradict each other; Hommel rejects nothing at all. Holm and Bonferroni keep theirs, with the
# NaN counted as a test. Setting NaN to 1 first is the remedy. The same code thus works on a pilot of a dozen images and
# fails on the study.
#
# Seen: p of equal scores: 13 images 1.0, 14 images NaN. Corrected p-values of 0.000001, 0.0001, NaN, 0.3 with fdr_bh:
# four times NaN, reject True True False False; with 1 for NaN: 0.000004 0.0002 1 0.4, the same rejected; Hommel: four
# times NaN, none rejected.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scipy==1.17.1 statsmodels==0.15.0 numpy==2.2.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

for images, expected in ((5, 1.0), (13, 1.0), (14, np.nan), (200, np.nan)):
    dice = np.random.default_rng(0).random(images)
    p = wilcoxon(dice, dice).pvalue
    print(f"{images} images of equal scores: p = {p}")
    assert np.array_equal(p, expected, equal_nan=True)


def corrected(third, method):
    reject, values, *_ = multipletests([1e-6, 1e-4, third, 0.3], method=method)
    print(f"{method}, third p-value {third}: corrected {values}, rejected {reject}")
    return values, reject.tolist()


values, reject = corrected(np.nan, "fdr_bh")
assert np.isnan(values).all() and reject == [True, True, False, False]
values, reject = corrected(1.0, "fdr_bh")
assert np.allclose(values, [4e-6, 2e-4, 1, 0.4]) and reject == [True, True, False, False]
values, reject = corrected(np.nan, "hommel")
assert np.isnan(values).all() and reject == [False] * 4
assert corrected(1.0, "hommel")[1] == [True, True, False, False]
values, reject = corrected(np.nan, "holm")
assert np.allclose(values, [4e-6, 3e-4, np.nan, 0.6], equal_nan=True) and reject == [True, True, False, False]
PYTHON
