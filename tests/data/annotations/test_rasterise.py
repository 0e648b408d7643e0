"""Conversion between masks and polygons, run lengths and brush strokes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pycocotools.mask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data.annotations.coco import _regions, read_coco, write_coco
from s4mi.data.annotations.contours import components_of, fill, pixel_edges, through_centres
from s4mi.data.annotations.json_fields import FieldError
from s4mi.data.annotations.label_studio_rle import decode_brush, encode_brush
from s4mi.data.annotations.types import PreAnnotation

SEEDS = st.integers(0, 2**31)


def blobs(seed: int, size: tuple[int, int] = (31, 42)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    field = cv2.GaussianBlur(generator.random(size).astype(np.float32), (0, 0), generator.choice([0.2, 1, 3]))
    return field > np.quantile(field, generator.random())


@settings(deadline=None)
@given(SEEDS)
def test_the_union_of_all_components_is_the_mask(seed: int) -> None:
    mask = blobs(seed)
    back = np.zeros_like(mask)
    for component in components_of(mask):
        filled = component.mask if component.points is None else fill(component.points, mask.shape)
        assert np.array_equal(filled, component.mask)
        back |= filled
    assert np.array_equal(back, mask)


def test_a_piece_with_a_hole_has_no_outline() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    (piece,) = components_of(mask)
    assert piece.points is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_a_pixel_or_a_line_of_pixels_is_a_polygon_too(shape: tuple[int, int]) -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[1 : 1 + shape[0], 1 : 1 + shape[1]] = True
    (piece,) = components_of(mask)
    assert piece.points is not None
    assert len(piece.points) >= 3
    assert np.array_equal(fill(piece.points, mask.shape), mask)


def test_a_rectangle_along_pixels_holds_the_pixels_within() -> None:
    filled = fill(np.array([[2, 1], [5, 1], [5, 4], [2, 4]], dtype=float), (6, 7))
    expected = np.zeros((6, 7), dtype=bool)
    expected[1:4, 2:5] = True
    assert np.array_equal(filled, expected)


@given(SEEDS)
def test_a_polygon_is_filled_by_the_even_odd_rule(seed: int) -> None:
    points = np.random.default_rng(seed).random((7, 2)) * [42, 31]
    y, x = np.mgrid[:31, :42] + 0.5
    inside, close = np.zeros((31, 42), dtype=bool), np.zeros((31, 42), dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        close |= np.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) < 0.01 * np.hypot(x1 - x0, y1 - y0)
    assert not ((fill(points, (31, 42)) != inside) & ~close).any()  # corners are rounded to parts of a pixel


@given(SEEDS)
def test_polygons_of_other_programs_are_filled_as_coco_fills_them_but_for_the_edge(seed: int) -> None:
    angles = np.sort(np.random.default_rng(seed).random(9)) * 2 * np.pi
    points = np.stack([50 + 40 * np.cos(angles), 50 + 40 * np.sin(angles)], axis=1)
    theirs = pycocotools.mask.decode(pycocotools.mask.frPyObjects([points.ravel().tolist()], 100, 100))[..., 0] > 0
    ours = fill(points, (100, 100))
    edge = cv2.dilate(theirs.astype(np.uint8), np.ones((3, 3))) - cv2.erode(theirs.astype(np.uint8), np.ones((3, 3)))
    assert not (ours != theirs)[edge == 0].any()
    assert abs(int(ours.sum()) - int(theirs.sum())) <= 0.02 * theirs.size


def naive_brush(runs: list[int]) -> np.ndarray:
    """Label Studio's own decoder, as its converter has it."""
    text = "".join(f"{byte:08b}" for byte in runs)
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(text[at - size : at], 2)

    num = read(32)
    word_size = read(5) + 1
    rle_sizes = [read(4) + 1 for _ in range(4)]
    i, out = 0, np.zeros(num, dtype=np.uint8)
    while i < num:
        x = read(1)
        j = i + 1 + read(rle_sizes[read(2)])
        if x:
            out[i:j] = read(word_size)
            i = j
        else:
            while i < j:
                out[i] = read(word_size)
                i += 1
    return out


@settings(deadline=None)
@given(SEEDS)
def test_brush_strokes_are_those_of_label_studio(seed: int) -> None:
    mask = blobs(seed)
    runs = encode_brush(mask)
    assert np.array_equal(naive_brush(runs).reshape(*mask.shape, 4)[:, :, 3] > 0, mask)
    assert np.array_equal(decode_brush(runs, mask.shape), mask)


def test_brush_strokes_of_single_bytes_are_read() -> None:
    values = [0, 0, 0, 255, 0, 0, 0, 0, 7, 7, 7, 7]
    bits = f"{12:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    bits += "001" + f"{7:04b}" + "".join(f"{v:08b}" for v in values[:8])  # 8 bytes as they are
    bits += "100" + f"{3:03b}" + f"{7:08b}"  # a run of 4
    bits += "0" * (-len(bits) % 8)
    runs = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert naive_brush(runs).tolist() == values
    assert decode_brush(runs, (1, 3)).tolist() == [[True, False, True]]


def test_brush_strokes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes, but 3×3"):
        decode_brush(encode_brush(np.ones((2, 2), dtype=bool)), (3, 3))


def coco_pixels(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return pycocotools.mask.decode(pycocotools.mask.frPyObjects([polygon.ravel().tolist()], *size))[..., 0] > 0


def test_annotation_9_a_disc_keeps_its_pixels_in_pycocotools() -> None:
    y, x = np.mgrid[:40, :40]
    disc = (y - 20) ** 2 + (x - 20) ** 2 <= 14.9**2
    assert disc.sum() == 697
    assert np.array_equal(coco_pixels(pixel_edges(disc), disc.shape), disc)


@settings(deadline=None)
@given(SEEDS)
def test_annotation_9_every_outline_along_pixels_is_exact_in_pycocotools(seed: int) -> None:
    mask = blobs(seed)
    for component in components_of(mask):
        if component.points is not None:
            edges = pixel_edges(component.mask)
            assert len(edges) >= 4
            assert np.array_equal(coco_pixels(edges, mask.shape), component.mask)
            assert np.array_equal(fill(edges, mask.shape), component.mask)
            assert not through_centres(edges)
            assert through_centres(component.points)


@settings(deadline=None)
@given(SEEDS, st.booleans())
def test_annotation_9_what_is_written_is_what_pycocotools_and_s4mi_read(seed: int, rle: bool) -> None:
    mask = blobs(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "next.json"
        one = PreAnnotation("a", "a.png", mask.shape, ("background", "spot"), 0.5, mask=mask.astype(np.uint8))
        write_coco([one], path, rle=rle)
        contents = json.loads(path.read_text())
    theirs = np.zeros_like(mask)
    for annotation in contents["annotations"]:
        shape = annotation["segmentation"]
        runs = (
            pycocotools.mask.merge(pycocotools.mask.frPyObjects(shape, *mask.shape))
            if isinstance(shape, list)
            else shape
        )
        theirs |= pycocotools.mask.decode(runs) > 0
    assert np.array_equal(theirs, mask)
    assert np.array_equal(coco_union(contents, mask.shape), mask)


def coco_union(contents: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    (annotation,) = read_coco({**contents, "info": {}})
    union = np.zeros(size, dtype=bool)
    for region in annotation.regions or ():
        assert region.mask is not None
        union |= region.mask
    return union


@settings(deadline=None)
@given(SEEDS)
def test_annotation_9_polygons_of_other_tools_are_read_as_pycocotools_reads_them(seed: int) -> None:
    polygon = np.random.default_rng(seed).random((7, 2)) * [42, 31]
    region = {"image_id": 1, "category_id": 1, "segmentation": [polygon.ravel().tolist()]}
    contents = {"images": [{"id": 1, "height": 31, "width": 42}], "categories": [{"id": 1, "name": "spot"}],
                "annotations": [region]}  # fmt: skip
    assert np.array_equal(coco_union(contents, (31, 42)), coco_pixels(polygon, (31, 42)))


@settings(deadline=None)
@given(SEEDS)
def test_annotation_9_polygons_of_earlier_versions_keep_their_line(seed: int) -> None:
    mask = blobs(seed)
    regions = [
        {"image_id": 1, "category_id": 1, "segmentation": [component.points.ravel().tolist()]}
        for component in components_of(mask) if component.points is not None
    ]  # fmt: skip
    expected = np.zeros_like(mask)
    for component in components_of(mask):
        expected |= component.mask & (component.points is not None)
    contents = {"images": [{"id": 1, "height": 31, "width": 42}], "categories": [{"id": 1, "name": "spot"}],
                "annotations": regions}  # fmt: skip
    assert np.array_equal(coco_union(contents, mask.shape), expected)


def test_a_polygon_in_an_image_beyond_what_coco_counts_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(FieldError, match=r"a\.json: polygon in an image of 70000 × 70000 pixels, of which COCO counts"):
        list(_regions([[0.0, 0.0, 4.0, 0.0, 4.0, 4.0]], "lesion", (70_000, 70_000), location="a.json"))
