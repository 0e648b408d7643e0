#!/usr/bin/env bash
# Packages: MedPy 0.5.2, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# Beside Dice and surface distances MedPy scores lesions as objects: `obj_tpr` is the share of the true lesions that
# were found, `obj_fpr` the share of the predicted ones that are false; prediction first, truth second, as in all of
# its metrics, and the documentation says that a perfect `obj_tpr` means that all true lesions were found. It is the
# other way round: `obj_tpr` divides by the predicted lesions, so it is the precision, and `obj_fpr` is the share of
# the true lesions that were missed. A network that finds one lesion of three has a perfect true-positive rate, one
# that adds two to the only one has no false positives, and a choice of threshold by either goes the wrong way. As
# long as both masks have the same number of lesions nothing shows. Handing over the truth first is the remedy.
#
# Seen, lesions predicted / true / both:    1 / 3 / 1    3 / 1 / 1    4 / 2 / 2    2 / 2 / 1
#   obj_tpr                                 1.00         0.33         0.50         0.50
#   share of the true lesions found         0.33         1.00         1.00         0.50
#   obj_fpr                                 0.67         0.00         0.00         0.50
#   share of the predicted that is false    0.00         0.67         0.50         0.50
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet MedPy==0.5.2 scipy==1.17.1 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from medpy.metric import obj_fpr, obj_tpr


def lesions(places):
    mask = np.zeros((20, 60), dtype=bool)
    for place in places:
        mask[5:10, 10 * place + 2 : 10 * place + 7] = True
    return mask


for predicted, true in (({0}, {0, 1, 2}), ({0, 1, 2}, {0}), ({0, 1, 2, 3}, {0, 1}), ({0, 1}, {0, 2})):
    both = len(predicted & true)
    found, false = both / len(true), 1 - both / len(predicted)
    precision, missed = both / len(predicted), 1 - found
    rates = obj_tpr(lesions(predicted), lesions(true)), obj_fpr(lesions(predicted), lesions(true))
    print(f"{len(predicted)} / {len(true)} / {both}: obj_tpr {rates[0]:.2f}, found {found:.2f};", end=" ")
    print(f"obj_fpr {rates[1]:.2f}, false {false:.2f}")
    assert np.allclose(rates, (precision, missed))
    exchanged = obj_tpr(lesions(true), lesions(predicted)), obj_fpr(lesions(true), lesions(predicted))
    assert np.allclose(exchanged, (found, false))
PYTHON
