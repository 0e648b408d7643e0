#!/usr/bin/env bash
# Packages: pynrrd 1.1.3, numpy 2.4.6; Python 3.11.
#
# 3D Slicer stores the names of segments in key/value lines of a `.seg.nrrd` header (`Segment0_Name:=…`), in UTF-8. pynrrd
# decodes every line of a header as ASCII and ignores what it cannot decode, so letters with an accent vanish without a
# warning: the name that comes back is another one, and two segments whose names differ in such a letter alone become one
# class. A name in Chinese or Cyrillic letters becomes empty. Writing is strict instead: `nrrd.write` of the same
# name fails with UnicodeEncodeError. Whoever needs the names has to read these lines of the file by itself.
#
# Seen: "Läsion" is read as "Lsion", "肝" as "", "Größe" and "Grüße" both as "Gre".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pynrrd==1.1.3 numpy==2.4.6
cat > "$work/names.py" <<'PYTHON'
import sys
from pathlib import Path

import nrrd
import numpy as np

path = sys.argv[1]
names = {"Läsion": "Lsion", "肝": "", "Größe": "Gre", "Grüße": "Gre"}
header = {f"Segment{n}_Name": f"name {n}" for n in range(len(names))}
nrrd.write(path, np.zeros((2, 2, 2), dtype=np.uint8), header)
content = Path(path).read_bytes()
for n, name in enumerate(names):  # as Slicer writes them
    content = content.replace(f":=name {n}\n".encode(), f":={name}\n".encode())
Path(path).write_bytes(content)

read = nrrd.read_header(path)
for n, (name, seen) in enumerate(names.items()):
    print(f"{name!r} is read as {read[f'Segment{n}_Name']!r}")
    assert read[f"Segment{n}_Name"] == seen
try:
    nrrd.write(path, np.zeros((2, 2, 2), dtype=np.uint8), {"Segment0_Name": "Läsion"})
except UnicodeEncodeError as error:
    print(f"writing it: {error}")
else:
    raise AssertionError("pynrrd writes such names now")
PYTHON
"$work/venv/bin/python" -W error "$work/names.py" "$work/a.seg.nrrd"
