#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, numpy 2.2.6; Python 3.11.
#
# `CenteredTransformInitializer` with MOMENTS puts one centre of mass on the other before a rigid registration, and is
# what one takes if the patient lies elsewhere in the two fields of view. In CT the mass is in Hounsfield units, and air
# is the heaviest thing there, with a negative sign: what is found is no centre of the body. As long as an image is
# negative on average, and nearly every CT is, the start is a shift in the opposite direction, away from the solution,
# the longer the more of the image is body. Nothing warns. With an optimiser that stays in the neighbourhood of its start
# the patients who lay differently end at a wrong position, those who lay alike do not. The same images with 1000 added
# start as they should.
#
# Seen, an elliptical body of 40 HU in air of -1000 HU that fills 37% or 55% of the image, and lies elsewhere in the
# second one; shift in mm of the initial transform:
#   body moved by      2      4      6
#   HU, 37%         -1.2   -2.5   -3.7
#   HU, 55%         -2.7   -5.5   -8.2
#   1000 added       2.0    4.0    6.0 (both)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import SimpleITK


def body(x, width, height, added):
    """An elliptical cylinder at x; 1 mm pixels."""
    _, rows, columns = np.mgrid[:20, :64, :64]
    inside = (rows - 32) ** 2 / height**2 + (columns - x) ** 2 / width**2 < 1
    return SimpleITK.GetImageFromArray(np.where(inside, 40.0, -1000.0).astype(np.float32) + added), inside.mean()


def start(width, height, added):
    shifts = []
    for moved in (2, 4, 6):
        (fixed, share), (moving, _) = body(32, width, height, added), body(32 + moved, width, height, added)
        transform = SimpleITK.CenteredTransformInitializer(
            fixed, moving, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.MOMENTS
        )
        shifts.append(transform.GetParameters()[3])  # along x: from a point of the fixed to one of the moving image
    print(f"body in {share:.0%}, {added} added, moved by 2, 4, 6: {[round(shift, 1) for shift in shifts]}")
    return np.array(shifts)


for width, height in ((24, 20), (26, 28)):
    assert np.abs(start(width, height, added=1000) - (2, 4, 6)).max() < 0.1
    assert (start(width, height, added=0) < (-1, -2, -3)).all()
PYTHON
