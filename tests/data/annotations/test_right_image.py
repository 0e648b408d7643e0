"""An annotation goes to the image that it names, or is refused; no option contradicts the data set without a word."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from s4mi.data.annotations.merge import MergePlan, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError

MASKED = {"tasks": ("segmentation",), "mask_values": {0: "background", 1: "core", 2: "rim"}}
LABELLED = {"tasks": ("multiclass",), "classes": ("naevus", "melanoma")}
SQUARE = [8, 8, 20, 8, 20, 20, 8, 20]
BOX = {"x": 0, "y": 0, "width": 25, "height": 25, "rectanglelabels": ["core"]}


def data_set(folder: Path, *names: str, **spec: Any) -> Manifest:
    """Images of 64 × 96 pixels below `images`, with their names without extension as ids, and one annotated mask."""
    rows = []
    for number, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (96, 64), 40 * number).save(path)
        rows.append(Row(name.partition(".")[0], path, None, None, None, None, number + 2))
    write_dataset(folder, DatasetSpec(name="drawn", **spec), rows)
    return load_manifest(folder)


def planned(manifest: Manifest, *sources: Path, mask_suffix: str = "", **rules: Any) -> MergePlan:
    read = {source: read_annotations(source, mask_suffix=mask_suffix) for source in sources}
    return plan_merge(manifest, read, MergeRules(**rules))


def write_json(path: Path, contents: Any) -> Path:
    path.write_text(json.dumps(contents))
    return path


def coco(folder: Path, *images: dict[str, Any], **more: Any) -> Path:
    contents = {
        "images": [{"id": n, "height": 64, "width": 96, **image} for n, image in enumerate(images, start=1)],
        "categories": [{"id": 1, "name": "core"}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": [SQUARE]}],
    }
    return write_json(folder / "coco.json", {**contents, **more})


def studio(folder: Path, **data: Any) -> Path:
    result = {"type": "rectanglelabels", "original_width": 96, "original_height": 64, "value": BOX}
    return write_json(folder / "studio.json", [{"data": data, "annotations": [{"result": [result]}]}])


def labelme(folder: Path, name: str, image: str) -> Path:
    shape = {"label": "core", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
    contents = {"shapes": [shape], "imagePath": image, "imageHeight": 64, "imageWidth": 96}
    return write_json(folder / f"{name}.json", contents)


def test_an_id_and_a_file_of_different_images_are_refused(tmp_path: Path) -> None:
    """A column `id` that counts rows or patients happens to name images of a data set whose files are numbers."""
    data = data_set(tmp_path / "data", "1.png", "2.png", **LABELLED)
    table = tmp_path / "labels.csv"
    table.write_text("id,image,label\n1,2.png,naevus\n2,1.png,melanoma\n")
    plan = planned(data, table)
    assert plan.labels == {}
    assert [error.partition(": ")[2] for error in plan.errors] == [
        "names different images, '1', which is '1' and '2.png', which is '2'; correct or remove the wrong name",
        "names different images, '2', which is '2' and '1.png', which is '1'; correct or remove the wrong name",
    ]
    table.write_text("id,image,label\n7,2.png,naevus\n1,1.png,melanoma\n")
    assert planned(data, table).labels == {1: ("naevus",), 0: ("melanoma",)}


def test_ids_and_files_of_annotation_tools_must_agree_too(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", "1.png", "2.png", **MASKED)
    for source in (
        studio(tmp_path, id=1, image="/data/upload/4/01234567-2.png"),
        coco(tmp_path, {"s4mi_id": "1", "file_name": "2.png"}),
        labelme(tmp_path, "1", "2.png"),
    ):
        plan = planned(data, source)
        assert plan.masks == {}
        assert "names different images" in plan.errors[0]
    for source in (
        studio(tmp_path, id=93, image="/data/upload/4/01234567-2.png"),
        coco(tmp_path, {"s4mi_id": "2", "file_name": "images/2.png"}),
        labelme(tmp_path, "export", "..\\pictures\\2.png"),
    ):
        plan = planned(data, source)
        assert (plan.errors, list(plan.masks)) == ([], [1])


@pytest.mark.parametrize("kind", ["coco", "masks", "labelme", "geojson"])
def test_an_image_of_another_patients_folder_is_not_taken_for_the_one_that_is_missing(
    tmp_path: Path, kind: str
) -> None:
    """Of patient p1 there is no slice 7, of p2 there is; an annotation of the former is none of the latter."""
    data = data_set(tmp_path / "data", "p1/1.png", "p2/7.png", **MASKED)
    for folder, missing in (("p1", True), ("p2", False), ("later", False)):
        source = coco(tmp_path, {"file_name": f"{folder}/7.png"})
        if kind != "coco":
            source = tmp_path / f"of {folder}"
            (source / folder).mkdir(parents=True)
        if kind == "masks":
            Image.fromarray(np.eye(64, 96, dtype=np.uint8)).save(source / folder / "7.png")
        elif kind == "labelme":
            labelme(source / folder, "7", "7.png")
        elif kind == "geojson":
            geometry = {"type": "Polygon", "coordinates": [np.reshape(SQUARE, (-1, 2)).tolist()]}
            about = {"objectType": "annotation", "classification": {"name": "core"}}
            feature = {"type": "Feature", "properties": about, "geometry": geometry}
            write_json(source / folder / "7.geojson", {"type": "FeatureCollection", "features": [feature]})
        plan = planned(data, source)
        assert list(plan.masks) == ([] if missing else [1])
        assert len(plan.errors) == missing
        if missing:
            assert "where 'p2/7' is in another folder than 'p1'" in plan.errors[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"categories": [{"id": 1, "name": "core"}, {"id": 1, "name": "rim"}]},
         r"categories\[1\]: id 1 is that of 'core'"),
        ({"images": [{"id": 1, "file_name": f"{n}.png", "height": 64, "width": 96} for n in (1, 2)]},
         r"images\[1\]: id 1 is that of images\[0\] too"),
    ],
)  # fmt: skip
def test_an_id_of_two_images_or_categories_of_coco_is_refused(tmp_path: Path, more: Any, message: str) -> None:
    """As files have that were joined without new numbers: all annotations would be those of the first image."""
    data_set(tmp_path / "data", "1.png", "2.png", **MASKED)
    with pytest.raises(S4miError, match=message):
        read_annotations(coco(tmp_path, {"file_name": "1.png"}, **more))


def test_an_image_that_coco_lists_twice_is_one(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", "1.png", **MASKED)
    source = coco(tmp_path, {"id": 1, "file_name": "1.png"}, {"id": 1, "file_name": "1.png"})
    plan = planned(data, source, empty=True)
    assert plan.errors == []
    assert plan.masks[0].classes.any()


def test_an_empty_label_is_no_empty_mask(tmp_path: Path) -> None:
    """With `--empty`, an image that COCO lists without regions is background; one that a table lists is not."""
    data = data_set(tmp_path / "data", "1.png", "2.png", "3.png", **MASKED)
    table = tmp_path / "labels.csv"
    table.write_text("image,label\n1.png,\n2.png,\n")
    plan = planned(data, coco(tmp_path, {"file_name": "1.png"}, {"file_name": "3.png"}), table, empty=True)
    assert plan.errors == []
    assert {number: bool(mask.classes.any()) for number, mask in plan.masks.items()} == {0: True, 2: False}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"mask_values": {1: "rim", 2: "core"}}, r"--mask-value 1=rim: .* names .* \(0 background, 1 core, 2 rim\)"),
        ({"mask_values": {3: "edge"}}, "--mask-value 3=edge: the data set has names"),
        ({"foreground": "lesion"}, "--foreground 'lesion': the data set has names"),
    ],
)  # fmt: skip
def test_names_of_mask_values_that_contradict_those_of_the_data_set_are_refused(
    tmp_path: Path, rules: dict[str, Any], message: str
) -> None:
    """Otherwise masks that call the core 2 would be read with 2 as the rim, without a word."""
    data = data_set(tmp_path / "data", "1.png", **MASKED)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.eye(64, 96, dtype=np.uint8)).save(tmp_path / "masks" / "1.png")
    with pytest.raises(S4miError, match=message):
        planned(data, tmp_path / "masks", **rules)
    for same in ({"mask_values": {1: "core"}}, {"foreground": "core"}, {}):
        assert list(planned(data, tmp_path / "masks", **same).masks) == [0]


def test_a_suffix_of_no_mask_is_refused(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", "1.png", **MASKED)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.eye(64, 96, dtype=np.uint8)).save(tmp_path / "masks" / "1_seg.png")
    with pytest.raises(S4miError, match=r"--mask-suffix '_mask' fits no file \(example of a name: '1_seg.png'\)"):
        planned(data, tmp_path / "masks", mask_suffix="_mask")
    assert list(planned(data, tmp_path / "masks", mask_suffix="_seg").masks) == [0]


def test_a_mask_of_several_pages_is_refused_instead_of_read_as_its_first(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", "1.png", **MASKED)
    (tmp_path / "masks").mkdir()
    pages = np.zeros((2, 64, 96), dtype=np.uint8)
    pages[1, 5:9] = 1
    tifffile.imwrite(tmp_path / "masks" / "1.tif", pages, photometric="minisblack")
    plan = planned(data, tmp_path / "masks")
    assert plan.masks == {}
    assert "mask '1.tif' has 2 frames, not one; save the mask of each image in a file" in plan.errors[0]
