#!/usr/bin/env bash
# Packages: label-studio-sdk 2.1.2, pycocotools 2.0.11, numpy 2.2.6; Python 3.11.
#
# The COCO export of Label Studio numbers annotations from 0. The COCO evaluation notes for each predicted object the id
# of the true one it was matched with, and 0 there means "none". So the first annotation of each export can be found by
# no model: a prediction on exactly that spot counts as a false positive, with whatever confidence, and the annotation
# as missed. With many thousand annotations this is nothing; in a test set of a rare finding it decides: with one lesion
# the average precision of a perfect detector is 0. Adding 1 to all ids before the evaluation is the remedy. (Both
# packages work as they say: COCO's description of the format does not exclude 0.)
#
# Seen: predictions equal to the annotations, AP and recall by number of annotations; all ids + 1: always 1 and 1
#   1 annotation 0 and 0     2: 0.25 and 0.50     5: 0.64 and 0.80     20: 0.89 and 0.95
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet label-studio-sdk==2.1.2 pycocotools==2.0.11 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import json
from pathlib import Path

from label_studio_sdk.converter import Converter
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="lesion"/></RectangleLabels></View>"""


def exported(number):
    """COCO annotations of `number` images with a lesion each, as Label Studio's converter writes them."""
    box = {"x": 10, "y": 20, "width": 40, "height": 30, "rotation": 0, "rectanglelabels": ["lesion"]}
    region = {
        "id": "a", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": 200,
        "original_height": 200, "image_rotation": 0, "value": box,
    }
    tasks = [
        {"id": n, "data": {"image": f"{n}.png"}, "annotations": [{"id": n, "completed_by": 1, "result": [region]}]}
        for n in range(1, number + 1)
    ]
    Path("tasks.json").write_text(json.dumps(tasks))
    Converter(CONFIG, ".", download_resources=False).convert("tasks.json", "coco", "COCO", is_dir=False)
    return json.loads(Path("coco/result.json").read_text())


def scores(coco):
    """Average precision and recall of predictions that equal the annotations."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        found = [{k: one[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9} for one in coco["annotations"]]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 2), round(float(evaluation.stats[8]), 2)


for number, expected in ((1, (0.0, 0.0)), (2, (0.25, 0.5)), (5, (0.64, 0.8)), (20, (0.89, 0.95))):
    coco = exported(number)
    assert [one["id"] for one in coco["annotations"]] == list(range(number))
    as_exported = scores(coco)
    for one in coco["annotations"]:
        one["id"] += 1
    shifted = scores(coco)
    print(f"{number} annotations: AP and recall {as_exported} as exported, {shifted} with ids from 1")
    assert as_exported == expected
    assert shifted == (1.0, 1.0)
PYTHON
