#!/usr/bin/env bash
# Packages: timm 1.0.31, torchvision 0.29.2, torch 2.15.0, Pillow 13.0.0; Python 3.11, CPU.
#
# A folder for each class is the format that everything reads, and classes are numbered "in the order of their names".
# torchvision's ImageFolder sorts names by characters, timm's reader (its training and validation scripts) as people do:
# numbers by value, letters regardless of case. With eleven grades or stations named 0 to 10, or with names of which
# some begin with a capital, the two number the same folder differently. A network trained by one and tested by the
# other on the same images scores as if it had learnt little, or with two classes exchanged, and nothing fails: images,
# names and the number of classes are the same.
#
# Seen, folders 0 to 10: torchvision 0 1 10 2 3 4 5 6 7 8 9, timm 0 1 2 … 10; of 11 classes 2 keep their number. Folders
# normal and Tumour: torchvision has Tumour as 0, timm normal. Folders of names of one length and case: the same.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet timm==1.0.31 torchvision==0.29.2 torch==2.15.0 pillow==13.0.0
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
from pathlib import Path

from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder


def classes(root, names):
    for name in names:
        Path(root, name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(Path(root, name, "image.png"))
    by_torchvision = ImageFolder(root).class_to_idx
    by_timm = create_dataset("", root=root).reader.class_to_idx
    print("torchvision", by_torchvision, "\ntimm       ", by_timm)
    return by_torchvision, by_timm


by_torchvision, by_timm = classes("grades", [str(grade) for grade in range(11)])
assert by_timm == {str(grade): grade for grade in range(11)}
assert [name for name in by_timm if by_timm[name] == by_torchvision[name]] == ["0", "1"]
by_torchvision, by_timm = classes("case", ["normal", "Tumour"])
assert by_torchvision == {"Tumour": 0, "normal": 1} and by_timm == {"normal": 0, "Tumour": 1}
by_torchvision, by_timm = classes("equal", ["grade0", "grade1", "grade2"])
assert by_torchvision == by_timm
PYTHON
