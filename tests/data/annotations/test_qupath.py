"""Annotations of QuPath, exported as GeoJSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from s4mi.data.annotations.contours import fill_rings
from s4mi.data.annotations.merge import plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError

SQUARE = [[10, 10], [40, 10], [40, 40], [10, 40], [10, 10]]
HOLE = [[20, 20], [20, 30], [30, 30], [30, 20], [20, 20]]
FAR = [[60.25, 5.25], [80.25, 5.25], [80.25, 25.75], [60.25, 5.25]]


def feature(geometry: dict[str, Any] | None, name: str | None = "Tumor", **properties: Any) -> dict[str, Any]:
    """An annotation as QuPath 0.5 exports it."""
    classification = {} if name is None else {"classification": {"name": name, "color": [200, 0, 0]}}
    return {"type": "Feature", "id": "1ae8", "geometry": geometry,
            "properties": {"objectType": "annotation", "isLocked": True, **classification,
                           "measurements": {"Area µm^2": 12.5}, **properties}}  # fmt: skip


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def write(path: Path, *features: dict[str, Any], collection: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {"type": "FeatureCollection", "features": features} if collection else features
    path.write_text(json.dumps(contents))
    return path


def inside(*rings: list[list[float]]) -> np.ndarray:
    """By matplotlib: the centres that are inside of an odd number of rings."""
    y, x = np.mgrid[:64, :96] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    counts = sum(Outline(ring).contains_points(centres).astype(int) for ring in rings)
    return (counts % 2 == 1).reshape(64, 96)


def masks_of(data: Manifest, source: Path) -> tuple[dict[str, np.ndarray], Any]:
    plan = plan_merge(data, {source: read_annotations(source)}, MergeRules())
    assert plan.errors == []
    classes = plan.spec.mask_classes
    return {name: plan.masks[0].classes == n for n, name in enumerate(classes) if n}, plan


@pytest.mark.parametrize("collection", [True, False])
@pytest.mark.parametrize("name", ["c00.geojson", "c00.png.geojson", "c00.json"])
@pytest.mark.parametrize("folder", [True, False])
def test_qupath_holes_and_parts_are_read(
    plain_images: Callable[..., Manifest], tmp_path: Path, collection: bool, name: str, folder: bool
) -> None:
    multi = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [FAR]]}
    path = write(tmp_path / "qupath" / name, feature(multi), feature(polygon(HOLE), "Stroma"), collection=collection)
    found, plan = masks_of(plain_images("c00.png", "c01.png"), path.parent if folder else path)
    np.testing.assert_array_equal(found["Tumor"], inside(SQUARE, HOLE, FAR))
    np.testing.assert_array_equal(found["Stroma"], inside(HOLE))
    assert int(found["Stroma"].sum()) == 100
    assert list(plan.masks) == [0]


@pytest.mark.parametrize("turned", [True, False])
def test_qupath_an_annotation_within_another_stays_visible_in_any_order(
    plain_images: Callable[..., Manifest], tmp_path: Path, turned: bool
) -> None:
    features = [feature(polygon(SQUARE)), feature(polygon(HOLE), "Necrosis")]
    path = write(tmp_path / "c00.geojson", *(features[::-1] if turned else features))
    found, _ = masks_of(plain_images("c00.png"), path)
    np.testing.assert_array_equal(found["Necrosis"], inside(HOLE))
    np.testing.assert_array_equal(found["Tumor"], inside(SQUARE, HOLE))


def test_qupath_what_is_no_annotation_with_an_area_is_counted(
    plain_images: Callable[..., Manifest], tmp_path: Path
) -> None:
    path = write(
        tmp_path / "c00.geojson", feature(polygon(SQUARE)), feature(polygon(HOLE), None, objectType="detection"),
        feature(polygon(HOLE), objectType="cell"), feature({"type": "MultiPoint", "coordinates": [[1, 1]]}, None),
        feature({"type": "LineString", "coordinates": [[1, 1], [9, 9]]}, None),
    )  # fmt: skip
    found, plan = masks_of(plain_images("c00.png"), path)
    np.testing.assert_array_equal(found["Tumor"], inside(SQUARE))
    assert plan.ignored == {"detection": 1, "cell": 1, "point": 1, "line": 1}


@pytest.mark.parametrize(
    "classification",
    [
        {"name": "Tumor: Positive", "colorRGB": -377282},
        {"names": ["Tumor", "Positive"], "color": [250, 62, 62]},
    ],
)
def test_qupath_derived_classes_of_old_and_new_versions_have_one_name(
    plain_images: Callable[..., Manifest], tmp_path: Path, classification: dict[str, Any]
) -> None:
    path = write(tmp_path / "c00.geojson", feature(polygon(SQUARE), classification=classification))
    assert list(masks_of(plain_images("c00.png"), path)[0]) == ["Tumor: Positive"]


def test_qupath_an_image_without_annotations_is_blank(plain_images: Callable[..., Manifest], tmp_path: Path) -> None:
    path = write(tmp_path / "c00.geojson")
    plan = plan_merge(plain_images("c00.png"), {path: read_annotations(path)}, MergeRules())
    assert (plan.blank, plan.masks, plan.errors) == (1, {}, [])


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (feature(polygon(SQUARE), None), r"features\[0\]: annotation without a class; assign one in QuPath"),
        (feature({**polygon(SQUARE), "plane": {"c": -1, "z": 3, "t": 0}}), "plane z 3, t 0 of a stack"),
        (feature({"type": "Circle", "coordinates": []}), "unsupported geometry 'Circle'"),
        (feature(polygon([[1, 1], [2, 2]])), "at least three corners"),
        (feature(polygon([["a", 1], [2, 2], [3, 3]])), "corners that are not numbers"),
    ],
)
def test_invalid_geojson_is_refused_in_one_line(tmp_path: Path, one: dict[str, Any], message: str) -> None:
    with pytest.raises(S4miError, match=message) as caught:
        read_annotations(write(tmp_path / "c00.geojson", one))
    assert "\n" not in str(caught.value)


def test_qupath_annotations_of_a_larger_image_are_refused(
    plain_images: Callable[..., Manifest], tmp_path: Path
) -> None:
    """As of a whole slide whose image was exported smaller."""
    path = write(tmp_path / "c00.geojson", feature(polygon([[0, 0], [500, 0], [500, 300]])))
    plan = plan_merge(plain_images("c00.png"), {path: read_annotations(path)}, MergeRules())
    assert len(plan.errors) == 1
    assert "corner at x 500, y 0 is outside the image (width 96, height 64 pixels)" in plan.errors[0]


@given(
    st.lists(st.lists(st.tuples(st.floats(0, 96), st.floats(0, 64)), min_size=3, max_size=8), min_size=1, max_size=3)
)
def test_qupath_rings_are_filled_by_the_even_odd_rule(rings: list[list[tuple[float, float]]]) -> None:
    # Off the centres of pixels, where implementations may differ.
    shifted = [np.round(np.array(ring), 2) + 0.00137 for ring in rings]
    filled = fill_rings(shifted, (64, 96))
    y, x = np.mgrid[:64, :96] + 0.5
    counts = np.zeros((64, 96), dtype=int)
    for ring in shifted:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                counts += ((y0 <= y) != (y1 <= y)) & (x >= x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    np.testing.assert_array_equal(filled, counts % 2 == 1)


def test_qupath_neighbours_share_no_pixel_and_leave_none_out() -> None:
    """A centre on the line between two areas belongs to one of them, as in Java 2D."""
    left = fill_rings([np.array([[2.0, 2], [6.5, 2], [6.5, 9], [2, 9]])], (12, 12))
    right = fill_rings([np.array([[6.5, 2.0], [10, 2], [10, 9], [6.5, 9]])], (12, 12))
    assert not (left & right).any()
    assert int((left | right).sum()) == 8 * 7
    assert right[2, 6]
