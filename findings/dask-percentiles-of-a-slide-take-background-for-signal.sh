#!/usr/bin/env bash
# Packages: dask 2026.8.0, numpy 2.2.6; Python 3.11.
#
# Intensities are normalised between percentiles, e.g. 1 and 99.8, and of slides and volumes that do not fit into
# memory (zarr, OME-TIFF) by `dask.array.percentile`, which calls itself approximate. One expects an error of a fraction
# of a percent, since only the joining of chunks is approximate. Of each chunk it keeps the lowest and highest value and
# the percentiles asked for, and joins these. Where a few chunks hold all the signal, as with cells on a dark slide or
# tissue in air, the joined value may be on the other side of the gap: the 90th percentile, which is background, has the
# brightness of nuclei, so a normalised or thresholded slide loses them. The result depends on the size of the chunks
# and on which other percentiles are asked for in the call. Nothing warns. Exact percentiles of every eighth pixel
# (`image[::8, ::8]`) are closer by far.
#
# Seen, 2000 × 2000 pixels, background 100 ± 5, 3 % nuclei of 1500 ± 300 in one region; by sides of the chunks:
#   percentile   numpy   2000   1000    500    200   200, with five others   every 8th pixel
#   50             100    100    100    101    101                     101               100
#   90             107    107    109    955   1372                       -               107
#   95             110    110   1210   1630   1633                    1630               110
#   98            1371   1371   1630   1833   1839                    1633              1377
#   99.8          1948   1948   2051   2163   2184                    1964              1953
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet "dask[array]==2026.8.0" numpy==2.2.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import dask.array
import numpy as np

rng = np.random.default_rng(0)
image = rng.normal(100, 5, (2000, 2000)).astype(np.float32)
image[300:700, 200:500] = rng.normal(1500, 300, (400, 300))
PERCENTILES = (50, 90, 95, 98, 99.8)


def by_dask(side, percentiles):
    chunks = dask.array.from_array(image, chunks=(side, side)).ravel()
    return dask.array.percentile(chunks, percentiles).compute()


true = np.percentile(image, PERCENTILES)
one_by_one = {side: np.ravel([by_dask(side, [q]) for q in PERCENTILES]) for side in (2000, 1000, 500, 200)}
together = by_dask(200, [1, 50, 95, 98, 99, 99.8])[[1, 2, 3, 5]]
thinned = np.percentile(image[::8, ::8], PERCENTILES)
print("numpy", true.round())
for side, values in one_by_one.items():
    print(f"dask, chunks of {side}", values.round())
print("dask, chunks of 200, 1, 50, 95, 98, 99 and 99.8 together: 50, 95, 98 and 99.8 are", together.round())
print("every 8th pixel", thinned.round())

assert np.allclose(one_by_one[2000], true, rtol=1e-3)
assert true[1] < 110 < 900 < one_by_one[500][1] and one_by_one[200][1] > 1200
assert true[2] < 120 and one_by_one[1000][2] > 1000
assert one_by_one[200][4] > true[4] + 150
assert abs(together[2] - one_by_one[200][3]) > 100
assert np.allclose(thinned, true, rtol=0.1)
PYTHON
