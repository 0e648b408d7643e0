"""Annotations of LabelMe."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from s4mi.data.annotations.merge import plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError


def png(part: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(part.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


PART = np.array([[1, 1, 0], [0, 1, 1]], dtype=bool)
SHAPES: dict[str, dict[str, Any]] = {
    "polygon": {"points": [[4.2, 3.1], [20.7, 5.5], [11, 18.4]]},
    "rectangle": {"points": [[30, 20], [22.5, 10.5]]},
    "circle": {"points": [[60, 30], [66, 38]]},
    "mask": {"points": [[80, 50], [82, 51]], "mask": png(PART)},
}


def shape(kind: str, **fields: Any) -> dict[str, Any]:
    return {"label": kind, "group_id": None, "flags": {}, "mask": None, "shape_type": kind,
            **SHAPES.get(kind, {}), **fields}  # fmt: skip


def write(path: Path, *shapes: dict[str, Any], image: str = "c00.png", **fields: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {"version": "5.8.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None,
                "imageHeight": 64, "imageWidth": 96, **fields}  # fmt: skip
    path.write_text(json.dumps(contents))
    return path


def labelme_mask(kind: str) -> np.ndarray:
    """LabelMe's own rasterisation with Pillow."""
    canvas = Image.new("L", (96, 64))
    draw = ImageDraw.Draw(canvas)
    if kind == "polygon":
        draw.polygon([tuple(point) for point in SHAPES[kind]["points"]], outline=1, fill=1)
    elif kind == "rectangle":
        draw.rectangle([22.5, 10.5, 30, 20], outline=1, fill=1)
    elif kind == "circle":
        draw.ellipse([50, 20, 70, 40], outline=1, fill=1)
    mask = np.array(canvas, dtype=bool)
    if kind == "mask":
        mask[50:52, 80:83] = PART
    return mask


@pytest.mark.parametrize("folder", [True, False])
def test_annotation_labelme_shapes_are_read_as_labelme_rasterises_them(
    plain_images: Callable[..., Manifest], tmp_path: Path, folder: bool
) -> None:
    data = plain_images("c00.png", "c01.png")
    path = write(tmp_path / "labelme" / "c00.json", *map(shape, SHAPES))
    Image.new("L", (96, 64)).save(tmp_path / "labelme" / "c00.png")  # as LabelMe keeps them; it is no mask
    source = path.parent if folder else path
    plan = plan_merge(data, {source: read_annotations(source)}, MergeRules())
    assert (plan.errors, list(plan.masks)) == ([], [0])
    for kind in SHAPES:
        assert np.array_equal(plan.masks[0].classes == plan.spec.mask_classes.index(kind), labelme_mask(kind)), kind


def test_annotation_labelme_what_has_no_area_is_counted(plain_images: Callable[..., Manifest], tmp_path: Path) -> None:
    path = write(
        tmp_path / "c00.json", shape("point", points=[[1, 1]]), shape("mask"), shape("line", points=[[1, 1], [9, 9]]),
        flags={"blurred": True, "dark": False}, image="..\\pictures\\c00.png",
    )  # fmt: skip
    plan = plan_merge(plain_images("c00.png"), {path: read_annotations(path)}, MergeRules())
    assert not plan.errors
    assert plan.ignored == {"flag": 1, "point": 1, "line": 1}
    assert plan.masks[0].classes.sum() == PART.sum() * plan.masks[0].classes.max()


def test_annotation_labelme_an_image_without_shapes_is_blank(
    plain_images: Callable[..., Manifest], tmp_path: Path
) -> None:
    path = write(tmp_path / "c00.json")
    plan = plan_merge(plain_images("c00.png"), {path: read_annotations(path)}, MergeRules())
    assert (plan.blank, plan.masks, plan.errors) == (1, {}, [])


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (shape("star", points=[[1, 1]]), "unsupported shape type star"),
        (shape("circle", points=[[1, 1]]), "circle must have two points"),
        (shape("polygon", points=[[1, 1], [2, 2]]), "at least three corners"),
        (shape("polygon", points=[[1, 1], [200, 2], [3, 3]]), "is outside the image"),
        (shape("mask", points=[[1, 1], [2, 2]]), "does not fit from x 1, y 1 to x 2, y 2"),
        (shape("mask", mask="x"), "mask is not a PNG"),
    ],
)
def test_invalid_labelme_is_refused_in_one_line(tmp_path: Path, one: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "c00.json", one)
    with pytest.raises(S4miError, match=message) as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)
