#!/usr/bin/env bash
# Packages: supervision 0.31.2, opencv-python-headless 5.0.0.93, numpy 2.2.6; Python 3.11.
#
# supervision turns masks into boxes (`mask_to_xyxy`), reads truth from COCO files and scores one with the other.
# Boxes of masks end at the index of the last pixel, boxes of COCO (corner, width, height) after it, and all that
# follows takes the difference of the two corners for the size. So a box of a mask is a pixel too small in both
# directions. For photographs that is nothing. A lesion of 3 × 3 pixels has a box of 2 × 2, and a prediction of
# exactly its pixels has an intersection over union of 4/9 with the COCO box, which counts as missed and as a false
# positive. A lesion of one row, column or pixel has a box of no area, which overlaps with nothing, itself included:
# scored by boxes, a prediction equal to the truth is not found, by masks it is. Adding 1 to the second corner is the
# remedy.
#
# Seen, square lesions of 1, 3, 8 and 30 pixels, predictions equal to the masks, truth of a COCO file:
#   intersection over union 0.00, 0.44, 0.77 and 0.93; average precision at 0.5 of all four 0.25; of the predictions
#   against themselves 1.00 by masks and 0.56 by boxes; with a pixel added all are 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet supervision==0.31.2 opencv-python-headless==5.0.0.93 numpy==2.2.6
cat > "$work/boxes.py" <<'PYTHON'
import json
from pathlib import Path

import cv2
import numpy as np
import supervision
from supervision.metrics import MeanAveragePrecision, MetricTarget

SIDES, CORNERS = (1, 3, 8, 30), (5, 20, 40, 60)
masks = np.zeros((4, 100, 100), dtype=bool)
for mask, side, corner in zip(masks, SIDES, CORNERS, strict=True):
    mask[corner : corner + side, corner : corner + side] = True

Path("images").mkdir()
cv2.imwrite("images/a.png", np.zeros((100, 100, 3), dtype=np.uint8))
lesions = [
    {"id": n, "image_id": 1, "category_id": 1, "bbox": [c, c, s, s], "area": s * s, "iscrowd": 0, "segmentation": []}
    for n, (s, c) in enumerate(zip(SIDES, CORNERS, strict=True), start=1)
]
image = {"id": 1, "file_name": "a.png", "width": 100, "height": 100}
categories = [{"id": 1, "name": "lesion"}]
Path("truth.json").write_text(json.dumps({"images": [image], "categories": categories, "annotations": lesions}))
truth = next(iter(supervision.DetectionDataset.from_coco("images", "truth.json").annotations.values()))


def detections(boxes):
    return supervision.Detections(
        xyxy=boxes.astype(float), mask=masks, class_id=np.zeros(4, dtype=int), confidence=np.full(4, 0.9)
    )


def precision(predicted, true, target=MetricTarget.BOXES):
    return round(float(MeanAveragePrecision(metric_target=target).update([predicted], [true]).compute().map50), 2)


boxes = supervision.mask_to_xyxy(masks)
whole = boxes + np.array([0, 0, 1, 1])
overlaps = [np.diag(supervision.box_iou_batch(truth.xyxy, b.astype(float))).round(2).tolist() for b in (boxes, whole)]
truth = supervision.Detections(xyxy=truth.xyxy, class_id=np.zeros(4, dtype=int))
own = detections(boxes)
scores = (
    precision(own, truth),
    precision(own, own),
    precision(own, own, MetricTarget.MASKS),
    precision(detections(whole), truth),
)
print("boxes:", boxes.tolist())
print("overlap with COCO's box:", overlaps[0], "with a pixel added:", overlaps[1])
print("average precision at 0.5: against COCO, itself by boxes, itself by masks, with a pixel added:", scores)
assert np.allclose(overlaps, [[0.0, 0.44, 0.77, 0.93], [1, 1, 1, 1]]), overlaps
assert scores == (0.25, 0.56, 1.0, 1.0), scores
PYTHON
cd "$work"
"$work/venv/bin/python" -W ignore "$work/boxes.py"
