#!/usr/bin/env bash
# Packages: MedPy 0.5.2, surface-distance-based-measures 0.1, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# Masks of single slices (ultrasound, dermoscopy, one slice of a cine) are often saved as volumes of one slice, as
# NIfTI asks for, and an axis of length one changes no Dice. One expects it to change no distance either. In three
# dimensions the surface of such a mask has an upper and a lower face, outside the volume is background, and all its
# pixels are surface. The pixels that both masks share have the distance 0 and outnumber those of the outline, so
# average distances, the 95th percentile and the surface Dice all improve, the more so the larger the organ, and look
# like those of a good network; only the maximum stays. Volumes of few slices, which end where the organ goes on, are
# affected likewise, by the two slices at the ends. Dropping axes of length one first is the remedy.
#
# Seen, a disc of a radius of 20 predicted five pixels beside its place, as (100, 100), as (1, 100, 100), and as ten
# equal slices of a thickness of 5:
#                                              slice   volume of it   ten slices
#   MedPy, average surface distance             3.00           0.38         1.07
#   MedPy, 95th percentile                      5.00           3.00         4.47
#   surface-distance, average                   2.83           0.31         2.05
#   surface-distance, surface Dice at 2         0.34           0.93         0.53
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet MedPy==0.5.2 surface-distance-based-measures==0.1 \
    scipy==1.17.1 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import surface_distance
from medpy.metric import assd, dc, hd, hd95

y, x = np.mgrid[:100, :100]
truth, predicted = ((x - column) ** 2 + (y - 50) ** 2 <= 20**2 for column in (50, 55))


def scores(first, second, spacing):
    surfaces = surface_distance.compute_surface_distances(first, second, spacing)
    values = (
        assd(first, second, spacing),
        hd95(first, second, spacing),
        np.mean(surface_distance.compute_average_surface_distance(surfaces)),
        surface_distance.compute_surface_dice_at_tolerance(surfaces, 2),
    )
    assert dc(first, second) == dc(truth, predicted)
    assert hd(first, second, spacing) == surface_distance.compute_robust_hausdorff(surfaces, 100) == 5
    print(first.shape, "average, 95th percentile; average, surface Dice:", *(f"{value:.3f}" for value in values))
    return values


ten = [np.repeat(mask[None], 10, axis=0) for mask in (truth, predicted)]
flat = scores(truth, predicted, (1, 1))
volume = scores(truth[None], predicted[None], (1, 1, 1))
slices = scores(*ten, (5, 1, 1))
assert np.allclose(flat, (2.996, 5, 2.833, 0.344), atol=0.001)
assert np.allclose(volume, (0.383, 3, 0.315, 0.932), atol=0.001)
assert np.allclose(slices, (1.070, 4.472, 2.050, 0.526), atol=0.001)
PYTHON
