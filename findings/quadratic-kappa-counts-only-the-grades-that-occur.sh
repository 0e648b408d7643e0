#!/usr/bin/env bash
# Packages: scikit-learn 1.9.1, scipy 1.17.1, statsmodels 0.15.0, numpy 2.4.6; Python 3.11.
#
# Agreement on grades (Gleason groups, retinopathy 0 to 4, BI-RADS) is given as kappa with quadratic weights: a
# disagreement of two grades weighs four times one of one grade. `sklearn.metrics.cohen_kappa_score` takes grades as
# numbers, but weighs by their ranks among those that occur in the two lists, so in a sample without grades 2 and 3 the
# grades 1 and 4 are neighbours. A rare grade that happens to be missing in a small hospital, a fold or a bootstrap
# sample changes the weight of all other pairs. Kappas of subgroups are then on different scales, mostly too high, and a
# bootstrap mixes scales. `labels=range(5)` is the remedy; that the default is the labels that occur is documented, what
# it does to the weights is not.
#
# Seen, 60 images, two readers who agree on 6 of grade 0 and 50 of grade 1, and call 4 others 1 and 4: kappa 0.74; with
# all five grades, by hand and by statsmodels 0.27. With one image more that both call 2: 0.48, right is 0.30; with one
# more that both call 3, so that no grade is missing: 0.39 and 0.39.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 numpy==2.4.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

GRADES = 5


def by_hand(table):
    grade = np.arange(GRADES)
    distance = np.subtract.outer(grade, grade) ** 2
    chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return 1 - (distance * table).sum() / (distance * chance).sum()


def kappas(pairs):
    first, second = np.repeat([pair[:2] for pair in pairs], [pair[2] for pair in pairs], axis=0).T
    table = np.zeros((GRADES, GRADES))
    np.add.at(table, (first, second), 1)
    default = cohen_kappa_score(first, second, weights="quadratic")
    right = by_hand(table)
    print(f"(reader 1, reader 2, images) {pairs}: scikit-learn {default:.2f}, right {right:.2f}")
    assert np.isclose(cohen_kappa_score(first, second, weights="quadratic", labels=range(GRADES)), right)
    assert np.isclose(cohens_kappa(table, wt="quadratic").kappa, right)
    return default, right


pairs = [(0, 0, 6), (1, 1, 50), (1, 4, 4)]
default, right = kappas(pairs)
assert default > 0.7 and right < 0.3
one_more, right = kappas([*pairs, (2, 2, 1)])
assert 0.4 < one_more < 0.6 and right < 0.3
one_more, right = kappas([*pairs, (2, 2, 1), (3, 3, 1)])
assert np.isclose(one_more, right)
PYTHON
