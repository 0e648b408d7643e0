"""Exports of Label Studio as people have them: what is read, what is passed over, what is refused."""

import base64
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app
from s4mi.data.annotations.coco import read_coco
from s4mi.data.annotations.json_fields import FieldError
from s4mi.data.annotations.label_studio import read_label_studio
from s4mi.data.annotations.label_studio_rle import encode_brush
from s4mi.data.annotations.merge import MergePlan, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.annotations.types import Annotation
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError

HEIGHT, WIDTH = 64, 96
CLASSES = ("ring", "box", "oval", "free", "bits")


@pytest.fixture
def drawn(plain_images: Callable[..., Manifest]) -> Manifest:
    """Four images of 64 × 96 pixels without annotation."""
    return plain_images(*(f"c{n:02d}.png" for n in range(4)))


def result(kind: str, value: dict[str, Any], *, label: str | None = None, **fields: Any) -> dict[str, Any]:
    """A result as the page of Label Studio writes it."""
    labels = {kind: [label]} if label else {}
    return {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
            "value": {**value, **labels}, "id": f"r{kind}", "from_name": kind, "to_name": "image", "type": kind,
            "origin": "manual", **fields}  # fmt: skip


def task(*results: dict[str, Any], name: str = "c00.png", **fields: Any) -> dict[str, Any]:
    return {"id": 16, "annotations": [{"id": 10, "result": list(results), "was_cancelled": False, **fields}],
            "predictions": [], "data": {"image": f"/data/upload/3/9c4ad5bf-{name}"}}  # fmt: skip


def plan_of(manifest: Manifest, contents: Any) -> MergePlan:
    path = manifest.folder.parent / "export.json"
    path.write_text(json.dumps(contents))
    plan = plan_merge(manifest, {path: read_annotations(path)}, MergeRules())
    assert not plan.errors
    return plan


def stroke() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[12:14, 8:30] = True
    return mask


def data_url(mask: np.ndarray, mode: str = "LA") -> str:
    buffer = io.BytesIO()
    Image.merge("LA", [Image.new("L", mask.shape[::-1]), Image.fromarray(mask.astype(np.uint8) * 255)]).convert(
        mode
    ).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


BRUSH = {"format": "rle", "rle": encode_brush(stroke())}
BOX = {"x": 50.0, "y": 25.0, "width": 25.0, "height": 25.0, "rotation": 0}
OVAL = {"x": 50.0, "y": 75.0, "radiusX": 10.0, "radiusY": 12.5, "rotation": 0}
FREE = {"points": [[0, 75], [6.25, 75], [6.25, 100], [0, 100]], "closed": True}
BITS = {"imageDataURL": data_url(stroke()[::-1])}
SHAPES = {"brush": BRUSH, "rectangle": BOX, "ellipse": OVAL, "polygon": FREE, "bitmask": BITS}
REMARKS = [
    {"value": {"text": ["blurred"]}, "id": "t1", "from_name": "remark", "to_name": "image", "type": "textarea"},
    result("textarea", {**BOX, "text": ["of a region"]}, id="rrectanglelabels"),
    {"value": {"rating": 4}, "id": "t2", "from_name": "quality", "to_name": "image", "type": "rating"},
    {"value": {"number": 3}, "id": "t3", "from_name": "count", "to_name": "image", "type": "number"},
    {"value": {"datetime": "2026-01-01"}, "id": "t4", "from_name": "day", "to_name": "image", "type": "datetime"},
    {"from_id": "rrectanglelabels", "to_id": "rbrushlabels", "type": "relation", "direction": "right"},
]


def expected() -> dict[str, np.ndarray]:
    """The mask of each shape, by its own formula."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    box, free = np.zeros_like(stroke()), np.zeros_like(stroke())
    box[16:32, 48:72] = True
    free[48:64, 0:6] = True
    oval = ((x - 48) / 9.6) ** 2 + ((y - 48) / 8) ** 2 <= 1
    return {"brush": stroke(), "rectangle": box, "ellipse": oval, "polygon": free, "bitmask": stroke()[::-1]}


def test_annotation_3_all_tools_on_one_image_are_read(drawn: Manifest) -> None:
    pairs = list(zip(SHAPES.items(), CLASSES, strict=True))
    plan = plan_of(drawn, [task(*(result(f"{shape}labels", v, label=name) for (shape, v), name in pairs))])
    for (shape, _), name in pairs:
        index = plan.spec.mask_classes.index(name)
        assert np.array_equal(plan.masks[0].classes == index, expected()[shape]), shape


@pytest.mark.parametrize("remark", REMARKS, ids=lambda one: one["type"])
@pytest.mark.parametrize("first", [True, False])
def test_annotation_5_a13_remarks_change_nothing(drawn: Manifest, remark: dict[str, Any], first: bool) -> None:
    regions = [result("rectanglelabels", BOX, label="box"), result("brushlabels", BRUSH, label="ring")]
    plain = plan_of(drawn, [task(*regions)])
    plan = plan_of(drawn, [task(*([remark, *regions] if first else [*regions, remark]))])
    assert np.array_equal(plan.masks[0].classes, plain.masks[0].classes)
    assert (plan.spec, plan.labels, sum(plan.ignored.values())) == (plain.spec, plain.labels, 1)


def test_annotation_5_remarks_are_counted_once(drawn: Manifest) -> None:
    path = drawn.folder.parent / "export.json"
    box = result("rectanglelabels", BOX, label="box")
    path.write_text(json.dumps([task(box, *REMARKS), task(box, *REMARKS, name="c01.png"), task(name="c02.png")]))
    shown = CliRunner().invoke(app, ["data", "merge", str(drawn.folder), str(path)])
    assert shown.exit_code == 0, shown.output
    note = " ".join(shown.output.split())
    counts = "4 texts, 2 ratings, 2 numbers, 2 dates, 2 relations"
    assert note.count(f"note: not merged, as these are neither labels nor masks: {counts}") == 1


def test_annotation_5_an_attribute_of_a_region_is_not_a_class_of_the_image(drawn: Manifest) -> None:
    box = result("rectanglelabels", BOX, label="box")
    attribute = result("choices", {**BOX, "choices": ["uncertain"]}, id=box["id"])
    plan = plan_of(drawn, [task(box, attribute)])
    assert (plan.labels, plan.ignored) == ({}, Counter(attribute=1))
    whole = {"value": {"choices": ["good"]}, "id": "c", "type": "choices"}
    other = {"value": {"choices": ["bad"]}, "id": "c", "type": "choices"}
    plan = plan_of(drawn, [task(box, whole), task(other, name="c01.png")])
    assert plan.labels == {0: ("good",), 1: ("bad",)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("complete", [True, False])
def test_annotation_4_labels_of_separate_controls_are_read(drawn: Manifest, shape: str, complete: bool) -> None:
    bare = result(shape, SHAPES[shape], id="one")
    label = result("labels", SHAPES[shape] if complete else {}, label="ring", id="one")
    plan = plan_of(drawn, [task(bare, label)])
    assert np.array_equal(plan.masks[0].classes > 0, expected()[shape])
    assert not plan.ignored


def test_annotation_10_the_ground_truth_is_taken(drawn: Manifest) -> None:
    contents = [task(result("rectanglelabels", BOX, label="box")), task(result("ellipselabels", OVAL, label="box"))]
    contents[1]["annotations"][0]["ground_truth"] = True
    for both in (contents, contents[::-1]):
        one = {**both[0], "annotations": [*both[0]["annotations"], *both[1]["annotations"]]}
        plan = plan_of(drawn, [one])
        assert np.array_equal(plan.masks[0].classes > 0, expected()["ellipse"])
        assert plan.ignored == {"annotation beside a ground truth": 1}


def test_annotation_10_a_skipped_ground_truth_does_not_count(drawn: Manifest) -> None:
    one = task(result("rectanglelabels", BOX, label="box"))
    one["annotations"].append({"result": [], "was_cancelled": True, "ground_truth": True})
    assert plan_of(drawn, [one]).masks[0].classes.any()


def labelled_coco(contributor: str, *polygons: list[float]) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"images/c{n:02d}.png", "height": HEIGHT, "width": WIDTH} for n in range(4)]
    annotations = [{"id": 0, "image_id": 0, "category_id": 0, "segmentation": [one]} for one in polygons]
    return {"images": images, "categories": [{"id": 0, "name": "ring"}], "annotations": annotations,
            "info": {"year": 2026, "contributor": contributor}}  # fmt: skip


@pytest.mark.parametrize("polygons", [(), ([8, 8, 20, 8, 20, 20, 8, 20],)])
@pytest.mark.parametrize(("row", "contributor"), [(1, "Label Studio"), (2, "Label Studio Converter")])
def test_annotation_1_2_coco_of_label_studio_is_refused(
    drawn: Manifest, row: int, contributor: str, polygons: tuple[list[float], ...]
) -> None:
    path = drawn.folder.parent / f"coco-{row}.json"
    path.write_text(json.dumps(labelled_coco(contributor, *polygons)))
    shown = CliRunner().invoke(app, ["data", "merge", str(drawn.folder), str(path), "--empty"])
    assert shown.exit_code != 0
    with pytest.raises(S4miError, match=f"COCO written by {contributor}, .*; export the project as JSON") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)
    path.write_text(json.dumps(labelled_coco("CVAT", *polygons)))
    assert len(read_annotations(path)) == 4


@pytest.mark.parametrize("key", ["image", "data"])
def test_annotation_6_json_min_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "min.json"
    record = {key: "/data/upload/3/9c4ad5bf-c00.png", "id": 16, "box": [{**BOX, "rectanglelabels": ["box"]}],
              "annotator": 1, "annotation_id": 10, "lead_time": 9.5}  # fmt: skip
    path.write_text(json.dumps([record]))
    with pytest.raises(S4miError, match=r"JSON-MIN of Label Studio, .*; export the project as JSON"):
        read_annotations(path)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([result("brush", BRUSH)], "region must have one class .no class."),
        ([result("brushlabels", BRUSH)], "region must have one class .no class."),
        ([result("ellipselabels", {**OVAL, "radiusX": 0}, label="a")], "ellipse with radii 0 and 8 pixels"),
        ([result("ellipselabels", {**OVAL, "rotation": "x"}, label="a")], "rotation must be a number"),
        ([result("bitmasklabels", {"imageDataURL": "x"}, label="a")], "is not an image"),
        ([result("bitmasklabels", {"imageDataURL": data_url(stroke(), "L")}, label="a")], "without transparency"),
        ([result("bitmasklabels", {"imageDataURL": data_url(stroke().T)}, label="a")], "bitmask is 96×64, its image"),
        ([result("keypointlabels", {"x": 1, "y": 1}, label="a")], "unsupported result type keypointlabels"),
        ([result("taxonomy", {"taxonomy": [["a"]]})], "unsupported result type taxonomy; use choices"),
        ([result("labels", {"start": 1, "end": 2}, label="a")], "unsupported result type labels"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(results: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        read_label_studio([task(*results)])
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.floats(0, 100), st.floats(0, 100), st.floats(1, 60), st.floats(1, 60), st.floats(-360, 360))
def test_annotation_3_an_ellipse_turns_around_its_centre(x: float, y: float, a: float, b: float, angle: float) -> None:
    value = {"x": x, "y": y, "radiusX": a, "radiusY": b, "rotation": angle}
    ((region,),) = [one.regions or () for one in read_label_studio([task(result("ellipselabels", value, label="o"))])]
    down, right = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    # In the frame of the ellipse, as a complex number turned back.
    turned = ((right - x * WIDTH / 100) + 1j * (down - y * HEIGHT / 100)) * np.exp(-1j * np.deg2rad(angle))
    distance = np.hypot(turned.real / (a * WIDTH / 100), turned.imag / (b * HEIGHT / 100))
    clear = abs(distance - 1) > 1e-6
    assert region.mask is not None
    assert np.array_equal(region.mask[clear], (distance < 1)[clear])


@pytest.fixture
def exports(real_data: Path) -> Callable[[str], Any]:
    """Contents of real exports."""
    folder = real_data.parent / "reports" / "label-studio"
    if not folder.is_dir():
        pytest.skip("no folder reports/label-studio beside that of S4MI_DATA")
    return lambda name: json.loads((folder / name).read_text(encoding="utf-8"))


def classes_of(annotation: Annotation) -> list[str]:
    return [region.name for region in annotation.regions or ()]


@pytest.mark.real
def test_annotation_3_4_real_exports_are_read(exports: Callable[[str], Any]) -> None:
    mixed = read_label_studio(exports("mixed-tools.json"))
    assert [classes_of(one) for one in mixed] == [["ring", "box", "oval"], ["ring", "box"]]
    (second,) = read_label_studio(exports("second.json"))
    assert classes_of(second) == ["ring"]
    ring, first = (one.regions[0].mask for one in (second, mixed[0]) if one.regions)
    assert ring is not None
    assert first is not None
    assert np.array_equal(ring, stroke())
    assert np.array_equal(first, stroke())
    oval = (mixed[0].regions or ())[2].mask
    assert oval is not None
    assert abs(int(oval.sum()) - np.pi * 9.59 * 6.43) < 8  # area of the ellipse with the radii of the file


@pytest.mark.real
@pytest.mark.parametrize("name", ["brush-exported-as-coco.json", "brush-to-coco.json"])
def test_annotation_1_2_real_coco_of_label_studio_is_refused(exports: Callable[[str], Any], name: str) -> None:
    with pytest.raises(FieldError, match="export the project as JSON"):
        list(read_coco(exports(name)))
