"""COCO 1.0 as CVAT exports it, held against pycocotools' own reading of the file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from s4mi.data.annotations.merge import MergePlan, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest

HEIGHT, WIDTH = 64, 96
NAMES = {1: "lesion", 2: "rim"}


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths as numbers, column by column, as CVAT writes masks."""
    flat = mask.T.ravel().astype(np.uint8)
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff(ends).tolist()
    return {"counts": counts if flat[0] == 0 else [0, *counts], "size": [HEIGHT, WIDTH]}


def annotation(segmentation: Any, category: int = 1, **fields: Any) -> dict[str, Any]:
    """An instance with all fields of CVAT; masks are marked as crowds there."""
    return {"id": 1, "image_id": 1, "category_id": category, "segmentation": segmentation, "area": 1.0,
            "bbox": [0.0, 0.0, 1.0, 1.0], "iscrowd": int(isinstance(segmentation, dict)),
            "attributes": {"occluded": False}, **fields}  # fmt: skip


def export(path: Path, annotations: Sequence[dict[str, Any]], categories: dict[int, str] | None = None) -> Path:
    contents = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [{"id": k, "name": name, "supercategory": ""} for k, name in (categories or NAMES).items()],
        "images": [{"id": 1, "width": WIDTH, "height": HEIGHT, "file_name": "ward/c00.png", "license": 0,
                    "flickr_url": "", "coco_url": "", "date_captured": 0}],
        "annotations": [{**one, "id": i} for i, one in enumerate(annotations, start=1)],
    }  # fmt: skip
    path.write_text(json.dumps(contents))
    return path


def planned(data: Manifest, path: Path) -> MergePlan:
    plan = plan_merge(data, {path: read_annotations(path)}, MergeRules())
    assert plan.errors == []
    return plan


def as_pycocotools_reads(path: Path, plan: MergePlan) -> np.ndarray:
    """Each pixel has the class of the last annotation that covers it."""
    coco = COCO(str(path))
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for one in coco.loadAnns(sorted(coco.getAnnIds())):
        name = coco.loadCats(one["category_id"])[0]["name"]
        mask[coco.annToMask(one).astype(bool)] = plan.spec.mask_classes.index(name)
    return mask


def blob(seed: int) -> np.ndarray:
    """A mask with holes and several parts."""
    noise = np.random.default_rng(seed).random((HEIGHT // 8, WIDTH // 8)) > 0.6
    return np.asarray(np.kron(noise, np.ones((8, 8), dtype=bool)))


def shape(kind: str, seed: int) -> Any:
    generator = np.random.default_rng(seed)
    if kind == "mask":
        return runs(blob(seed))
    parts = [generator.uniform([2, 2], [WIDTH - 2, HEIGHT - 2], (9, 2)).round(2).ravel().tolist() for _ in range(2)]
    return parts if kind == "several parts" else parts[:1]


@pytest.mark.parametrize("kind", ["polygon", "several parts", "mask"])
@pytest.mark.parametrize("seed", range(4))
def test_cvat_coco_every_shape_is_read_as_pycocotools_reads_it(
    plain_images: Callable[..., Manifest], tmp_path: Path, kind: str, seed: int
) -> None:
    first = annotation(shape(kind, seed), attributes={"occluded": True})
    path = export(tmp_path / "instances_default.json", [first, annotation(shape("polygon", seed + 10), 2)])
    plan = planned(plain_images("c00.png", "c01.png"), path)
    np.testing.assert_array_equal(plan.masks[0].classes, as_pycocotools_reads(path, plan))
    assert plan.ignored == {}


def test_cvat_coco_a_crowd_is_a_region_like_any_other(plain_images: Callable[..., Manifest], tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", [annotation(runs(blob(0)))])
    np.testing.assert_array_equal(planned(plain_images("c00.png"), path).masks[0].classes, blob(0))


@pytest.mark.parametrize("number", [0, 3])
def test_cvat_coco_regions_of_the_background_erase_what_is_below(
    plain_images: Callable[..., Manifest], tmp_path: Path, number: int
) -> None:
    names = {number: "background", 7: "lesion"}
    path = export(tmp_path / "a.json", [annotation(runs(blob(0)), 7), annotation(runs(blob(1)), number)], names)
    plan = planned(plain_images("c00.png"), path)
    assert plan.spec.mask_values == {0: "background", 255: "lesion"}
    np.testing.assert_array_equal(plan.masks[0].classes, blob(0) & ~blob(1))


def test_cvat_coco_attributes_are_counted(plain_images: Callable[..., Manifest], tmp_path: Path) -> None:
    one = annotation(runs(blob(0)), attributes={"occluded": True, "rotation": 0.0, "grade": "3"})
    assert planned(plain_images("c00.png"), export(tmp_path / "a.json", [one])).ignored == {"attribute": 1}
