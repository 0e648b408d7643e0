#!/usr/bin/env bash
# Package: label-studio-sdk 2.1.2; Python 3.11.
#
# Boxes can be turned in Label Studio, about their upper left corner, and annotators do turn them around elongated
# structures. Of one such box the exports of Label Studio are two places: COCO has the upright box around the turned
# one; YOLO takes position, width and height as if it were not turned at all. For a box turned by 90° the two do not
# even overlap, and a detector trained on the YOLO files learns background. No warning; YOLO_OBB (oriented boxes) is
# right.
#
# Seen, a box of 40 × 10 at (50, 50), turned by 90°: COCO x 40 to 50, y 50 to 90; YOLO_OBB the same four corners; YOLO x
# 50 to 90, y 50 to 60. Not turned: all agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet label-studio-sdk==2.1.2
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import json
from pathlib import Path

from label_studio_sdk.converter import Converter

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="vessel"/></RectangleLabels></View>"""


def convert(rotation, name):
    box = {"x": 50, "y": 50, "width": 40, "height": 10, "rotation": rotation, "rectanglelabels": ["vessel"]}
    region = {
        "id": "a", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": 100,
        "original_height": 100, "image_rotation": 0, "value": box,
    }
    task = {"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "completed_by": 1, "result": [region]}]}
    Path("tasks.json").write_text(json.dumps([task]))
    folder = Path(f"{name}-{rotation}")
    Converter(CONFIG, ".", download_resources=False).convert("tasks.json", str(folder), name, is_dir=False)
    return folder


def boxes(rotation):
    """Upright boxes (left, right, top, bottom) in pixels by export; images are 100 × 100."""
    coco = json.loads((convert(rotation, "COCO") / "result.json").read_text())
    left, top, width, height = coco["annotations"][0]["bbox"]
    found = {"COCO": (left, left + width, top, top + height)}
    (file,) = (convert(rotation, "YOLO") / "labels").iterdir()
    _, x, y, width, height = (100 * float(value) for value in file.read_text().split())
    found["YOLO"] = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    (file,) = (convert(rotation, "YOLO_OBB") / "labels").iterdir()
    corners = [100 * float(value) for value in file.read_text().split()[1:]]
    found["YOLO_OBB"] = (min(corners[::2]), max(corners[::2]), min(corners[1::2]), max(corners[1::2]))
    return {name: tuple(round(value) for value in box) for name, box in found.items()}


upright, turned = boxes(0), boxes(90)
print("not turned:", upright)
print("turned by 90 degrees:", turned)
assert set(upright.values()) == {(50, 90, 50, 60)}
assert turned == {"COCO": (40, 50, 50, 90), "YOLO": (50, 90, 50, 60), "YOLO_OBB": (40, 50, 50, 90)}
PYTHON
