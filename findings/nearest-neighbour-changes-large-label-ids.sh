#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, scipy 1.17.1, numpy 2.2.6; Python 3.11.
#
# Nearest-neighbour resampling copies labels and never makes one, so it is what one uses for masks of instances. In
# SimpleITK and scipy the labels pass through floating-point numbers of 64 bits on the way, though type in and type out
# are integers of 64 bits. Up to 2⁵³ that shows nowhere; segments of electron-microscopy volumes have ids of about 7 ·
# 10¹⁷ (their high bits hold the place), where such numbers are 128 apart: neighbouring segments merge under an id that
# none had. Even a resampling that does nothing (identity, same grid) does it, and so does `Expand` by whole factors.
# Writing and reading such masks is exact.
#
# Seen: 1000 segments of consecutive ids from 720575940628857210: 9 are left after SimpleITK.Resample by the identity,
# SimpleITK.Expand and scipy.ndimage.zoom (order 0); all 1000 after a .nrrd file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 scipy==1.17.1 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy.ndimage
import SimpleITK

mask = (np.arange(1000, dtype=np.uint64) + np.uint64(720575940628857210)).reshape(25, 40)
image = SimpleITK.GetImageFromArray(mask)
SimpleITK.WriteImage(image, "mask.nrrd")
results = {
    "Resample": SimpleITK.Resample(image, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor),
    "Expand": SimpleITK.Expand(image, [2, 2], SimpleITK.sitkNearestNeighbor),
    "file": SimpleITK.ReadImage("mask.nrrd"),
}
results = {name: SimpleITK.GetArrayFromImage(result) for name, result in results.items()}
results["zoom"] = scipy.ndimage.zoom(mask, 2, order=0)
assert all(result.dtype == np.uint64 for result in results.values())
left = {name: len(np.unique(result)) for name, result in results.items()}
print("segments left of 1000:", left)
assert left == {"Resample": 9, "Expand": 9, "file": 1000, "zoom": 9}, left
assert np.array_equal(results["file"], mask)
small = mask - mask.min()
assert np.array_equal(np.unique(scipy.ndimage.zoom(small, 2, order=0)), np.unique(small))
PYTHON
