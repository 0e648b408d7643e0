"""New annotations are merged into a data set completely or not at all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import pytest
from PIL import Image

from s4mi.data.annotations.coco import write_coco
from s4mi.data.annotations.label_studio import write_label_studio
from s4mi.data.annotations.merge import LOCK, MergePlan, MergeResult, apply_merge, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.annotations.types import PreAnnotation
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.data.splits.split_version import base_version
from s4mi.data.versions import load_version
from s4mi.errors import S4miError


@pytest.fixture
def bare(tmp_path: Path) -> Manifest:
    """Twelve drawn lesions with three classes; the last eight have neither label nor mask."""
    folder = tmp_path / "data"
    full = write_synthetic("lesions", folder, count=12, size=48, seed=5)
    rows = [row if n < 4 else replace(row, labels=None, mask=None) for n, row in enumerate(full.rows)]
    write_dataset(folder, full.spec, rows)
    return load_version(folder)


@pytest.fixture
def truth(bare: Manifest) -> dict[str, np.ndarray]:
    """The masks that were removed."""
    return {row.id: read_mask(bare.folder / "masks" / row.image.name, bare.spec.mask_values) for row in bare.rows}


def planned(manifest: Manifest, path: Path, **rules: Any) -> MergePlan:
    return plan_merge(manifest, {path: read_annotations(path)}, MergeRules(**rules))


def merged(manifest: Manifest, path: Path, **rules: Any) -> MergeResult:
    return apply_merge(planned(manifest, path, **rules))


def table(tmp_path: Path, *lines: str, head: str = "image,label") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def proposals(manifest: Manifest, truth: dict[str, np.ndarray]) -> list[PreAnnotation]:
    root = manifest.folder
    return [
        PreAnnotation(row.id, row.image.relative_to(root).as_posix(), (48, 48), ("background", "lesion"), 0.5,
                 mask=truth[row.id])
        for row in manifest.rows[4:]
    ]  # fmt: skip


def test_labels_of_a_table_make_the_next_version(bare: Manifest, tmp_path: Path) -> None:
    result = merged(bare, table(tmp_path, "lesion_0004.png,nevus", "lesion_0005,melanoma", "images/lesion_0006.png,"))
    new = load_version(bare.folder)
    assert (result.version, result.changed, result.blank, new.version) == (2, 2, 1, 2)
    assert [row.labels for row in new.rows[4:7]] == [("nevus",), ("melanoma",), None]
    assert result.after["melanoma"] == result.before["melanoma"] + 1
    assert [row.labels for row in load_version(bare.folder, 1).rows] == [row.labels for row in bare.rows]


def test_existing_annotations_make_no_version(bare: Manifest, tmp_path: Path) -> None:
    (label,) = bare.rows[0].labels or ()
    result = merged(bare, table(tmp_path, f"lesion_0000,{label}"))
    assert (result.version, result.changed, result.same) == (1, 0, 1)
    assert not (bare.folder / "manifest-v1.csv").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lesion_004,nevus", r"labels.csv:2: image 'lesion_004' not found in .*did you mean 'lesion_0004'\?"),
        ("lesion_0004,nevos", r"labels.csv:2: unknown class 'nevos' .*did you mean 'nevus'\?"),
        ("lesion_0004,nevus;melanoma", r"must have exactly one class \(given 'nevus', 'melanoma'\)"),
        ("lesion_0004,none", r"must have exactly one class \(given no class\)"),
        ("lesion_0000,OTHER", r"here but .* in .*manifest.csv:2; remove it, or replace"),
        ("lesion_0004,nevus\nlesion_0004.png,melanoma", r"csv:3: .*'melanoma' here but 'nevus' in .*csv:2; keep one"),
    ],
)
def test_invalid_labels_are_refused_in_one_line_and_change_nothing(
    bare: Manifest, tmp_path: Path, line: str, message: str
) -> None:
    other = next(name for name in bare.spec.classes if name not in (bare.rows[0].labels or ()))
    before = (bare.folder / "manifest.csv").read_bytes()
    with pytest.raises(S4miError, match=message) as caught:
        merged(bare, table(tmp_path, line.replace("OTHER", other)))
    assert "\n" not in str(caught.value)
    assert (bare.folder / "manifest.csv").read_bytes() == before
    assert load_version(bare.folder).version == 1


def test_all_errors_are_found_at_once(bare: Manifest, tmp_path: Path) -> None:
    plan = planned(bare, table(tmp_path, "a,nevus", "lesion_0004,nevus", "b,nevus"))
    assert len(plan.errors) == 2
    with pytest.raises(S4miError, match=r"\(and 1 more; nothing was merged\)"):
        apply_merge(plan)


def test_a_label_is_replaced_on_demand(bare: Manifest, tmp_path: Path) -> None:
    other = next(name for name in bare.spec.classes if name not in (bare.rows[0].labels or ()))
    result = merged(bare, table(tmp_path, f"lesion_0000,{other}"), replace=True)
    assert result.replaced == 1
    assert load_version(bare.folder).rows[0].labels == (other,)


def test_the_official_test_part_stays_as_it_is(bare: Manifest, tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["test"] * 6
    write_dataset(bare.folder, bare.spec, [replace(row, split=part, group=None)  # type: ignore[arg-type]
                                           for row, part in zip(bare.rows, parts, strict=True)])  # fmt: skip
    manifest, path = load_version(bare.folder), table(tmp_path, "lesion_0004,nevus", "lesion_0009,nevus")
    with pytest.raises(S4miError, match="is in the official test part, which new annotations would change"):
        merged(manifest, path)
    assert merged(manifest, path, held_out=True).official == {"train": 1, "test": 1}


def test_several_labels_are_put_in_the_order_of_the_classes(tmp_path: Path) -> None:
    full = write_synthetic("cells", tmp_path / "data", count=6, size=32, seed=1)
    write_dataset(full.folder, full.spec, [replace(row, labels=None) for row in full.rows])
    merged(load_version(full.folder), table(tmp_path, "cells_0000,b_cell;tfh_1", "cells_0001,none"))
    assert [row.labels for row in load_version(full.folder).rows[:3]] == [("tfh_1", "b_cell"), (), None]


def test_masks_of_a_folder_are_copied_below_the_data_set(
    bare: Manifest, truth: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    folder.mkdir()
    for row in bare.rows[4:6]:
        (folder / f"{row.id}_mask.png").write_bytes((bare.folder / "masks" / row.image.name).read_bytes())
    path = folder
    plan = plan_merge(bare, {path: read_annotations(path, mask_suffix="_mask")}, MergeRules())
    result = apply_merge(plan)
    row = load_version(bare.folder).rows[4]
    assert row.mask == bare.folder / "masks-v2" / "lesion_0004.png"
    assert np.array_equal(read_mask(row.mask, bare.spec.mask_values), truth[row.id])
    assert (result.before["masks"], result.after["masks"]) == (4, 6)


@pytest.mark.parametrize(
    ("size", "value", "message"),
    [
        ((48, 47), 255, r"/lesion_0004.png: mask 'lesion_0004.png' is 47×48 but image 'lesion_0004' is 48×48"),
        ((48, 48), 7, "contains the value 7, not in mask_values"),
    ],
)
def test_masks_of_wrong_size_or_values_are_refused(
    bare: Manifest, tmp_path: Path, size: tuple[int, int], value: int, message: str
) -> None:
    (tmp_path / "drawn").mkdir()
    Image.new("L", size, value).save(tmp_path / "drawn" / "lesion_0004.png")
    with pytest.raises(S4miError, match=message):
        merged(bare, tmp_path / "drawn")


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize("write", ["coco", "label-studio"])
def test_masks_that_were_written_for_correction_come_back_the_same(
    bare: Manifest, truth: dict[str, np.ndarray], tmp_path: Path, write: str, rle: bool
) -> None:
    path = tmp_path / "next.json"
    truth["lesion_0007"][20:30, 20:30] = 1
    truth["lesion_0007"][24:26, 24:26] = 0  # a hole
    made = proposals(bare, truth)
    if write == "coco":
        write_coco(made, path, rle=rle)
        contents = json.loads(path.read_text())
        with pytest.raises(S4miError, match="the predictions are not corrected yet"):
            merged(bare, path)
        del contents["info"]
    else:
        write_label_studio(made, path, rle=rle, multilabel=False)
        contents = json.loads(path.read_text())
        with pytest.raises(S4miError, match="contains only uncorrected predictions"):
            merged(bare, path)
        for task in contents:
            task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
            del task["data"]["id"]
            task["data"]["image"] = "/data/upload/3/0a1b2c3d-" + task["data"]["image"].rsplit("/", 1)[-1]
    path.write_text(json.dumps(contents))
    assert merged(bare, path).changed == 8
    for row in load_version(bare.folder).rows[4:]:
        assert row.mask is not None
        assert np.array_equal(read_mask(row.mask, bare.spec.mask_values), truth[row.id])


@pytest.mark.parametrize("write", ["coco", "label-studio"])
def test_classes_that_were_written_for_correction_come_back_the_same(
    bare: Manifest, tmp_path: Path, write: str
) -> None:
    path = tmp_path / "next.json"
    made = [
        PreAnnotation(row.id, row.image.name, (48, 48), bare.spec.classes, 0.5, labels=("melanoma",))
        for row in bare.rows[4:6]
    ]
    if write == "coco":
        write_coco(made, path, rle=False)
        contents = json.loads(path.read_text())
        del contents["info"]
    else:
        interface = write_label_studio(made, path, rle=False, multilabel=False)
        assert '<Choice value="melanoma"/>' in interface.read_text()
        contents = json.loads(path.read_text())
        for task in contents:
            task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    path.write_text(json.dumps(contents))
    assert merged(bare, path).changed == 2
    assert [row.labels for row in load_version(bare.folder).rows[4:7]] == [("melanoma",), ("melanoma",), None]


def coco(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    contents: dict[str, Any] = {
        "images": [{"id": 3, "file_name": "lesion_0004.png", "height": 48, "width": 48}],
        "categories": [{"id": 1, "name": "lesion"}],
        "annotations": [{"image_id": 3, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}],
    }
    change(contents)
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(contents))
    return path


def test_coco_polygons_and_run_lengths_of_any_kind_are_read(bare: Manifest, tmp_path: Path) -> None:
    square = np.zeros((48, 48), dtype=np.uint8)
    square[1:9, 1:9] = 1
    counts = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(square.T.ravel())) + 1, [48 * 48]])).tolist()
    packed = pycocotools.mask.encode(np.asfortranarray(square))["counts"].decode()
    for i, shape in enumerate((None, {"size": [48, 48], "counts": counts}, {"size": [48, 48], "counts": packed})):

        def change(contents: dict[str, Any], shape: Any = shape) -> None:
            if shape is not None:
                contents["annotations"][0]["segmentation"] = shape

        plan = planned(bare, coco(tmp_path, change))
        assert not plan.errors
        assert np.array_equal(plan.masks[4].classes, square), i


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].update(file_name="x.png"), "image 'x.png' not found in"),
        (lambda c: c["images"][0].update(height=40), "annotated image is 40×48 but image 'lesion_0004' is 48×48"),
        (
            lambda c: c["categories"][0].update(name="lesoin"),
            r"unknown class 'lesoin' of a region .*did you mean 'lesion'\?",
        ),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 1, 99, 1, 9, 9]]), "corner at x 99, y 1 is outside"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 1, 9]]), "not a polygon of at least three corners"),
        (lambda c: c["annotations"][0].update(segmentation=[], bbox=[1, 1, 5, 5]), "has a box but no segmentation"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [9, 9], "counts": "x"}), r"has size \[9, 9\]"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [48, 48], "counts": [5]}), "do not add up"),
        (lambda c: c["annotations"][0].update(category_id=7), "unknown category_id 7"),
        (lambda c: c["annotations"][0].update(image_id=7), "unknown image_id 7"),
        (lambda c: c["images"][0].pop("width"), "has no 'width'"),
        (lambda c: c["annotations"][0].update(segmentation=[["a"] * 6]), "corners that are not numbers"),
    ],
)
def test_invalid_coco_is_refused_in_one_line(
    bare: Manifest, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(S4miError, match=message) as caught:
        merged(bare, coco(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_an_image_without_a_region_is_background_on_demand_alone(bare: Manifest, tmp_path: Path) -> None:
    path = coco(tmp_path, lambda contents: contents["annotations"].clear())
    assert merged(bare, path).blank == 1
    assert merged(bare, path, empty=True).changed == 1
    row = load_version(bare.folder).rows[4]
    assert row.mask is not None
    assert not read_mask(row.mask, bare.spec.mask_values).any()


def studio(tmp_path: Path, *results: list[dict[str, Any]]) -> Path:
    path = tmp_path / "studio.json"
    tasks = [
        {"data": {"image": "/data/local-files/?d=pictures/lesion_0004.png"},
         "annotations": [{"result": result} for result in results]}
    ]  # fmt: skip
    path.write_text(json.dumps(tasks))
    return path


def region(kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    given = {"x": 25.0, "y": 50.0, "width": 25.0, "height": 25.0, kind: ["lesion"], **value}
    return {"type": kind, "original_width": 48, "original_height": 48, "value": given}


def choice(name: str) -> dict[str, Any]:
    return {"type": "choices", "value": {"choices": [name]}}


def test_a_rectangle_of_label_studio_is_in_percent(bare: Manifest, tmp_path: Path) -> None:
    plan = planned(bare, studio(tmp_path, [region()]))
    expected = np.zeros((48, 48), dtype=np.uint8)
    expected[24:36, 12:24] = 1
    assert np.array_equal(plan.masks[4].classes, expected)


def test_a_rectangle_is_rotated_around_its_first_corner(bare: Manifest, tmp_path: Path) -> None:
    plan = planned(bare, studio(tmp_path, [region(rotation=90)]))
    expected = np.zeros((48, 48), dtype=np.uint8)
    expected[24:36, 0:12] = 1
    assert np.array_equal(plan.masks[4].classes, expected)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([[region()], [region(x=30.0)]], "mask of image 'lesion_0004' differs from that in"),
        ([[region("keypointlabels")]], "unsupported result type keypointlabels; use choices for images, and polygons"),
        ([[region("polygonlabels", points=[[1, 1], [120, 1], [5, 5]])]], "is outside the image"),
        ([[region("brushlabels", rle=[1, 2])]], "rle ends too early"),
        ([[region(rectanglelabels=["a", "b"])]], "region must have one class"),
        ([[choice("nevus")], [choice("melanoma")]], "'melanoma' here but 'nevus' in"),
    ],
)  # fmt: skip
def test_invalid_label_studio_is_refused_in_one_line(
    bare: Manifest, tmp_path: Path, results: list[list[dict[str, Any]]], message: str
) -> None:
    with pytest.raises(S4miError, match=message) as caught:
        merged(bare, studio(tmp_path, *results))
    assert "\n" not in str(caught.value)


def test_a_skipped_task_is_ignored(bare: Manifest, tmp_path: Path) -> None:
    path = studio(tmp_path, [region()])
    contents = json.loads(path.read_text())
    contents[0]["annotations"][0]["was_cancelled"] = True
    path.write_text(json.dumps(contents))
    assert merged(bare, path).changed == 0


@pytest.mark.parametrize("contents", ["[", "{}", "[1]", '{"images": 1, "annotations": 2, "categories": 3}', "null"])
def test_other_json_is_refused_in_one_line(bare: Manifest, tmp_path: Path, contents: str) -> None:
    (tmp_path / "a.json").write_text(contents)
    with pytest.raises(S4miError, match=r"a.json: .*export") as caught:
        merged(bare, tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_the_first_labels_of_a_data_set_determine_its_classes_and_task(bare: Manifest, tmp_path: Path) -> None:
    spec = bare.spec.model_copy(update={"tasks": (), "classes": (), "mask_values": {}})
    write_dataset(bare.folder, spec, [replace(row, labels=None, mask=None) for row in bare.rows])
    merged(load_version(bare.folder), table(tmp_path, "lesion_0001,malignant", "lesion_0002,benign"))
    new = load_version(bare.folder)
    assert (new.spec.classes, new.spec.tasks) == (("benign", "malignant"), ("multiclass",))
    assert load_version(bare.folder, 1).spec.tasks == ()
    (tmp_path / "drawn").mkdir()
    for name in ("lesion_0001", "lesion_0003"):
        (tmp_path / "drawn" / f"{name}.png").write_bytes((bare.folder / "masks" / f"{name}.png").read_bytes())
    merged(new, tmp_path / "drawn", foreground="spot")
    last = load_manifest(bare.folder)
    assert (last.spec.tasks, last.spec.mask_values) == (("multiclass", "segmentation"), {0: "background", 255: "spot"})


def test_an_ambiguous_image_name_needs_the_id(tmp_path: Path) -> None:
    full = write_synthetic("lesions", tmp_path / "data", count=4, size=32, seed=5)
    for folder in ("a", "b"):
        (full.folder / folder).mkdir()
        Image.new("RGB", (32, 32)).save(full.folder / folder / "x.png")
    rows = [replace(full.rows[i], id=f"{folder}_x", image=full.folder / folder / "x.png", labels=None, mask=None)
            for i, folder in enumerate(("a", "b"))]  # fmt: skip
    write_dataset(full.folder, full.spec, [*rows, *full.rows[2:]])
    manifest = load_version(full.folder)
    with pytest.raises(S4miError, match=r"is ambiguous, 2 match \('a_x', 'b_x'\); use the id"):
        merged(manifest, table(tmp_path, "x.png,nevus"))
    assert merged(manifest, table(tmp_path, "b/x.png,nevus")).changed == 1
    assert load_version(full.folder).rows[1].labels == ("nevus",)


def test_several_files_make_one_version(bare: Manifest, truth: dict[str, np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    shutil.copy(bare.folder / "masks" / "lesion_0005.png", tmp_path / "drawn" / "lesion_0005.png")
    labels = table(tmp_path, "lesion_0004,nevus", "lesion_0005,nevus")
    sources = {path: read_annotations(path) for path in (labels, tmp_path / "drawn")}
    assert apply_merge(plan_merge(bare, sources, MergeRules())).changed == 2
    new = load_version(bare.folder)
    assert (new.version, [row.labels for row in new.rows[4:6]]) == (2, [("nevus",), ("nevus",)])
    assert new.rows[5].mask is not None
    assert np.array_equal(read_mask(new.rows[5].mask, bare.spec.mask_values), truth["lesion_0005"])


def test_two_files_that_contradict_each_other_are_both_named(bare: Manifest, tmp_path: Path) -> None:
    sources = {}
    for name, label in (("a.csv", "nevus"), ("b.csv", "melanoma"), ("c.csv", "nevus")):
        (tmp_path / name).write_text(f"image,label\nlesion_0004,{label}\n")
        sources[tmp_path / name] = read_annotations(tmp_path / name)
    (error,) = plan_merge(bare, sources, MergeRules()).errors
    expected = f"{tmp_path}/b.csv:2: image 'lesion_0004' is 'melanoma' here but 'nevus' in {tmp_path}/a.csv:2; keep one"
    assert error == expected


def test_a_new_class_comes_after_the_old_ones_and_does_not_change_the_split(bare: Manifest, tmp_path: Path) -> None:
    path = table(tmp_path, "lesion_0004,rare", "lesion_0005,nevus")
    with pytest.raises(S4miError, match=r"unknown class 'rare' .*; correct it, or add it with --new-class rare"):
        merged(bare, path)
    merged(bare, path, new_classes=("rare",))
    new = load_version(bare.folder)
    assert new.spec.classes == (*bare.spec.classes, "rare")
    assert new.rows[4].labels == ("rare",)
    assert load_version(bare.folder, 1).spec.classes == bare.spec.classes
    division = SplitMethod("random", ratios=(0.4, 0.3, 0.3), seed=0)
    before = make_split(bare, "multiclass", method=division, fraction_seed=0)
    basis = base_version(new, "multiclass", division, foreground=None)
    after = make_split(new, "multiclass", method=division, fraction_seed=0, base=basis)
    assert (after.val, after.test) == (before.val, before.test)


@pytest.mark.parametrize(
    ("lines", "new", "message"),
    [
        (["lesion_0004,nevus"], "nevus", "--new-class 'nevus': already a class of the data set"),
        (["lesion_0004,rare"], "rarer", r"--new-class 'rarer': no such label in .*; did you mean 'rare'\?"),
        (["lesion_0004,nevus"], "x", "no such label in .*; remove the option, or correct the name"),
        (
            ["lesion_0004,a", "lesion_0004,nevos"],
            "a",
            r"unknown class 'nevos' .*mean 'nevus'\? Or add a new class with --new-",
        ),
        (["lesion_0004,no;ne"], "no;ne", "no such label in"),
    ],
)
def test_an_invalid_new_class_is_refused_in_one_line(
    bare: Manifest, tmp_path: Path, lines: list[str], new: str, message: str
) -> None:
    with pytest.raises(S4miError, match=message) as caught:
        merged(bare, table(tmp_path, *lines), new_classes=(new,))
    assert "\n" not in str(caught.value)
    assert load_version(bare.folder).version == 1


def test_no_lock_is_left_behind(bare: Manifest, tmp_path: Path) -> None:
    merged(bare, table(tmp_path, "lesion_0004,nevus"))
    assert not (bare.folder / LOCK).exists()


def test_the_error_of_a_table_without_images_lists_the_expected_columns(bare: Manifest, tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="no column id or image; "):
        merged(bare, table(tmp_path, "x,nevus", head="picture,label"))


def test_first_masks_of_several_values_are_named(bare: Manifest, tmp_path: Path) -> None:
    spec = bare.spec.model_copy(update={"tasks": ("multiclass",), "mask_values": {}})
    write_dataset(bare.folder, spec, [replace(row, mask=None) for row in bare.rows])
    (tmp_path / "drawn").mkdir()
    pixels = np.zeros((48, 48), dtype=np.uint8)
    pixels[:9], pixels[9:20] = 1, 2
    Image.fromarray(pixels).save(tmp_path / "drawn" / "lesion_0004.png")
    with pytest.raises(S4miError, match="name each: --mask-value 0=background --mask-value 1=NAME"):
        merged(load_version(bare.folder), tmp_path / "drawn")
    values = {0: "background", 1: "rim", 2: "core"}
    result = merged(load_version(bare.folder), tmp_path / "drawn", mask_values=values)
    assert (result.first, load_version(bare.folder).spec.mask_values) == (("segmentation",), values)
