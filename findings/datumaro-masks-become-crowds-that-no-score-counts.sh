#!/usr/bin/env bash
# Packages: datumaro 1.13.12, pycocotools 2.0.11, numpy 2.2.6; Python 3.11.
#
# COCO marks groups of objects that nobody separated with `iscrowd`, and writes them as run lengths. datumaro, which
# converts between formats of annotation tools, concludes the reverse: a mask (not a polygon) is written as run lengths,
# and with them as a crowd, unless it carries an attribute `is_crowd: False`, which masks from PNG files do not have.
# COCO's evaluation leaves crowds out: predictions on them count neither as right nor as wrong. So a data set of masks,
# converted to COCO, has no objects left to be found; a perfect segmentation has an average precision of −1 ("no such
# objects"), and detection libraries that skip crowds when they load a training set train on nothing.
#
# Seen: two images with one lesion each as masks: iscrowd 1 and 1, AP −1 for predictions equal to the masks; with the
# attribute: iscrowd 0 and 0, AP 0.9 (they are polygons then, which lose a row and a column of pixels).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet datumaro==1.13.12 pycocotools==2.0.11 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pycocotools.mask
from datumaro import Dataset, DatasetItem, Image, Mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

lesion = np.zeros((60, 60), dtype=bool)
lesion[10:30, 10:35] = True


def exported(folder, attributes):
    items = [
        DatasetItem(
            id=f"image{n}",
            media=Image.from_numpy(np.zeros((60, 60, 3), np.uint8)),
            annotations=[Mask(lesion, label=0, id=n, group=n, attributes=attributes)],
        )
        for n in (1, 2)
    ]
    Dataset.from_iterable(items, categories=["lesion"]).export(folder, "coco_instances", save_media=False)
    (file,) = Path(folder, "annotations").glob("*.json")
    return json.loads(file.read_text())


def precision(coco):
    run_lengths = pycocotools.mask.encode(np.asfortranarray(lesion))
    found = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "segmentation": run_lengths, "score": 0.9}
        for one in coco["annotations"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 6)


for folder, attributes, crowd, expected in (("plain", {}, 1, -1.0), ("told", {"is_crowd": False}, 0, 0.9)):
    coco = exported(folder, attributes)
    crowds = [one["iscrowd"] for one in coco["annotations"]]
    score = precision(coco)
    print(f"attributes {attributes}: iscrowd {crowds}, AP of a perfect segmentation {score}")
    assert crowds == [crowd, crowd]
    assert score == expected
PYTHON
