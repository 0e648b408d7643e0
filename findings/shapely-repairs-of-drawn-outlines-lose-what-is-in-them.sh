#!/usr/bin/env bash
# Packages: shapely 2.2.0, numpy 2.4.6; Python 3.11.
#
# Outlines that were drawn by hand cross themselves, so code that reads annotations of slides repairs them, by
# `buffer(0)` or by shapely's `make_valid`, and both give a valid polygon. One takes it that either is right but for
# specks. `make_valid` fills by the even-odd rule: whoever goes round a lesion a bit more than once gets a hole where the
# stroke covers the lesion twice. `buffer(0)` keeps that part, but drops every loop that turns the other way, as the
# second half of an outline that crosses in the middle. Each is right for the other's case. The area of the outline as
# it is drawn fits neither: what is covered twice counts twice, and loops that turn the other way are subtracted.
# `make_valid(..., method="structure")` keeps all that the outline surrounds in both cases and is the remedy.
#
# Seen, areas; "right" is all that the line surrounds:
#                            right   as drawn   make_valid   buffer(0)   structure
#   one and a third turns     5995       6688         5302        5995        5995
#   crossed in the middle     2666        785         2666        1725        2666
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet shapely==2.2.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from shapely import make_valid
from shapely.geometry import LineString, Polygon
from shapely.ops import polygonize, unary_union

angle = np.linspace(0, 2 * np.pi * 1.3, 300)
radius = np.linspace(40, 46, 300)
turns = np.stack([50 + radius * np.cos(angle), 50 + radius * np.sin(angle)], axis=1)
angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
crossed = np.stack([50 * np.sin(angle), 20 * np.sin(2 * angle) * (1 + 0.5 * np.sin(angle))], axis=1)


def surrounded(points):
    """Area of all that the closed line surrounds: the sum of its faces."""
    return sum(face.area for face in polygonize(unary_union(LineString([*points, points[0]]))))


seen = {}
for name, points in (("turns", turns), ("crossed", crossed)):
    outline = Polygon(points)
    repaired = {
        "make_valid": make_valid(outline),
        "buffer": outline.buffer(0),
        "structure": make_valid(outline, method="structure", keep_collapsed=False),
    }
    assert not outline.is_valid and all(shape.is_valid for shape in repaired.values())
    areas = {"right": surrounded(points), "drawn": outline.area}
    areas |= {key: shape.area for key, shape in repaired.items()}
    seen[name] = {key: round(float(area)) for key, area in areas.items()}
    print(name, seen[name])
assert seen["turns"] == {"right": 5995, "drawn": 6688, "make_valid": 5302, "buffer": 5995, "structure": 5995}
assert seen["crossed"] == {"right": 2666, "drawn": 785, "make_valid": 2666, "buffer": 1725, "structure": 2666}
PYTHON
